"""A run follows its configuration again: what is asked of it, what it says, and what it tries again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from scaleout import secrets
from scaleout.config import Config, Endpoint
from scaleout.core.ledger import Ledger
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import ChangeStreams, Command
from scaleout.errors import ConfigError, ControlError, Fault
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.reloading import Reloader, Source
from scaleout.supervisor.supervisor import Supervisor

Run = Callable[[Awaitable[Any]], Any]

A = Endpoint(uri="ws://h/a", name="a")
B = Endpoint(uri="ws://h/b", name="b")
C = Endpoint(uri="ws://h/c", name="c")
MANY = Endpoint(
    uri="ws://h/", name="many", streams=("x", "y"), subscribe=("{streams}",), unsubscribe=("{streams}",)
)


class FakeChanges:
    """Changes the roster as it is told, and refuses what concerns endpoints in `refused`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._roster = supervisor.endpoints
        self.asked: list[tuple[object, ...]] = []
        self.refused: set[str] = set()
        self.has_added = asyncio.Event()

    def _note(self, name: str, *asked: object) -> None:
        self.asked.append(asked)
        if name in self.refused:
            raise ControlError("no")

    def add(self, endpoints: Sequence[Endpoint]) -> None:
        for endpoint in endpoints:
            self._note(endpoint.name, "add", endpoint.name)
            self._roster.add(endpoint, 0)
            self.has_added.set()

    async def remove(self, slot: int) -> None:
        self._note(self._roster[slot].endpoint.name, "remove", self._roster[slot].endpoint.name)
        self._roster.remove(slot)

    async def change(self, slot: int, endpoint: Endpoint) -> None:
        self._note(endpoint.name, "change", endpoint.name)
        self._roster[slot].endpoint = endpoint

    async def move(self, slot: int, worker: int) -> None:
        self._note(self._roster[slot].endpoint.name, "move", self._roster[slot].endpoint.name, worker)

    async def scale_by_hand(self, workers: int) -> None:
        self._note("workers", "scale", workers)


class Desk:
    """A run whose configuration file holds `config`; or a fault, where it is an exception."""

    def __init__(self, *endpoints: Endpoint, **keys: Any) -> None:
        self.config: Config | Exception = Config(endpoints=endpoints, **{"workers": 2, **keys})
        assert isinstance(self.config, Config)
        ledger = Ledger()
        self.supervisor = Supervisor(self.config, 2, ledger, Aggregator(ledger, [], None), {})
        self.supervisor.ask = self._ask  # type: ignore[method-assign]
        self.changes = FakeChanges(self.supervisor)
        self.supervisor.changes = self.changes  # type: ignore[assignment]
        self.reloader = Reloader(self.supervisor, Source("feeds.toml", self.read))
        self.asked: list[Command] = []
        self.problem: str | None = None
        self.was_read = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def read(self) -> Config:
        self._loop.call_soon_threadsafe(self.was_read.set)
        if isinstance(self.config, Exception):
            raise self.config
        return self.config

    def now(self, *endpoints: Endpoint, **keys: Any) -> None:
        """Write another file."""
        self.config = Config(endpoints=endpoints, **{"workers": 2, **keys})

    async def _ask(self, slot: int, command: Callable[[int], Command]) -> str | None:
        asked = command(77)
        self.asked.append(asked)
        if self.problem is None and isinstance(asked, ChangeStreams):
            status = self.supervisor.endpoints[slot]
            streams = [stream for stream in status.endpoint.streams if stream not in asked.remove]
            status.endpoint = structs.replace(status.endpoint, streams=(*streams, *asked.add))
        return self.problem


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, from `info` up."""
    logger = logging.getLogger("scaleout")
    propagates, logger.propagate = logger.propagate, True
    with caplog.at_level(logging.INFO, "scaleout"):
        yield caplog
    logger.propagate = propagates


def test_the_smallest_change(run: Run, log: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        desk = Desk(A, B, sink=("x",))
        desk.now(structs.replace(B, linger=1.0), C, workers=3, sink=("y",))
        done = await desk.reloader.reload()
        assert (done.added, done.removed, done.changed) == (("c",), ("a",), ("b",))
        assert (done.workers, done.restart, done.problems) == (3, ("sink",), ())
        assert desk.changes.asked == [("remove", "a"), ("scale", 3), ("change", "b"), ("add", "c")]
        assert [(each.levelname, each.getMessage()) for each in log.records] == [
            (
                "INFO",
                "reloaded feeds.toml: 1 endpoint added, 1 removed, 1 changed, 3 workers from now on",
            ),
            ("WARNING", "restart to apply: sink"),
        ]
        desk.changes.asked.clear()
        again = await desk.reloader.reload()
        assert (again.added, again.workers, again.restart) == ((), None, ("sink",))
        assert desk.changes.asked == []
        assert log.records[-2].getMessage() == "reloaded feeds.toml: nothing has changed"

    run(scenario())


def test_streams_are_changed_on_the_connections_that_there_are(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk(MANY)
        desk.now(structs.replace(MANY, streams=("z", "y")))
        assert (await desk.reloader.reload()).changed == ("many",)
        assert desk.asked == [ChangeStreams(77, 0, ("z",), ("x",))]
        assert desk.changes.asked == []

    run(scenario())


@pytest.mark.parametrize("why", ["worker", "moving", "paused"])
def test_streams_that_can_not_be_changed_there_take_a_new_connection(run: Run, why: str) -> None:
    async def scenario() -> None:
        desk = Desk(MANY)
        status = desk.supervisor.endpoints[0]
        if why == "worker":
            desk.problem = "its worker is being restarted: try again"
        elif why == "moving":
            status.moving_to = 1
        else:
            status.state = EndpointState.PAUSED
        desk.now(structs.replace(MANY, streams=("z", "y")))
        assert (await desk.reloader.reload()).changed == ("many",)
        assert desk.changes.asked == [("change", "many")]
        assert status.endpoint.streams == ("z", "y")

    run(scenario())


def test_an_endpoint_moves_to_the_worker_that_it_belongs_to(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk(A, MANY)
        first, second = desk.supervisor.endpoints
        first.worker = second.worker = 0
        desk.now(structs.replace(A, worker=1), structs.replace(MANY, worker=1, streams=("x",)))
        assert (await desk.reloader.reload()).changed == ("a", "many")
        assert sorted(map(str, desk.changes.asked)) == [
            "('change', 'a')",
            "('change', 'many')",
            "('move', 'a', 1)",
            "('move', 'many', 1)",
        ]
        assert len(desk.asked) == 1
        desk.changes.asked.clear()
        desk.now(structs.replace(A, worker=0), structs.replace(MANY, worker=1, streams=("x",), weight=2.0))
        second.moving_to = 1
        await desk.reloader.reload()
        assert desk.changes.asked == [("change", "a"), ("change", "many")], "they are there, or about to be"

    run(scenario())


def test_an_endpoint_that_has_ended_gets_another_try(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk(A, B)
        desk.supervisor.endpoints[0].state = EndpointState.ENDED
        desk.now(structs.replace(A, linger=1.0), B)
        assert (await desk.reloader.reload()).changed == ("a",)
        assert desk.changes.asked == [("remove", "a"), ("add", "a")]

    run(scenario())


def test_what_fails_is_told_and_tried_again(run: Run, log: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        desk = Desk(A, B)
        desk.changes.refused = {"a", "b", "c", "workers"}
        desk.now(structs.replace(B, linger=1.0), C, workers=3)
        for _ in range(2):
            done = await desk.reloader.reload()
            assert (done.added, done.removed, done.changed, done.workers) == ((), (), (), None)
            assert done.problems == (
                "a isn't removed: no",
                "the number of workers isn't changed: no",
                "b isn't changed: no",
                "1 endpoint can't be added: no",
            )
            assert [each.getMessage() for each in log.records if each.levelname == "ERROR"] == list(
                done.problems
            )
            log.clear()
        desk.changes.refused = set()
        done = await desk.reloader.reload()
        assert (done.added, done.removed, done.changed, done.workers) == (("c",), ("a",), ("b",), 3)
        desk.changes.asked.clear()
        await desk.reloader.reload()
        assert desk.changes.asked == []

    run(scenario())


def test_a_bad_file_changes_nothing(run: Run, log: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        desk = Desk(A, B)
        faults = [Fault("feeds.toml", "wrokers", "unknown key"), Fault("feeds.toml", "sink", "no")]
        desk.config = ConfigError(faults)
        with pytest.raises(ConfigError):
            await desk.reloader.reload()
        assert desk.changes.asked == []
        assert [each.getMessage() for each in log.records] == [
            "feeds.toml isn't reloaded, it has 2 faults; the run goes on as it is",
            "feeds.toml: wrokers: unknown key",
            "feeds.toml: sink: no",
        ]
        desk.config = RuntimeError("oops")
        with pytest.raises(ControlError, match=r"^feeds\.toml can't be read: RuntimeError: oops$"):
            await desk.reloader.reload()
        desk.now(A, B, C)
        assert (await desk.reloader.reload()).added == ("c",)

    run(scenario())


def test_nothing_to_reload(run: Run, log: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        with pytest.raises(ControlError, match="there is nothing to reload"):
            await Reloader(Desk(A).supervisor, None).reload()
        assert [each.levelname for each in log.records] == ["WARNING"]

    run(scenario())


def test_new_secrets_are_learnt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_learnt", {})

    async def scenario() -> None:
        desk = Desk(A)
        desk.now(A, secrets=("hunter22",))
        done = await desk.reloader.reload()
        assert done.restart == ()
        assert secrets.learnt() == ("hunter22",)

    run(scenario())


def test_asked_for_by_a_signal(run: Run) -> None:
    async def scenario() -> None:
        desk = Desk(A)
        keeping = asyncio.ensure_future(desk.reloader.keep_reloading())
        desk.config = ConfigError([Fault("feeds.toml", "x", "y")])
        desk.reloader.ask()
        await asyncio.wait_for(desk.was_read.wait(), 10)
        desk.now(A, B)
        desk.reloader.ask()
        desk.reloader.ask()
        await asyncio.wait_for(desk.changes.has_added.wait(), 10)
        assert [status.endpoint.name for status in desk.supervisor.endpoints] == ["a", "b"]
        desk.supervisor.stop("enough")
        desk.now(A, B, C)
        with pytest.raises(ControlError, match="the run is coming to its end"):
            await desk.reloader.reload()
        keeping.cancel()

    run(scenario())
