"""The messages that cross the pipes between supervisor and workers.

Two pipes join each worker to its supervisor. *Control* goes both ways: commands down, reports up. *Results*
go up alone, in order and under backpressure; a full results pipe never holds up a heartbeat.
"""

from __future__ import annotations

from msgspec import Struct

from scaleout.core.ledger import Entry
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.marks import Assignment, CursorMark, NumbersMark
from scaleout.core.movewire import MoveCommand, MoveReport, Tails
from scaleout.core.plain import entries_in, received_in

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
    budgeted: tuple[str, ...] = ()
    """Hosts that the supervisor grants connects to."""
    core: int | None = None
    """That this worker is to keep to."""
    cores: tuple[int, ...] = ()
    """All that the run may use, where workers keep to one each."""


class Assign(Struct, frozen=True, tag=True):
    """Run these endpoints from now on."""

    assignments: tuple[Assignment, ...]


class Release(Struct, frozen=True, tag=True):
    """Let an endpoint go: close its connections; what was held for a move another worker has delivered."""

    slot: int


class Stop(Struct, frozen=True, tag=True):
    """Stop reading, hand over what is in flight, close the connections, end."""


class Grant(Struct, frozen=True, tag=True):
    """The connect that was asked for may begin."""

    ticket: int


class Recall(Struct, frozen=True, tag=True):
    """The spare must end: a first connection needs its place."""

    ticket: int


class Hide(Struct, frozen=True, tag=True):
    """Blot these values, too, out of every text for people: they have come into the live run."""

    secrets: tuple[str, ...]


class Resume(Struct, frozen=True, tag=True):
    """End an endpoint's quarantine, or its wait: connect at once."""

    request: int
    slot: int


class Send(Struct, frozen=True, tag=True):
    """Send a text on an endpoint's connection."""

    request: int
    slot: int
    text: str


class ChangeStreams(Struct, frozen=True, tag=True):
    """Add streams to an endpoint, and take others away."""

    request: int
    slot: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class LetterToTry(Struct, frozen=True):
    """A dead letter that is to be tried again."""

    id: int
    payload: bytes
    is_text: bool
    received_at: int
    """Unix time in ns."""


class TryLetters(Struct, frozen=True, tag=True):
    """Try dead letters of an endpoint again; what comes of each is reported as `TriedLetter`."""

    request: int
    slot: int
    letters: tuple[LetterToTry, ...]


Command = (
    Setup
    | Assign
    | Release
    | Stop
    | Grant
    | Recall
    | Hide
    | Resume
    | Send
    | ChangeStreams
    | TryLetters
    | MoveCommand
)

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
    own_cpu: float = 0.0
    """Of `cpu`, what the worker has used without its helpers."""


class StateChange(Struct, frozen=True, tag=True):
    """An endpoint's connection changed its state."""

    slot: int
    state: EndpointState
    connects: int
    """Connections opened by this worker since it has the endpoint."""
    error: str | None
    """What went wrong last, in words."""
    stall: Stall | None = None
    streams: tuple[str, ...] | None = None
    """Those that there are, where they have changed."""
    processors: int = 0
    """Helper processes that process its messages."""


class Ask(Struct, frozen=True, tag=True):
    """May this worker connect to that host? The answer is a `Grant`."""

    ticket: int
    host: str
    is_spare: bool = False
    """Whether it is beside a connection that delivers: as a standby, or to move to."""


class AttemptEnded(Struct, frozen=True, tag=True):
    """A connect that was granted has become a connection."""

    ticket: int


class ConnectionEnded(Struct, frozen=True, tag=True):
    """The connection is gone, or the connect has failed, or isn't wanted any more."""

    ticket: int


class TakenOver(Struct, frozen=True, tag=True):
    """A spare delivers in the place of another connection, which is the spare until its end."""

    ticket: int
    """The spare's."""
    instead_of: int | None
    """None: the other one is another worker's."""


BudgetReport = Ask | AttemptEnded | ConnectionEnded | TakenOver


class Answer(Struct, frozen=True, tag=True):
    """What has become of a request."""

    request: int
    problem: str | None = None


class LimitReached(Struct, frozen=True, tag=True):
    """The run's limit of messages has been received."""


Report = Ready | Heartbeat | StateChange | BudgetReport | Answer | LimitReached | MoveReport

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


class TriedLetter(Struct, frozen=True):
    """What has become of a dead letter that was tried again."""

    id: int
    reason: str | None = None
    """Why it is dead still; None: it isn't."""
    traceback: str | None = None
    stage: str = "process"
    results: int = 0
    """Lines that it has come to."""


class Batch(Struct, frozen=True, tag=True):
    """What a worker did since its last batch; the encoded results follow in the frame's body."""

    entries: tuple[Entry, ...] = ()
    """Of the endpoints that `plain` doesn't say enough of."""
    dead_letters: tuple[DeadLetter, ...] = ()
    cursors: tuple[CursorMark, ...] = ()
    """How far the endpoints have come with this batch."""
    retried: tuple[TriedLetter, ...] = ()
    numbers: tuple[NumbersMark, ...] = ()
    tails: tuple[Tails, ...] = ()
    plain: bytes = b""
    """Words of most endpoints, see `core.plain`."""

    @property
    def all_entries(self) -> tuple[Entry, ...]:
        """Those that `plain` says enough of, too."""
        return self.entries + tuple(
            Entry(
                slot, sums.received, sums.delivered, sums.filtered, results=sums.delivered, bytes=sums.bytes
            )
            for slot, sums in entries_in(self.plain)
        )

    @property
    def received(self) -> int:
        """Messages that were received, over all endpoints."""
        return sum(entry.received for entry in self.entries) + received_in(self.plain)


class Drained(Struct, frozen=True, tag=True):
    """Last message of a worker that ends in good order."""

    cpu: float
    """CPU seconds used by the worker."""


class Released(Struct, frozen=True, tag=True):
    """An endpoint has been let go; all it had delivered came before this."""

    slot: int


Result = Batch | Released | Drained
