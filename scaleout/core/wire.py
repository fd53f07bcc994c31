"""The messages that cross the pipes between supervisor and workers.

Two pipes join each worker to its supervisor. *Control* goes both ways: commands down, reports up. *Results*
go up alone, in order and under backpressure; a full results pipe never holds up a heartbeat.
"""

from __future__ import annotations

from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.core.ledger import Entry
from scaleout.core.lifecycle import EndpointState

# Commands: supervisor → worker


class Setup(Struct, frozen=True, tag=True):
    """First command: how this worker runs."""

    worker: int
    envelope: bool
    log_level: str
    log_format: str
    heartbeat_interval: float
    """Seconds between two heartbeats."""
    drain_timeout: float
    """Seconds that a stopping worker waits for its processors."""
    secrets: tuple[str, ...]


class Assignment(Struct, frozen=True):
    """An endpoint and its number in this run."""

    slot: int
    endpoint: Endpoint


class Assign(Struct, frozen=True, tag=True):
    """Run these endpoints from now on."""

    assignments: tuple[Assignment, ...]


class Stop(Struct, frozen=True, tag=True):
    """Stop reading, hand over what is in flight, close the connections, end."""


Command = Setup | Assign | Stop

# Reports: worker → supervisor


class Ready(Struct, frozen=True, tag=True):
    """The worker's loop runs; it takes assignments."""


class Heartbeat(Struct, frozen=True, tag=True):
    """Sent from the worker's event loop at intervals: a loop that is stuck sends none."""

    lag: float
    """Seconds that the loop was late with this heartbeat."""
    cpu: float
    """CPU seconds used by the worker so far."""
    backlog: int
    """Bytes of results that wait for the pipe."""


class StateChange(Struct, frozen=True, tag=True):
    """An endpoint's connection changed its state."""

    slot: int
    state: EndpointState
    connects: int
    """Connections opened by this worker so far."""
    error: str | None
    """What went wrong last, in words."""


class LimitReached(Struct, frozen=True, tag=True):
    """The run's limit of messages has been received."""


Report = Ready | Heartbeat | StateChange | LimitReached

# Results: worker → aggregator


class DeadLetter(Struct, frozen=True):
    """A message that could not be processed, as it was received."""

    slot: int
    stage: str
    """`decode` or `process`; what can't be encoded has failed in `process`."""
    reason: str
    payload: bytes
    is_text: bool
    received_at: int
    """Unix time in ns."""
    traceback: str | None = None


class Batch(Struct, frozen=True, tag=True):
    """What a worker did since its last batch; the encoded results follow in the frame's body."""

    entries: tuple[Entry, ...]
    dead_letters: tuple[DeadLetter, ...] = ()


class Drained(Struct, frozen=True, tag=True):
    """Last message of a worker that ends in good order."""

    cpu: float
    """CPU seconds used by the worker."""


Result = Batch | Drained
