"""The messages that cross the pipe between a worker and a helper that processes messages for it."""

from __future__ import annotations

from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.core.ledger import Entry
from scaleout.core.wire import DeadLetter

# Worker → helper


class Outfit(Struct, frozen=True, tag=True):
    """First message: for which endpoint the helper works, and how it logs."""

    slot: int
    endpoint: Endpoint
    envelope: bool
    worker: int | None
    log_level: str
    log_format: str
    secrets: tuple[str, ...]


class Portion(Struct, frozen=True, array_like=True, gc=False):
    """Messages of one read, or some of them."""

    payloads: list[bytes]
    is_text: bool
    received_at: int
    """Unix time in ns."""


class Work(Struct, frozen=True, tag=True):
    """Process these messages; the answer is an `Answer`, or several."""

    number: int
    segments: tuple[tuple[Portion, ...], ...]
    """Something is to be done between two of them, so each has outcomes of its own."""


Order = Outfit | Work

# Helper → worker


class Fit(Struct, frozen=True, tag=True):
    """The helper has its processor, and takes work."""

    cpu: float
    """CPU seconds used so far."""


class Unfit(Struct, frozen=True, tag=True):
    """The helper can't have its processor."""

    reason: str


class Outgoing(Struct, frozen=True, array_like=True):
    """What a processor wants to be sent on the endpoint's connection."""

    is_text: bool
    data: bytes

    @property
    def message(self) -> str | bytes:
        """As the processor gave it."""
        return self.data.decode() if self.is_text else self.data


class Outcome(Struct, frozen=True, array_like=True):
    """What messages have come to."""

    segment: int
    """Index of the segment that they belong to."""
    entry: Entry
    size: int = 0
    """Bytes of the encoded results, which follow one another in the frame's body."""
    dead_letters: tuple[DeadLetter, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()


class Answer(Struct, frozen=True, tag=True):
    """What has come of some work."""

    number: int
    outcomes: tuple[Outcome, ...]
    cpu: float
    """CPU seconds used so far."""
    busy: float
    """Seconds that the processing of this work took."""
    is_last: bool = True
    """False: another answer follows for the same work."""


Reply = Fit | Unfit | Answer
