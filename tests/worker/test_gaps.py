"""Gaps are counted, and written into the output exactly where they are, whatever the pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from scaleout.core.frames import Kind
from scaleout.core.marks import NumbersMark
from scaleout.core.sequence import Gap
from scaleout.logs import EndpointLogger
from scaleout.tally import Allowance
from scaleout.worker.gaps import GapWatch, Numbering

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]
RECEIVED_AT = 1_700_000_000_123_456_789


class Watched:
    """A desk whose messages are watched."""

    def __init__(self, made: Any, before: NumbersMark | None = None) -> None:
        self.desk = made
        self.gaps: list[Gap] = []
        endpoint = made.inlet.books.config
        self.numbering = Numbering(endpoint, made.inlet, before)
        self.watch = GapWatch(
            endpoint, made.inlet, self.numbering, self.gaps.append, EndpointLogger("desk", ())
        )

    def receive(self, *numbers: object) -> int:
        payloads = [msgspec.json.encode({"n": number}) for number in numbers]
        return self.watch.receive(payloads, b"\n".join(payloads), Kind.TEXT, RECEIVED_AT)

    @property
    def seen(self) -> list[object]:
        """The numbers in the output, and a pair where a gap is."""
        found: list[object] = []
        for line in self.desk.lines:
            record = msgspec.json.decode(line)
            if "gap" in record:
                assert record["endpoint"] == "desk"
                assert record["received_at"] == RECEIVED_AT
                found.append((record["gap"]["expected"], record["gap"]["got"]))
            else:
                found.append(record["data"]["n"])
        return found


class Message(msgspec.Struct):
    n: int


def plain(message: Message) -> Message:
    return message


def batch(messages: list[Message]) -> list[Message]:
    return messages


async def awaited(message: Message) -> Message:
    # Later messages are done earlier.
    for _ in range(20 - message.n % 20):
        await asyncio.sleep(0)
    return message


@pytest.mark.parametrize("processor", [None, plain, batch, awaited])
def test_the_record_is_where_the_gap_is(desk: MakeDesk, run: Run, processor: Any) -> None:
    async def main() -> None:
        watched = Watched(desk(processor, sequence="n"))
        assert watched.receive(1, 2, 5, 6, 9) == 5
        assert watched.receive(10, 12) == 2
        assert watched.receive(14) == 1
        await watched.desk.drain()
        assert watched.seen == [1, 2, (3, 5), 5, 6, (7, 9), 9, 10, (11, 12), 12, (13, 14), 14]
        assert [watched.desk.count(each) for each in ("gaps", "missed")] == [4, 6]
        assert watched.desk.counts == (8, 8, 0, 0) or watched.desk.count("results") == 12
        assert watched.gaps == [Gap(None, 3, 5), Gap(None, 7, 9), Gap(None, 11, 12), Gap(None, 13, 14)]

    run(main())


def slow(message: Message) -> Message:
    """Slow enough for a turn of the loop to end within a read."""
    end = asyncio.get_running_loop().time() + 0.01
    while asyncio.get_running_loop().time() < end:
        pass
    return message


def test_the_record_waits_for_messages_whose_turn_has_not_come(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(slow, sequence="n"))
        watched.receive(*range(20))
        watched.receive(30)
        assert len(watched.seen) < 20
        await watched.desk.drain()
        assert watched.seen == [*range(20), (20, 30), 30]

    run(main())


def test_records_can_be_left_out(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n", gap_records=False))
        watched.receive(1, 5, 5, 3)
        assert watched.seen == [1, 5, 5, 3]
        assert [watched.desk.count(each) for each in ("gaps", "missed", "repeats", "backwards")] == [
            1, 3, 1, 1,
        ]  # fmt: skip

    run(main())


def test_keys_are_told_apart(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        made = desk(sequence="n", sequence_key="k")
        watched = Watched(made)
        payloads = [b'{"n":1,"k":"a"}', b'{"n":7,"k":"b"}', b'{"n":3,"k":"a"}', b'{"n":8,"k":"b"}']
        watched.watch.receive(payloads, b"\n".join(payloads), Kind.TEXT, RECEIVED_AT)
        assert watched.gaps == [Gap("a", 2, 3)]
        assert msgspec.json.decode(made.lines[2])["gap"] == {"expected": 2, "got": 3, "key": "a"}

    run(main())


def test_what_is_beyond_the_limit_has_no_gaps(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        allowance = Allowance()
        allowance.grant(3)
        watched = Watched(desk(sequence="n", allowance=allowance))
        assert watched.receive(1, 2, 5, 6, 9) == 3
        assert watched.seen == [1, 2, (3, 5), 5]
        assert watched.gaps == [Gap(None, 3, 5)]
        assert watched.desk.count("received") == 3

    run(main())


def test_a_jump_over_a_reconnect_is_a_gap_that_says_so(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n"))
        watched.receive(1, 2)
        watched.watch.begin()
        watched.receive(5, 7)
        assert watched.gaps == [Gap(None, 3, 5, reconnected=True), Gap(None, 6, 7)]

    run(main())


def test_where_each_connection_is_numbered_for_itself_a_new_one_begins_anew(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n", sequence_scope="connection"))
        watched.receive(1, 2)
        watched.watch.begin()
        watched.receive(9, 10)
        assert not watched.gaps
        assert not any(batch.numbers for batch in watched.desk.channel.batches)

    run(main())


def test_what_is_expected_outlives_the_worker(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n"))
        watched.receive(1, 2)
        watched.receive(3)
        marks = [mark for batch in watched.desk.channel.batches for mark in batch.numbers]
        assert [mark.expected for mark in marks] == [((None, 3),), ((None, 4),)]
        later = Watched(desk(sequence="n"), marks[-1])
        later.watch.begin()
        later.receive(6)
        assert later.gaps == [Gap(None, 4, 6, reconnected=True)]

    run(main())


def test_gaps_are_logged_now_and_then(desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n"))
        watched.receive(*range(0, 200, 2))

    with caplog.at_level(logging.WARNING):
        run(main())
    assert [record.getMessage() for record in caplog.records] == ["gap: expected 1, got 2"]


def test_messages_that_are_no_data_may_be_numbered_too(desk: MakeDesk, run: Run) -> None:
    async def main() -> None:
        watched = Watched(desk(sequence="n"))
        watched.receive(0, 1)
        watched.watch.pass_by([b'{"n":2}', b'{"type":"heartbeat"}'], RECEIVED_AT)
        watched.receive(3)
        assert watched.seen == [0, 1, 3] and not watched.gaps
        watched.watch.pass_by([b'{"n":6}'], RECEIVED_AT)
        watched.receive(7)
        assert watched.seen == [0, 1, 3, (4, 6), 7]

    run(main())


def test_a_path_that_leads_nowhere_is_told_once(
    desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        nowhere, right = Watched(desk(sequence="nosuch")), Watched(desk(sequence="n"))
        for start in range(0, 1000, 10):
            nowhere.receive(*range(start, start + 10))
            right.receive(*range(start, start + 10))

    with caplog.at_level(logging.WARNING):
        run(main())
    (told,) = caplog.records
    assert told.getMessage() == "none of the first 100 messages has a number at nosuch: no gap can be found"
