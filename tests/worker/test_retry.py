"""A dead letter's second chance has the outcome that the pipeline would give it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest

from scaleout.config import Endpoint
from scaleout.context import Context
from scaleout.errors import Reject
from scaleout.signatures import inspect_processor
from scaleout.worker.retry import Dead, Delivered, Filtered, Outcome, Retrier

Run = Callable[[Awaitable[Any]], Any]

RECEIVED_AT = 1_700_000_000_123_456_789


class Trade(msgspec.Struct):
    seq: int


def single(trade: Trade) -> int | None:
    return trade.seq or None


def several(trade: Trade) -> Iterator[int]:
    yield from range(trade.seq)


def batch(trades: list[Trade]) -> list[int]:
    return [trade.seq for trade in trades if trade.seq]


async def awaited(trade: Trade) -> int | None:
    await asyncio.sleep(0)
    return trade.seq or None


async def async_batch(trades: list[Trade]) -> list[int]:
    return [trade.seq for trade in trades if trade.seq]


async def async_several(trade: Trade) -> AsyncIterator[int]:
    for number in range(trade.seq):
        yield number


def told(trade: Trade, context: Context) -> list[object]:
    return [context.endpoint, context.received_at]


def text(message: str) -> str:
    return message.upper()


def raw(message: bytes) -> int:
    return len(message)


def either(message: str | bytes) -> str:
    return type(message).__name__


def attempt(
    run: Run,
    payload: bytes,
    processor: Callable[..., object] | None = None,
    *,
    is_text: bool = True,
    envelope: bool = False,
    **keys: Any,
) -> Outcome:
    async def scenario() -> Outcome:
        endpoint = Endpoint(uri="ws://127.0.0.1", name="feed", **keys)
        inspected = None if processor is None else inspect_processor(processor, "tests:processor")
        return await Retrier(endpoint, inspected, envelope).attempt(payload, is_text, RECEIVED_AT)

    outcome = run(scenario())
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.mark.parametrize(
    ("processor", "lines"),
    [
        (single, b"2\n"),
        (several, b"0\n1\n"),
        (batch, b"2\n"),
        (awaited, b"2\n"),
        (async_batch, b"2\n"),
        (async_several, b"0\n1\n"),
        (told, b'["feed",%d]\n' % RECEIVED_AT),
        (text, b'"{\\"SEQ\\":2}"\n'),
        (raw, b"9\n"),
        (either, b'"str"\n'),
        (None, b'{"seq":2}\n'),
    ],
)
def test_every_form_delivers(processor: Callable[..., object] | None, lines: bytes, run: Run) -> None:
    assert attempt(run, b'{"seq":2}', processor) == Delivered(lines.count(b"\n"), lines)


@pytest.mark.parametrize("processor", [single, several, batch, awaited, async_batch, async_several])
def test_every_form_filters(processor: Callable[..., object], run: Run) -> None:
    assert attempt(run, b'{"seq":0}', processor) == Filtered()


@pytest.mark.parametrize(
    ("payload", "processor", "reason"),
    [
        (b"not json", single, "JSON is malformed"),
        (b'{"seq":"x"}', batch, "Expected `int`"),
        (b"not json", None, "JSON is malformed"),
        (b"", None, "Input data was truncated"),
        (b'"\xff"', None, "can't decode byte 0xff"),
        (b"\xff", either, "can't decode byte 0xff"),
    ],
)
def test_what_cannot_be_decoded(
    payload: bytes, processor: Callable[..., object] | None, reason: str, run: Run
) -> None:
    outcome = attempt(run, payload, processor)
    assert isinstance(outcome, Dead)
    assert (outcome.stage, outcome.traceback) == ("decode", None)
    assert reason in outcome.reason


def test_binary_messages(run: Run) -> None:
    assert attempt(run, b"\xff", either, is_text=False) == Delivered(1, b'"bytes"\n')
    refused = attempt(run, b"x", text, is_text=False)
    assert isinstance(refused, Dead) and "binary" in refused.reason
    assert attempt(run, b"\xff\x00", format="binary", is_text=False) == Delivered(1, b'"/wA="\n')
    assert attempt(run, b"x", format="text") == Delivered(1, b'"x"\n')


def test_lines_have_the_envelope_of_the_letter(run: Run) -> None:
    outcome = attempt(run, b'{\n"seq":2}', envelope=True)
    assert isinstance(outcome, Delivered) and outcome.lines.count(b"\n") == 1
    assert json.loads(outcome.lines) == {"endpoint": "feed", "received_at": RECEIVED_AT, "data": {"seq": 2}}


def raises(message: object) -> None:
    raise ValueError("bad")


def rejects(message: object) -> None:
    raise Reject("not wanted")


def exits(message: object) -> None:
    raise SystemExit(3)


def stops(message: object) -> None:
    raise StopIteration


def recurses(message: object) -> None:
    recurses(message)


def strange(message: object) -> object:
    return object()


def bad_batch(messages: list[object]) -> object:
    return "text"


def breaks_off(message: object) -> Iterator[int]:
    yield 1
    raise ValueError("in the middle")


def sends(message: object, context: Context) -> None:
    context.send("hello")


async def raises_later(message: object) -> None:
    raise ValueError("later")


async def cancels(message: object) -> None:
    raise asyncio.CancelledError


async def own_timeout(message: object) -> None:
    raise TimeoutError("of its own")


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (raises, "ValueError: bad"),
        (rejects, "not wanted"),
        (exits, "SystemExit: 3"),
        (stops, "StopIteration was raised"),
        (recurses, "RecursionError"),
        (strange, "unsupported"),
        (bad_batch, "a batch's results come as a list"),
        (breaks_off, "in the middle"),
        (sends, "SendError: not connected"),
        (raises_later, "ValueError: later"),
        (cancels, "CancelledError"),
        (own_timeout, "TimeoutError: of its own"),
    ],
)
def test_every_misbehaviour_is_this_letters_outcome(
    processor: Callable[..., object], reason: str, run: Run
) -> None:
    outcome = attempt(run, b"{}", processor, timeout=20.0)
    assert isinstance(outcome, Dead)
    assert outcome.stage == "process"
    assert reason in outcome.reason
    assert (outcome.traceback is None) == (processor in (rejects, bad_batch))


async def hangs(message: object) -> None:
    await asyncio.Event().wait()


def test_a_timeout(run: Run) -> None:
    outcome = attempt(run, b"{}", hangs, timeout=0.01)
    assert outcome == Dead("process", "took longer than 10ms (timeout)", None)


def test_who_gives_up_waiting_is_cancelled(run: Run) -> None:
    async def scenario() -> None:
        retrier = Retrier(
            Endpoint(uri="ws://127.0.0.1", name="feed"), inspect_processor(hangs, "tests:hangs"), True
        )
        task = asyncio.create_task(retrier.attempt(b"{}", True, 0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario())


def test_a_processor_may_send_where_there_is_a_connection(run: Run) -> None:
    sent: list[str | bytes] = []

    async def scenario() -> Outcome:
        endpoint = Endpoint(uri="ws://127.0.0.1", name="feed")
        return await Retrier(endpoint, inspect_processor(sends, "x:y"), True, sent.append).attempt(
            b"{}", True, 0
        )

    assert run(scenario()) == Filtered()
    assert sent == ["hello"]
