"""What the tests of control share: a run that notes what it is asked, and views of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from scaleout.config import Endpoint
from scaleout.control.commands import common
from scaleout.control.messages import Reloaded
from scaleout.control.views import EndpointView, MoveView, Status, WorkerView
from scaleout.errors import ControlError

WORKER = WorkerView(
    id=1,
    state="ready",
    endpoints=1,
    rate=12_345.6,
    utilisation=0.873,
    restarts=2,
    cpu_s=3.21,
    received=12_345,
    lag_s=0.0042,
    backlog_bytes=2048,
)
ENDPOINT = EndpointView(
    name="btc",
    worker=1,
    state="live",
    rate=12_345.6,
    bytes_rate=2_048.0,
    cpu=0.25,
    received=9,
    reason="connection lost",
    since=1_000.0,
    stall=None,
    connects=2,
    moves=3,
    moving_to=None,
    streams=(),
    processors=0,
)
MOVE = MoveView(
    at=1_000.0,
    endpoint="btc",
    source=0,
    target=1,
    why="worker 0 is too busy",
    problem=None,
    uncertain=False,
)


@pytest.fixture
def worker_view() -> WorkerView:
    """A worker."""
    return WORKER


@pytest.fixture
def endpoint_view() -> EndpointView:
    """An endpoint that is live."""
    return ENDPOINT


@pytest.fixture
def move_view() -> MoveView:
    """A move that went well."""
    return MOVE


class FakeControl:
    """Stands in the place of a live run, and notes what it is asked."""

    asked: ClassVar[list[tuple[object, ...]]] = []
    problem: ClassVar[Exception | None] = None
    statuses: ClassVar[list[Status]] = [Status(workers=(), endpoints=(), totals={"received": 5})]
    moves: ClassVar[tuple[MoveView, ...]] = (MOVE,)
    reloaded: ClassVar[Reloaded] = Reloaded(source="feeds.toml")
    totals: ClassVar[dict[str, int]] = {"received": 5, "delivered": 5, "in_flight": 0}

    def __init__(self, path: str) -> None:
        self.asked.append(("at", path))
        if self.problem is not None:
            raise self.problem

    def status(self) -> Status:
        return self.statuses[0]

    def watch(self, interval_s: float) -> Iterator[Status]:
        self.asked.append(("watch", interval_s))
        yield from self.statuses

    def add(self, *endpoints: Endpoint, **options: object) -> tuple[str, ...]:
        self.asked.append(("add", endpoints, options))
        return tuple(endpoint.name for endpoint in endpoints)

    def remove(self, *endpoints: str) -> tuple[str, ...]:
        return self._note("remove", *endpoints)

    def pause(self, *endpoints: str) -> tuple[str, ...]:
        return self._note("pause", *endpoints)

    def resume(self, *endpoints: str) -> tuple[str, ...]:
        return self._note("resume", *endpoints)

    def _note(self, what: str, *names: str) -> tuple[str, ...]:
        self.asked.append((what, *names))
        return names

    def move(self, endpoint: str, worker: int) -> MoveView:
        self.asked.append(("move", endpoint, worker))
        return self.moves[0]

    def rebalance(self) -> tuple[MoveView, ...]:
        return self.moves

    def scale(self, workers: int) -> tuple[int, ...]:
        return tuple(range(workers))

    def reload(self) -> Reloaded:
        return self.reloaded

    def drain(self) -> dict[str, int]:
        return self.totals

    def send(self, endpoint: str, text: str) -> None:
        self.asked.append(("send", endpoint, text))

    def change_streams(self, endpoint: str, add: list[str], remove: list[str]) -> None:
        self.asked.append(("streams", endpoint, add, remove))

    @classmethod
    def fail(cls, problem: str) -> None:
        """Refuse everything from now on."""
        cls.problem = ControlError(problem)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Any:
    """In the place of the client."""
    fake = type("Fake", (FakeControl,), {"asked": []})
    monkeypatch.setattr(common, "Control", fake)
    return fake
