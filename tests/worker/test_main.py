"""A worker's commands and reports, with the supervisor's ends of its pipes in a test's hands."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout import secrets
from scaleout.channel import Channel
from scaleout.config import Backoff, Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment
from scaleout.core.wire import (
    Answer,
    Assign,
    Batch,
    ChangeStreams,
    Drained,
    Heartbeat,
    Hide,
    LetterToTry,
    LimitReached,
    Ready,
    Report,
    Result,
    Resume,
    Send,
    Setup,
    StateChange,
    Stop,
    TriedLetter,
    TryLetters,
)
from scaleout.secrets import Redactor
from scaleout.simulator import Ended, Faults, Simulator, SimulatorConfig
from scaleout.tally import Allowance, Tally
from scaleout.worker.main import Worker

Run = Callable[[Awaitable[Any]], Any]

SETUP = Setup(
    worker=3,
    envelope=False,
    log_level="error",
    log_format="text",
    heartbeat_interval=0.01,
    drain_timeout=0.2,
    secrets=("hunter22",),
)


class Boss:
    """The supervisor's side."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.results: list[Result] = []
        self.lines: list[bytes] = []
        self.control: Channel[Report]
        self.taken: Channel[Result]
        self.task: asyncio.Task[None]
        self.tally = Tally(8)
        self._news = asyncio.Event()

    def on_report(self, report: Report, body: memoryview) -> None:
        self.reports.append(report)
        self._news.set()

    def on_result(self, result: Result, body: memoryview) -> None:
        self.results.append(result)
        self.lines += bytes(body).splitlines()
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what has come from the worker fulfils a condition."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    def assign(self, *endpoints: Endpoint, first: int = 0) -> None:
        self.control.send(Assign(tuple(Assignment(first + n, each) for n, each in enumerate(endpoints))))

    def states(self, slot: int) -> list[EndpointState]:
        return [each.state for each in self.changes(slot)]

    def changes(self, slot: int) -> list[StateChange]:
        return [each for each in self.reports if isinstance(each, StateChange) and each.slot == slot]

    def count(self, field: str) -> int:
        batches = [each for each in self.results if isinstance(each, Batch)]
        return sum(getattr(entry, field) for batch in batches for entry in batch.all_entries)

    @property
    def answers(self) -> dict[int, str | None]:
        """What the worker has answered, by request."""
        return {each.request: each.problem for each in self.reports if isinstance(each, Answer)}

    @property
    def retried(self) -> dict[int, TriedLetter]:
        """What has become of letters, by their ids."""
        return {each.id: each for batch in self.results if isinstance(batch, Batch) for each in batch.retried}

    async def stop(self) -> None:
        """Stop the worker, and see that it ends in good order and its books balance."""
        self.control.send(Stop())
        await self.task
        await self.until(lambda: self.results and isinstance(self.results[-1], Drained))
        outcomes = sum(map(self.count, ("delivered", "filtered", "dead_lettered")))
        assert self.count("received") == outcomes == sum(self.tally.read().values())
        assert len(self.lines) == self.count("results")


@contextlib.asynccontextmanager
async def working(allowance: Allowance | None = None) -> AsyncIterator[Boss]:
    """A worker that has been set up."""
    boss = Boss()
    control, control_of_worker = multiprocessing.Pipe(duplex=True)
    results, results_of_worker = multiprocessing.Pipe(duplex=True)
    worker = Worker(boss.tally, allowance)
    boss.control = await Channel.open(control, Report, boss.on_report, lambda exc: None)
    boss.taken = await Channel.open(results, Result, boss.on_result, lambda exc: None)
    await worker.connect(control_of_worker, results_of_worker)
    boss.task = asyncio.ensure_future(worker.run())
    boss.control.send(SETUP)
    try:
        await boss.until(lambda: Ready() in boss.reports)
        yield boss
    finally:
        boss.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await boss.task
        boss.control.abort()
        boss.taken.abort()


def endpoint(uri: str, **keys: Any) -> Endpoint:
    options = {"name": uri, "proxy": False, "backoff": Backoff(initial=0.001, maximum=0.01), **keys}
    return Endpoint(uri=uri, **options)


def test_an_endpoint_from_assignment_to_stop(run: Run) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1, firehose=True)) as simulator, working() as boss:
            boss.assign(endpoint(simulator.endpoints[0].uri))
            await boss.until(lambda: boss.count("delivered") > 1_000 and len(boss.states(0)) == 2)
            assert boss.states(0) == [EndpointState.CONNECTING, EndpointState.LIVE]
            await boss.until(lambda: any(isinstance(report, Heartbeat) for report in boss.reports))
            await boss.stop()
            await simulator.wait_idle()
            (record,) = simulator.connections
            assert (record.ended, record.close_code) == (Ended.CLIENT, 1001)

    run(scenario())


def test_assignments_may_come_one_after_the_other(run: Run) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=2, rate=2_000, count=50, at_end="hold")
        async with Simulator(config) as simulator, working() as boss:
            first, second = (endpoint(each.uri) for each in simulator.endpoints)
            boss.assign(first)
            await boss.until(lambda: boss.states(0)[-1:] == [EndpointState.LIVE])
            boss.assign(second, first=1)
            await boss.until(lambda: boss.count("delivered") == 100)
            await boss.stop()

    run(scenario())


def test_trouble_at_one_endpoint_is_its_own(run: Run, unused_port: int) -> None:
    async def scenario() -> None:
        good = SimulatorConfig(endpoints=1, rate=2_000, count=500, at_end="hold")
        bad = SimulatorConfig(
            endpoints=1, rate=2_000, faults=Faults(garbage_share=0.5, disconnect_every_s=0.05)
        )
        async with Simulator(good) as feed, Simulator(bad) as broken, working() as boss:
            boss.assign(
                endpoint(feed.endpoints[0].uri),
                endpoint(broken.endpoints[0].uri),
                endpoint(f"ws://127.0.0.1:{unused_port}"),
                endpoint("ws://127.0.0.1:1", processor="no_such_module_anywhere:hunter22"),
            )
            await boss.until(
                lambda: boss.tally.messages[0] == 500 and boss.states(1).count(EndpointState.BACKOFF) >= 3
            )
            await boss.until(lambda: boss.states(2).count(EndpointState.BACKOFF) >= 3)
            assert boss.states(0) == [EndpointState.CONNECTING, EndpointState.LIVE]
            (ended,) = boss.changes(3)
            assert ended.state is EndpointState.ENDED
            assert "no module named 'no_such_module_anywhere'" in str(ended.error)
            await boss.stop()

    run(scenario())


def test_what_is_asked_is_answered(run: Run) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1, rate=1_000)) as simulator, working() as boss:
            boss.assign(endpoint(simulator.endpoints[0].uri))
            await boss.until(lambda: boss.states(0)[-1:] == [EndpointState.LIVE])
            boss.control.send(Resume(1, 0))
            boss.control.send(Send(2, 0, "hello"))
            boss.control.send(ChangeStreams(3, 0, ("x",)))
            boss.control.send(
                TryLetters(4, 0, (LetterToTry(9, b"{}", True, 5), LetterToTry(10, b"{", True, 5)))
            )
            await boss.until(lambda: len(boss.answers) == 4)
            assert boss.answers == {
                1: None,
                2: None,
                3: f"{simulator.endpoints[0].uri} has no streams",
                4: None,
            }
            await boss.until(lambda: len(boss.retried) == 2)
            assert boss.retried[9] == TriedLetter(9, results=1)
            assert boss.retried[10].stage == "decode"
            assert boss.count("retried") == 2
            await boss.stop()
            await simulator.wait_idle()
            (record,) = simulator.connections
            assert record.received == ("hello",)

    run(scenario())


def test_what_is_asked_of_an_endpoint_that_is_not_there_harms_nobody(run: Run) -> None:
    async def scenario() -> None:
        async with working() as boss:
            boss.assign(endpoint("ws://127.0.0.1:1", processor="no_such_module_anywhere:f"))
            await boss.until(lambda: boss.states(0) == [EndpointState.ENDED])
            for slot in (0, 7):
                boss.control.send(Resume(slot + 1, slot))
                boss.control.send(Send(slot + 2, slot, "hello"))
                boss.control.send(ChangeStreams(slot + 3, slot, ("x",)))
                boss.control.send(TryLetters(slot + 4, slot, (LetterToTry(9, b"{}", True, 5),)))
            await boss.until(lambda: len(boss.answers) == 8)
            assert set(boss.answers.values()) == {"its worker has not started it"}
            await boss.stop()

    run(scenario())


def test_values_that_come_into_the_live_run_are_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_learnt", {})

    async def scenario() -> None:
        async with working() as boss:
            boss.control.send(Hide(("swordfish",)))
            boss.control.send(Resume(1, 99))
            await boss.until(lambda: 1 in boss.answers)
            assert Redactor(SETUP.secrets)("hunter22 swordfish") == "*** ***"
            await boss.stop()

    run(scenario())


def test_a_text_for_an_endpoint_that_is_not_connected(run: Run, unused_port: int) -> None:
    async def scenario() -> None:
        async with working() as boss:
            boss.assign(endpoint(f"ws://127.0.0.1:{unused_port}", name="btc"))
            await boss.until(lambda: EndpointState.BACKOFF in boss.states(0))
            boss.control.send(Send(1, 0, "hello"))
            await boss.until(lambda: boss.answers)
            assert boss.answers == {1: "btc is not connected"}
            await boss.stop()

    run(scenario())


def test_calls_that_hang_do_not_hold_up_the_stop(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging_feed.py").write_text(
        "import asyncio\n\n\nasync def hang(message: object) -> object:\n    await asyncio.Event().wait()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=5_000, count=50, at_end="hold")
        async with Simulator(config) as simulator, working() as boss:
            boss.assign(endpoint(simulator.endpoints[0].uri, processor="hanging_feed:hang"))
            await boss.until(lambda: boss.states(0)[-1:] == [EndpointState.LIVE])
            await boss.until(lambda: boss.tally.messages[0] == 50)  # looked at with each heartbeat
            await boss.stop()
            assert boss.count("dead_lettered") == 50
            reasons = {
                letter.reason
                for batch in boss.results
                if isinstance(batch, Batch)
                for letter in batch.dead_letters
            }
            assert reasons == {"still being processed 0.2 s after the run was stopped"}

    run(scenario())


def test_the_limit_is_reported_once_and_is_exact(run: Run) -> None:
    async def scenario() -> None:
        with Allowance() as allowance:
            allowance.grant(1_234)
            config = SimulatorConfig(endpoints=2, firehose=True)
            async with Simulator(config) as simulator, working(allowance) as boss:
                boss.assign(*(endpoint(each.uri) for each in simulator.endpoints))
                await boss.until(lambda: LimitReached() in boss.reports)
                await boss.stop()
                assert boss.reports.count(LimitReached()) == 1
                assert boss.count("received") == len(boss.lines) == 1_234

    run(scenario())


def test_a_worker_ends_when_its_supervisor_is_gone(run: Run) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1)) as simulator, working() as boss:
            boss.assign(endpoint(simulator.endpoints[0].uri))
            await boss.until(lambda: boss.states(0)[-1:] == [EndpointState.LIVE])
            boss.control.abort()
            boss.taken.abort()
            await boss.task
            await simulator.wait_idle()

    run(scenario())
