"""Real helper processes: whatever a processor does there, it comes to what it would in the worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scaleout.core.frames import Kind
from scaleout.core.spreadwire import Answer
from scaleout.worker.spread import process
from scaleout.worker.spread.line import MAX_DEATHS

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]

MIXED = """
from scaleout import Reject

def process(number: int) -> object:
    print(f"at number {number}")
    match number % 10:
        case 1:
            return None
        case 2:
            raise ValueError(f"number {number}")
        case 3:
            raise Reject("not this one")
        case 4:
            raise SystemExit(3)
        case 5:
            return {1, object()}
        case 6:
            return iter([number, -number])
        case 7:
            return iter([])
    return number
"""

BATCH = """
def process(numbers: list[int]) -> list[int]:
    if len(numbers) == 1:
        raise ValueError("alone")
    return [sum(numbers)]
"""

LARGE = """
def process(size: int) -> str:
    return "x" * size
"""

DEADLY = """
import os, signal

def process(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
"""

STUCK = """
import time

def process(number: int) -> int:
    if number == 3:
        time.sleep(60)
    return number
"""

UNFIT = """
import multiprocessing

if multiprocessing.parent_process() is not None:
    raise RuntimeError("not in a helper")

def process(number: int) -> int:
    return number
"""


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


def test_every_outcome_is_as_it_would_be_in_the_worker(
    spread_desk: MakeDesk,
    run: Run,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(processors: int | str) -> tuple[object, ...]:
        desk = spread_desk(MIXED, processors=processors)
        desk.receive_numbers(*range(30))
        desk.receive(b"{", b"30", b"oops")
        desk.receive(b"38", b"\xff", kind=Kind.BINARY)
        await desk.drain()
        letters = [
            (each.payload, each.stage, each.reason, each.is_text, bool(each.traceback)) for each in desk.dead
        ]
        return desk.counts, desk.output, letters, desk.inlet.books.undecodable

    with caplog.at_level(logging.WARNING, "scaleout"):
        expected = run(scenario("auto"))
        told = len(caplog.messages)
        capfd.readouterr()
        found = run(scenario(1))
    assert found == expected
    assert expected[0] == (35, 14, 6, 15)
    assert expected[3] == 3
    out, err = capfd.readouterr()
    assert "at number 29\n" in err and not out
    assert "dead letter" not in err
    assert caplog.messages[told:] == caplog.messages[:told]
    assert not children()


def test_a_batch_processor_gets_whole_reads(spread_desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        desk = spread_desk(BATCH, processors=2)
        reads = [range(300), range(2), range(1), range(40)]
        for read in reads:
            desk.receive_numbers(*read)
        await desk.drain()
        assert desk.results == [sum(read) for read in reads if len(read) > 1]
        assert desk.counts == (343, 342, 0, 1)

    run(scenario())


@pytest.mark.parametrize("has_actions", [True, False])
def test_results_that_are_too_large_to_wait_come_in_parts(
    spread_desk: MakeDesk, run: Run, monkeypatch: pytest.MonkeyPatch, has_actions: bool
) -> None:
    answers: list[Answer] = []
    take = process.HelperProcess._take

    def note(helper: process.HelperProcess, answer: Answer, body: memoryview) -> None:
        answers.append(answer)
        assert len(body) <= 20 * 2**20
        take(helper, answer, body)

    monkeypatch.setattr(process.HelperProcess, "_take", note)

    async def scenario() -> None:
        desk = spread_desk(LARGE, processors=1, envelope=False)
        sizes = [9 * 2**20, 9 * 2**20, 17 * 2**20, 1, 3]
        done: list[int] = []
        for size in sizes:
            desk.receive_numbers(size)
            if has_actions:
                desk.pipeline.in_turn(lambda: done.append(desk.so_far("delivered")))
        await desk.drain()
        assert [len(line) - 2 for line in desk.lines] == sizes
        assert desk.counts == (5, 5, 0, 0)
        assert done == ([1, 2, 3, 4, 5] if has_actions else [])
        assert any(not answer.is_last for answer in answers)

    run(scenario())


def test_a_message_that_kills_its_process(
    spread_desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        desk = spread_desk(DEADLY, processors=1)
        desk.receive_numbers(*range(8))
        await desk.drain()
        assert desk.counts == (8, 7, 0, 1)
        assert desk.results == [0, 1, 2, 4, 5, 6, 7]
        (letter,) = desk.dead
        assert letter.payload == b"3"
        assert letter.reason == f"{MAX_DEATHS} processes died while they processed it: killed by SIGKILL"

    with caplog.at_level(logging.WARNING, "scaleout"):
        run(scenario())
    assert caplog.messages.count("a helper process died (killed by SIGKILL)") == MAX_DEATHS


def test_a_helper_that_is_stuck_is_killed(
    spread_desk: MakeDesk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE_S", 2.0)
    monkeypatch.setattr("scaleout.worker.spread.spread.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("scaleout.worker.spread.line.MAX_DEATHS", 1)

    async def scenario() -> None:
        desk = spread_desk(STUCK, processors=1)
        await ready(desk)
        desk.receive_numbers(3)
        await desk.until(lambda: desk.dead)
        assert (
            desk.dead[0].reason
            == "1 processes died while they processed it: stuck: no answer for 2 s, killed"
        )
        await desk.drain()

    run(scenario())


async def ready(desk: Any) -> None:
    """Wait until a helper takes work."""
    desk.receive_numbers(1)
    await desk.until(lambda: desk.results)


def test_a_processor_that_is_unfit_for_helpers_is_told_of(
    spread_desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        desk = spread_desk(UNFIT, processors=1)
        desk.receive_numbers(1)
        await desk.drain(3.0)
        assert desk.counts == (1, 0, 0, 1)

    with caplog.at_level(logging.WARNING, "scaleout"):
        run(scenario())
    assert "importing processing failed: RuntimeError: not in a helper" in caplog.messages[0]
    assert not children()


def test_killed_while_they_work(spread_desk: MakeDesk, run: Run) -> None:
    source = "import time\ndef process(number: int) -> int:\n    time.sleep(0.001)\n    return number\n"

    async def scenario() -> None:
        desk = spread_desk(source, processors=2, high_water=10_000)
        desk.receive_numbers(*range(600))
        for killed in range(3):
            await desk.until(lambda killed=killed: len(desk.results) > 100 * (killed + 1))
            victims = children()
            os.kill(victims[killed % len(victims)].pid, signal.SIGKILL)
        await desk.drain()
        assert desk.results == list(range(600))
        assert desk.counts == (600, 600, 0, 0)
        assert desk.pipeline.cpu_s > 0.2

    run(scenario())


def test_helpers_end_with_the_stage_even_if_the_loop_is_cancelled(
    spread_desk: MakeDesk, run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        desk = spread_desk(STUCK, processors=2)
        await ready(desk)
        desk.receive_numbers(3)
        await asyncio.sleep(0)
        assert len(children()) == 2

    run(scenario())
    assert not children()
