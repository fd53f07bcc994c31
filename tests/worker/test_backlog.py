"""The backlog of an endpoint whose connections are read all the time: order, counts, turns, and the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.config import Endpoint
from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.valve import Valve
from scaleout.worker import backlog
from scaleout.worker.backlog import Backlog
from scaleout.worker.books import Books
from scaleout.worker.decoding import Read
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Pipeline
from scaleout.worker.stages import build_stage

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]
POLICIES = ("drop_oldest", "drop_newest", "latest")


def numbered(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def desk_with_backlog(desk: MakeDesk, *arguments: Any, **keys: Any) -> tuple[Any, Backlog]:
    keys = {"backpressure": "drop_oldest", "high_water": 4, "low_water": 2, **keys}
    made = desk(*arguments, **keys)
    made.pipeline.books.config = Endpoint(uri="ws://127.0.0.1", name="desk", **keys)
    made.inlet.stage = Backlog(made.pipeline.books, made.pipeline)
    return made, made.inlet.stage


async def handed_on(stage: Backlog) -> None:
    """Wait until nothing is kept."""
    for _ in range(1000):
        if stage.kept.is_empty:
            return
        await asyncio.sleep(0)
    raise TimeoutError(repr(stage))


class Connection:
    """A connection that notes whether it is held back."""

    is_held = False

    def pause_reading(self, holder: object) -> None:
        self.is_held = True

    def resume_reading(self, holder: object) -> None:
        self.is_held = False


@pytest.mark.parametrize("policy", ["block", *POLICIES])
def test_only_with_a_policy_other_than_block_there_is_one(run: Run, policy: Any) -> None:
    async def main() -> None:
        outbox = Outbox()
        endpoint = Endpoint(uri="ws://127.0.0.1", name="desk", backpressure=policy)
        stage = build_stage(endpoint, Books(0, endpoint, outbox, True), lambda message: None)
        connection = Connection()
        stage.attach(connection)
        outbox.valve.close()
        assert isinstance(stage, Backlog) is (policy != "block")
        assert connection.is_held is (policy == "block")
        stage.detach(connection)

    run(main())


def test_open_it_passes_reads_on_as_they_are(run: Run) -> None:
    async def main() -> None:
        endpoint = Endpoint(uri="ws://127.0.0.1", name="desk", backpressure="latest")
        taken: list[Read] = []

        class Taking(Pipeline):
            def handle(self, read: Read) -> None:
                taken.append(read)

        stage = Backlog(books := Books(0, endpoint, Outbox(), True), Taking(books))
        read = Read([b"1"] * 3, Kind.TEXT, 5)
        stage.handle(read)
        assert taken[0] is read
        stage.in_turn(partial(taken.append, read))
        assert len(taken) == 2
        assert repr(stage) == "<Backlog of desk: open, <Latest: 0 messages, 0 bytes>>"

    run(main())


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop_oldest", [4, 5, 6, 7]), ("drop_newest", [1, 2, 3, 4]), ("latest", [7])]
)
def test_held_it_keeps_what_the_policy_says(run: Run, desk: MakeDesk, policy: str, kept: list[int]) -> None:
    async def main() -> None:
        made, stage = desk_with_backlog(desk, backpressure=policy)
        made.receive(*numbered(0))
        made.channel.is_writable = False
        made.outbox.valve.close()
        made.receive(*numbered(1, 2, 3))
        made.receive(*numbered(4, 5, 6, 7))
        assert made.results == [0]
        made.channel.is_writable = True
        made.outbox.flush()
        assert made.count("dropped") == 7 - len(kept)  # told before anything is handed on
        assert made.results == [0]  # not from within the valve
        await handed_on(stage)
        made.receive(*numbered(8))
        assert made.results == [0, *kept, 8]
        assert made.counts == (9, 2 + len(kept), 0, 0)

    run(main())


def test_what_comes_waits_behind_what_is_kept(run: Run, desk: MakeDesk, monkeypatch: Any) -> None:
    """Not even when it has been let go, and no turn is long enough for all."""
    monkeypatch.setattr(backlog, "TURN_S", 0.0)

    async def main() -> None:
        made, stage = desk_with_backlog(desk, high_water=100)
        stage.pause_reading(made)
        for number in range(10):
            made.receive(*numbered(number))
        stage.resume_reading(made)
        for number in range(10, 13):
            made.receive(*numbered(number))
            assert stage.kept.messages > 0
            await asyncio.sleep(0)
        await handed_on(stage)
        assert made.results == list(range(13))
        assert made.counts == (13, 13, 0, 0)

    run(main())


def test_nothing_is_dropped_that_can_be_taken(run: Run, desk: MakeDesk) -> None:
    """It is let go, and before its turn comes there is a read: what is kept makes room for it."""

    async def main() -> None:
        made, stage = desk_with_backlog(desk)
        stage.pause_reading(made)
        made.receive(*numbered(1, 2, 3, 4))
        stage.resume_reading(made)
        made.receive(*numbered(5, 6, 7, 8))
        assert made.results == [1, 2, 3, 4, 5, 6, 7, 8]
        assert made.count("dropped") == 0

    run(main())


def test_it_stops_as_soon_as_it_is_held_again(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        calls: list[int] = []

        def process(messages: list[int]) -> None:
            calls.append(len(messages))
            if len(calls) == 2:
                stage.pause_reading("another")

        made, stage = desk_with_backlog(desk, process, high_water=10_000)
        stage.pause_reading(made)
        made.receive(*numbered(*range(1000)))
        stage.pause_reading("another")
        stage.resume_reading(made)
        await asyncio.sleep(0)
        assert calls == []  # somebody else holds it
        stage.resume_reading("another")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert calls == [256, 256]
        stage.resume_reading("another")
        await handed_on(stage)
        assert calls == [256, 256, 256, 232]

    run(main())


def test_a_turn_is_bounded(run: Run, desk: MakeDesk) -> None:
    """A slow batch processor doesn't keep the loop until all is handed on."""

    async def main() -> None:
        def process(messages: list[int]) -> None:
            time.sleep(0.03)

        made, stage = desk_with_backlog(desk, process, high_water=10_000)
        stage.pause_reading(made)
        made.receive(*numbered(*range(2560)))
        stage.resume_reading(made)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 256 * 6 <= stage.kept.messages < 2560
        await handed_on(stage)
        assert made.counts == (2560, 0, 2560, 0)

    run(main())


def test_a_valve_that_is_closed_again_at_once_holds_all(run: Run, desk: MakeDesk) -> None:
    """What one hands on closes the valve again; the others, which are let go after it, must not stay open."""

    async def main() -> None:
        valve: Valve[Any] = Valve()
        made, stage = desk_with_backlog(desk, lambda message: valve.close())
        others = [Connection() for _ in range(20)]
        for source in (*others[:10], stage, *others[10:]):
            valve.attach(source)
        valve.close()
        made.receive(*numbered(1))
        valve.open()
        await handed_on(stage)
        assert valve.is_closed
        assert all(other.is_held for other in others)

    run(main())


def test_actions_take_their_turn(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        made, stage = desk_with_backlog(desk)
        insert = made.pipeline.books.insert
        stage.in_turn(partial(insert, b'{"gap":0}\n'))
        stage.pause_reading(made)
        made.receive(*numbered(1, 2))
        stage.in_turn(partial(insert, b'{"gap":1}\n'))
        made.receive(*numbered(3, 4, 5))
        stage.in_turn(partial(insert, b'{"gap":2}\n'))
        assert made.lines == [b'{"gap":0}']
        stage.resume_reading(made)
        await handed_on(stage)
        ends = [line.rpartition(b":")[2] for line in made.lines]
        assert ends == [b"0}", b"2}", b"1}", b"3}", b"4}", b"5}", b"2}"]

    run(main())


def test_too_many_actions_are_given_up_and_told(
    run: Run, desk: MakeDesk, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("scaleout.worker.keeping.MAX_ACTIONS", 2)
    caplog.set_level("DEBUG")

    async def main() -> None:
        _, stage = desk_with_backlog(desk)
        done: list[int] = []
        stage.pause_reading("sink")
        for number in range(5):
            stage.in_turn(partial(done.append, number))
        stage.resume_reading("sink")
        await handed_on(stage)
        assert done == [0, 1]

    run(main())
    assert "3 were given up" in caplog.text


def test_kinds_and_receive_times_are_kept(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        def process(message: str | bytes, context: Context) -> list[Any]:
            return [type(message).__name__, context.received_at]

        made, stage = desk_with_backlog(desk, process)
        stage.pause_reading(made)
        for received_at, kind in enumerate((Kind.TEXT, Kind.BINARY, Kind.TEXT)):
            made.inlet.receive([b"x"], b"x", kind, 2 * 10**18 + received_at)
        stage.resume_reading(made)
        await handed_on(stage)
        assert made.results == [["str", 2 * 10**18], ["bytes", 2 * 10**18 + 1], ["str", 2 * 10**18 + 2]]

    run(main())


def test_an_async_processor_holds_the_backlog(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        let_go = asyncio.Event()

        async def process(message: int) -> int:
            await let_go.wait()
            return message

        made, stage = desk_with_backlog(desk, process)
        connection = Connection()
        made.inlet.attach(connection)
        for number in range(20):
            made.receive(*numbered(number))
        assert made.pipeline.valve.is_closed
        assert (stage.kept.messages, made.count("dropped")) == (4, 11)
        let_go.set()
        await stage.drain(10)
        made.outbox.flush()
        assert made.results == [0, 1, 2, 3, 4, 16, 17, 18, 19]
        assert not connection.is_held

    run(main())


def test_a_slow_processor_holds_the_backlog(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        def process(message: int) -> int:
            time.sleep(0.002)
            return message

        made, stage = desk_with_backlog(desk, process)
        made.receive(*numbered(*range(100)))
        made.receive(*numbered(*range(100, 200)))
        await stage.drain(10)
        made.outbox.flush()
        assert made.results == [*range(100), *range(196, 200)]
        assert made.count("dropped") == 96

    run(main())


# The end


@pytest.mark.parametrize("is_held", [True, False])
def test_drained_it_hands_on_all(run: Run, desk: MakeDesk, is_held: bool) -> None:
    async def main() -> None:
        async def process(message: int) -> int:
            await asyncio.sleep(0)
            return message

        made, stage = desk_with_backlog(desk, process, high_water=600)
        stage.pause_reading(made)
        made.receive(*numbered(*range(1000)))
        if not is_held:
            stage.resume_reading(made)
        await stage.drain(10)
        made.receive(*numbered(1000))  # nothing is kept any more
        await stage.drain(10)
        assert made.results == list(range(400, 1001))
        assert made.count("received") == made.count("delivered") + made.count("dropped") == 1001

    run(main())


def test_what_there_is_no_time_for_is_dropped(run: Run, desk: MakeDesk) -> None:
    async def main() -> None:
        def process(messages: list[int]) -> list[int]:
            time.sleep(0.1)
            return messages

        made, stage = desk_with_backlog(desk, process, high_water=10_000)
        stage.pause_reading(made)
        made.receive(*numbered(*range(2560)))
        marks: list[str] = []
        stage.in_turn(partial(marks.append, "mark"))
        await stage.drain(0.25)
        assert 256 <= made.count("delivered") <= 256 * 4
        assert made.count("received") == made.count("delivered") + made.count("dropped") == 2560
        assert marks == ["mark"]

    run(main())


@given(
    st.sampled_from(POLICIES),
    st.lists(st.integers(1, 5) | st.sampled_from(["hold", "let go", "turn", "action"]), max_size=40),
)
def test_whatever_happens_order_is_kept_and_the_books_balance(
    run: Run, desk: MakeDesk, policy: str, steps: list[Any]
) -> None:
    async def main() -> None:
        made, stage = desk_with_backlog(desk, backpressure=policy)
        number = 0
        marks: list[tuple[int, int]] = []
        for step in steps:
            if step == "hold":
                stage.pause_reading(made)
            elif step == "let go":
                stage.resume_reading(made)
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "action":
                stage.in_turn(lambda number=number: marks.append((number, len(made.results))))  # type: ignore[misc]
            else:
                made.receive(*numbered(*range(number, number + step)))
                number += step
            assert stage.kept.messages <= 4
        await stage.drain(10)
        results = made.results
        assert results == sorted(set(results))
        for after, delivered in marks:
            assert delivered == sum(result < after for result in results)
        assert made.count("received") == made.count("delivered") + made.count("dropped") == number
        assert "hold" in steps or len(results) == number

    run(main())
