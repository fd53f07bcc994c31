"""Messages of many endpoints that are dealt with together come to what they would have come to apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.errors import Reject
from scaleout.tally import Allowance
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.pipeline import Wish
from tests.worker.gathering import Seen, Worker
from tests.worker.peers import FastLoop, run_fast

TEXT, BINARY = Kind.TEXT, Kind.BINARY
SLOTS = range(3)
SLOW_S = 0.02


def loop() -> FastLoop:
    return cast(FastLoop, asyncio.get_running_loop())


# What processors do


@dataclass(eq=False)
class Odd:
    """Can be compared only with its like."""

    number: int

    def __eq__(self, other: object) -> bool:
        return self.number == other.number  # type: ignore[attr-defined,no-any-return]

    __hash__ = None  # type: ignore[assignment]


def several(message: dict[str, Any]) -> Iterator[object]:
    yield message
    yield None
    yield "another"


def several_and_a_fault(message: dict[str, Any]) -> Iterator[object]:
    yield message
    raise LookupError("the end is missing")


def act(message: Any) -> object:
    """What the message asks for."""
    if message.get("slow"):
        loop().now += SLOW_S
    match message["do"]:
        case "pass":
            return message
        case "none":
            return None
        case "reject":
            raise Reject(f"number {message['n']} isn't wanted")
        case "raise":
            raise ValueError(f"number {message['n']} is no good")
        case "exit":
            raise SystemExit(3)
        case "stop":
            raise StopIteration
        case "several":
            return several(message)
        case "a fault":
            return several_and_a_fault(message)
        case "nothing":
            return iter(())
        case "unencodable":
            return [message, object()]
        case "lines":
            return msgspec.Raw(b'{\n"n":\r\n1}')
        case "odd":
            return Odd(message["n"])
        case "text":
            return "a\nb\u2028\u00e9"
        case _:
            return message["no such key"]


class Message(msgspec.Struct, omit_defaults=True):
    """The same, decoded to a type."""

    do: str
    n: int = 0
    slow: bool = False

    def __post_init__(self) -> None:
        if self.do == "unwanted":
            raise ValueError("that is not to be done")


def on_object(message: object) -> object:
    return act(message)


def on_typed(message: Message) -> object:
    return act(msgspec.to_builtins(message))


def on_text(message: str) -> object:
    return act(msgspec.json.decode(message))


def on_bytes(message: bytes) -> object:
    return act(msgspec.json.decode(message))


def on_either(message: str | bytes) -> object:
    return act(msgspec.json.decode(message))


DOINGS = [
    "pass", "none", "reject", "raise", "exit", "stop", "several", "a fault", "nothing", "unencodable", "lines",
    "odd", "text", "unwanted",
]  # fmt: skip
BAD = [
    b"",
    b"{",
    b'{"do":"pass"} {}',
    b"7",
    b'{"n":1}',
    b'{\n"do":"pass"}',
    b'{"do":"pass"}\r\n',
    b'["\xc3\xa9"]',
]
NOT_TEXT = [b"\xff", b'{"do":"\xff"}', b'{"do":"pass","other":"\xff"}']
WAYS = ["short", "short", "short", "apart"]


@dataclass
class Read:
    """What one read brings, by which way; the number of a message is to be seen in the result."""

    slot: int
    kind: Kind
    payloads: list[bytes]
    way: str = "short"


@st.composite
def reads(draw: st.DrawFn, only: list[str] | None = None) -> Read:
    kind = draw(st.sampled_from([TEXT, TEXT, TEXT, BINARY]))
    is_slow = draw(st.sampled_from([False, False, True]))
    payloads = []
    for _ in range(draw(st.integers(1, 12 if is_slow else 4))):
        if draw(st.integers(0, 7)) == 0 and only is None:
            payloads.append(draw(st.sampled_from(BAD if kind is TEXT else BAD + NOT_TEXT)))
            continue
        message: dict[str, object] = {
            "do": draw(st.sampled_from(only or DOINGS)),
            "n": draw(st.integers(0, 999)),
        }
        if is_slow:
            message["slow"] = True
        payloads.append(msgspec.json.encode(message))
    return Read(draw(st.sampled_from(SLOTS)), kind, payloads, draw(st.sampled_from(WAYS)))


STEPS = st.lists(
    reads() | reads(only=["pass", "none"]) | st.sampled_from(["settle", "turn", "wait"]), max_size=12
)
"""Reads, and what happens between them."""

SLOW = msgspec.json.encode({"do": "pass", "slow": True})
QUICK = b'{"do":"pass"}'


def outcome(
    steps: list[Read | str],
    processor: Callable[..., object] | None,
    *,
    is_gathering: bool,
    linger_s: float = 1.0,
    **options: Any,
) -> tuple[list[bytes], list[Seen]]:
    """All lines, sorted, and what is seen of each endpoint."""
    found: list[tuple[list[bytes], list[Seen]]] = []

    async def scenario() -> None:
        worker = Worker(
            len(SLOTS), processor, is_gathering=is_gathering, linger_s=linger_s, loop=loop(), **options
        )
        for step in steps:
            if step == "settle":
                worker.inlets[0].settle()
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "wait":
                await asyncio.sleep(linger_s)
            else:
                assert isinstance(step, Read)
                receive = worker.receive if step.way == "short" else worker.receive_apart
                receive(step.slot, *step.payloads, kind=step.kind)
        await worker.drain()
        found.append((sorted(worker.lines), [worker.seen(slot) for slot in SLOTS]))
        worker.close()

    run_fast(scenario())
    return found[0]


@pytest.mark.parametrize("linger_s", [0.0, 1.0])
@pytest.mark.parametrize("envelope", [True, False], ids=["envelope", "bare"])
@pytest.mark.parametrize(
    ("processor", "message_format"),
    [
        (on_object, ""),
        (on_typed, ""),
        (on_text, ""),
        (on_bytes, ""),
        (on_either, ""),
        (None, "json"),
        (None, "text"),
        (None, "binary"),
    ],
    ids=["object", "typed", "text", "bytes", "either", "json alone", "text alone", "binary alone"],
)
@settings(max_examples=25)
@given(steps=STEPS)
@example(steps=[Read(slot, TEXT, [QUICK, b'{"do":"none"}'] * 3) for slot in (0, 1, 0)])
@example(steps=[Read(0, TEXT, [SLOW] * 40), Read(0, BINARY, [QUICK]), Read(1, TEXT, [QUICK])])
@example(
    steps=[Read(0, TEXT, [SLOW] * 40), "settle", Read(0, TEXT, [QUICK]), Read(0, TEXT, [QUICK], "apart")]
)
@example(steps=[Read(0, TEXT, [b'{"do":"odd","n":7}', b'{"do":"none"}']), Read(1, TEXT, [QUICK])])
def test_together_they_come_to_the_same_as_apart(
    steps: list[Read | str],
    processor: Callable[..., object] | None,
    message_format: str,
    envelope: bool,
    linger_s: float,
) -> None:
    options: dict[str, Any] = {"envelope": envelope, "message_format": message_format, "linger_s": linger_s}
    together = outcome(steps, processor, is_gathering=True, **options)
    apart = outcome(steps, processor, is_gathering=False, **options)
    for slot in SLOTS:
        for name, found, expected in zip(Seen._fields, together[1][slot], apart[1][slot], strict=True):
            assert found == expected, f"{name} of {slot}"
    assert together[0] == apart[0]


# Who is with whom


def test_only_the_same_wish_makes_the_same_pool() -> None:
    async def scenario() -> None:
        first, second = (Worker(2, processor, loop=loop()) for processor in (on_text, on_object))
        wishes = [pipeline.wish for pipeline in (*first.pipelines, *second.pipelines)]
        assert all(wishes)
        pools = [first.pools.find(wish, True, 1.0) for wish in wishes if wish is not None]
        assert pools[0] is pools[1]
        assert first.pools.find(cast(Wish, wishes[0]), True, 2.0) is not pools[0]
        assert first.pools.find(cast(Wish, wishes[0]), False, 1.0) is not pools[0]
        alone = [Worker(1, None, message_format=each, loop=loop()) for each in ("json", "text", "binary")]
        keys = {cast(Wish, made.pipelines[0].wish).key for made in alone}
        assert len(keys) == 3

    run_fast(scenario())


def wants_context(message: object, context: Context) -> None: ...
def yields(message: object) -> Iterator[object]:
    yield message


def takes_all(messages: list[object]) -> list[object]:
    return messages


async def awaits(message: object) -> None: ...


@pytest.mark.parametrize(
    "processor", [wants_context, yields, takes_all, awaits], ids=lambda each: each.__name__
)
def test_what_is_an_endpoint_s_own_is_not_gathered(processor: Callable[..., object]) -> None:
    async def scenario() -> None:
        made = Worker(1, processor, loop=loop())
        assert made.pipelines[0].wish is None
        assert made.inlets[0].lane is None

    run_fast(scenario())


def test_where_a_limit_counts_each_message_nothing_is_gathered() -> None:
    async def scenario() -> None:
        made = Worker(1, on_object, loop=loop())
        with Allowance() as allowance:
            intake = Intake(made.tally, allowance, lambda: None)
            inlet = Inlet(made.pipelines[0].books, intake, made.pipelines[0])
            inlet.gather_in(made.pools.find(cast(Wish, made.pipelines[0].wish), True, 1.0))
            assert inlet.lane is None

    run_fast(scenario())
