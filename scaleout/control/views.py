"""A live run as it is seen from outside: its workers, its endpoints, its books, its latest moves."""

from __future__ import annotations

from msgspec import Struct


class WorkerView(Struct, frozen=True):
    """A worker at a moment."""

    id: int
    state: str
    endpoints: int
    """How many it has."""
    rate: float
    """Messages per second of these."""
    utilisation: float
    """Share of a core that it uses."""
    restarts: int
    cpu_s: float
    received: int
    """Messages."""
    lag_s: float
    """How late its loop was with its last heartbeat."""
    backlog_bytes: int


class EndpointView(Struct, frozen=True):
    """An endpoint at a moment."""

    name: str
    worker: int
    """The id of the worker that has it."""
    state: str
    rate: float
    """Messages per second, over the last few seconds."""
    bytes_rate: float
    """Bytes of payload per second, likewise."""
    cpu: float
    """Share of a core that the processing of its messages takes."""
    received: int
    """Messages."""
    reason: str | None
    """What went wrong last, in words."""
    since: float | None
    """Unix time of the last change of state."""
    stall: str | None
    """Why it brings no data although it is live."""
    connects: int
    """Connections opened so far."""
    moves: int
    """To other workers, so far."""
    moving_to: int | None
    """The id of the worker that is about to have it."""
    streams: tuple[str, ...]
    processors: int
    """Helper processes that process its messages."""


class MoveView(Struct, frozen=True):
    """A move of an endpoint to another worker, or an attempt at one."""

    at: float
    """Unix time."""
    endpoint: str
    source: int
    """The id of the worker that had it."""
    target: int
    why: str
    problem: str | None
    """Why it stayed where it was; None: it has moved."""
    uncertain: bool
    """Whether messages may be missing or repeated."""


class Status(Struct, frozen=True):
    """A run at a moment."""

    workers: tuple[WorkerView, ...]
    endpoints: tuple[EndpointView, ...]
    totals: dict[str, int]
    """The books, by term."""
    moves: int = 0
    """So far."""
    recent_moves: tuple[MoveView, ...] = ()
    """The latest, oldest first; those that came to nothing, too."""
