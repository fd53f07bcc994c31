"""A cursor goes into the next connect, what comes twice for it is dropped, and it is never ahead of the results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from scaleout.config import Cursor
from scaleout.core.frames import Kind
from scaleout.core.marks import CursorMark
from scaleout.tally import Allowance
from scaleout.worker.resume import Resume

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]


class Resumed:
    """A desk behind a cursor."""

    def __init__(self, made: Any, mark: CursorMark | None = None, parameter: str | None = "cursor") -> None:
        self.desk = made
        self.resume = Resume(Cursor(field="d.t", parameter=parameter), mark, made.inlet)

    def receive(self, *messages: tuple[object, str]) -> None:
        payloads = [msgspec.json.encode({"d": {"t": value}, "x": text}) for value, text in messages]
        self.raw(*payloads)

    def raw(self, *payloads: bytes) -> None:
        self.resume.receive([*payloads], b"\n".join(payloads), Kind.TEXT, 2 * 10**18)

    @property
    def seen(self) -> list[str]:
        return [result["x"] for result in self.desk.results]

    @property
    def mark(self) -> CursorMark:
        """The last one that was reported."""
        return [mark for batch in self.desk.channel.batches for mark in batch.cursors][-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("uri", "value", "expected"),
    [
        ("ws://h/p", 5, "ws://h/p?cursor=5"),
        ("ws://h/p?a=b", 5, "ws://h/p?a=b&cursor=5"),
        ("ws://h/p?streams=a@b/c%20d&x=1+2&e=", 5, "ws://h/p?streams=a@b/c%20d&x=1+2&e=&cursor=5"),
        ("ws://h/p?cursor=1&a=b", 5, "ws://h/p?a=b&cursor=5"),
        ("ws://h/p?%63ursor=1", 5, "ws://h/p?cursor=5"),
        ("ws://h/p", "x y&z", "ws://h/p?cursor=x+y%26z"),
        ("ws://h/p", 1.5, "ws://h/p?cursor=1.5"),
        ("ws://h/p", None, "ws://h/p"),
    ],
)
def test_the_cursor_in_the_uri(desk: MakeDesk, run: Run, uri: str, value: Any, expected: str) -> None:
    async def main() -> None:
        mark = CursorMark(1, value) if value is not None else None
        assert Resumed(desk(), mark).resume.uri(uri) == expected
        assert Resumed(desk(), mark, parameter=None).resume.uri(uri) == uri
        assert Resumed(desk(), mark).resume.value == value

    run(main())


def test_repeats_of_the_last_value_are_dropped_and_counted(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        resumed = Resumed(desk())
        resumed.resume.begin()
        resumed.receive((1, "a"), (2, "b"), (2, "c"))
        assert resumed.resume.value == 2
        resumed.resume.begin()
        resumed.receive((2, "b"))
        resumed.receive((2, "c"), (2, "new with the same"), (3, "d"), (2, "b"))
        assert resumed.seen == ["a", "b", "c", "new with the same", "d", "b"]
        assert resumed.desk.count("duplicates") == 2
        assert resumed.desk.count("received") == 8

    run(main())


def test_a_mark_of_another_worker_does_the_same(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        first = Resumed(desk())
        first.receive((1, "a"), (2, "b"))
        first.receive((2, "c"))
        assert (first.mark.value, len(first.mark.digests)) == (2, 2)
        second = Resumed(desk(), first.mark)
        second.resume.begin()
        second.receive((2, "b"), (2, "c"), (2, "d"), (4, "e"))
        assert second.seen == ["d", "e"]
        assert second.desk.count("duplicates") == 2

    run(main())


def test_messages_without_a_cursor_are_passed_on(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        resumed = Resumed(desk(message_format="text"), CursorMark(1, 7))
        resumed.resume.begin()
        resumed.raw(b"no json", b'{"d":5}', b'{"d":{"t":true}}', b'{"d":{"t":null}}', b"[1]", b"[" * 5000)
        assert resumed.desk.count("delivered") == 6
        assert resumed.resume.value == 7
        resumed.raw(b'{"d":{"t":8}}', b"x")
        assert resumed.resume.value == 8

    run(main())


class Message(msgspec.Struct):
    x: str


def test_the_mark_waits_for_the_results(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def process(message: Message) -> Message:
            if message.x == "slow":
                await gate.wait()
            return message

        resumed = Resumed(desk(process, ordered=False))
        resumed.receive((1, "a"))
        resumed.receive((2, "slow"))
        resumed.receive((3, "b"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert resumed.seen == ["a", "b"]
        assert resumed.mark.value == 1
        assert resumed.resume.value == 3  # a reconnect of this worker goes on from what is being processed
        gate.set()
        await resumed.desk.drain()
        assert resumed.mark.value == 3

    run(main())


def test_a_long_read_is_marked_on_its_way(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def process(message: Message) -> Message:
            if message.x == "150":
                await gate.wait()
            return message

        resumed = Resumed(desk(process))
        resumed.receive(*((number, str(number)) for number in range(300)))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert len(resumed.seen) == 150
        assert resumed.mark.value == 127
        gate.set()
        await resumed.desk.drain()
        assert resumed.seen == [str(number) for number in range(300)]
        assert resumed.mark.value == 299

    run(main())


def test_one_value_over_several_marks_keeps_all_its_digests(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        first = Resumed(desk())
        first.receive((1, "before"), *((2, str(number)) for number in range(150)))
        assert (first.mark.value, len(first.mark.digests)) == (2, 150)
        second = Resumed(desk(), first.mark)
        second.resume.begin()
        second.receive(*((2, str(number)) for number in range(150)), (3, "after"))
        assert second.seen == ["after"]
        assert second.desk.count("duplicates") == 150

    run(main())


def test_a_limit_within_a_long_read_ends_it(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        allowance = Allowance()
        allowance.grant(100)
        resumed = Resumed(desk(allowance=allowance))
        resumed.receive(*((number, str(number)) for number in range(300)))
        assert resumed.seen == [str(number) for number in range(100)]
        assert resumed.mark.value == 99
        assert resumed.desk.count("received") == 100

    run(main())


def test_what_the_limit_cuts_off_is_not_behind_the_cursor(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        allowance = Allowance()
        allowance.grant(2)
        resumed = Resumed(desk(allowance=allowance))
        resumed.receive((1, "a"), (2, "b"), (3, "c"))
        assert resumed.seen == ["a", "b"]
        assert resumed.mark.value == 2
        resumed.receive((4, "d"))
        assert resumed.mark.value == 2

    run(main())


def test_digests_are_bounded(desk: MakeDesk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaleout.worker.resume.MAX_DIGESTS", 4)

    async def main() -> None:
        resumed = Resumed(desk())
        for number in range(5):
            resumed.receive((1, f"{number}a"), (1, f"{number}b"))
        assert len(resumed.mark.digests) == 4

    run(main())
