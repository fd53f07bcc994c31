"""Gaps in numbered messages: found, counted, and written into the output where they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.marks import NumbersMark
from scaleout.core.sequence import Findings, Gap, SequenceTracker
from scaleout.logs import EndpointLogger
from scaleout.worker.inlet import Inlet
from scaleout.worker.telling import Telling

MANY_UNNUMBERED = 100
"""With so many messages without a number, `sequence` leads nowhere."""
MAX_CARRIED_KEYS = 1_000
"""With more keys, gaps aren't seen across the death of a worker: each batch would have to look at all of them."""

Act = Callable[[Gap], None]

_encoder = msgspec.json.Encoder()


class Numbering:
    """What the numbers of an endpoint's messages are expected to be, over all its connections.

    Args:
        endpoint: says where the numbers are.
        inlet: takes the messages.
        before: what was expected in a worker that is gone.
    """

    def __init__(self, endpoint: Endpoint, inlet: Inlet, before: NumbersMark | None = None) -> None:
        self._endpoint = endpoint
        self._slot = inlet.books.tray.slot
        self._is_shared = endpoint.sequence_scope == "endpoint"
        self.tracker = self._make_tracker()
        self._reported: dict[str | int | None, int] = {}
        if self._is_shared:
            inlet.books.tray.numbers = self._take_changes
            if before is not None:
                self.tracker.resume(before.expected)

    def _make_tracker(self) -> SequenceTracker:
        endpoint = self._endpoint
        assert endpoint.sequence is not None
        return SequenceTracker(
            endpoint.sequence, endpoint.sequence_key, endpoint.sequence_first, endpoint.sequence_previous
        )

    def begin(self) -> None:
        """A connection was opened after none was there, or is another one than before."""
        if self._is_shared:
            self.tracker.restart()
        else:
            self.tracker = self._make_tracker()

    @property
    def mark(self) -> NumbersMark | None:
        """What is expected, for the worker that goes on in the place of this one."""
        return NumbersMark(self._slot, tuple(self.tracker.carried.items())) if self._is_shared else None

    def go_on_from(self, mark: NumbersMark | None) -> None:
        """Go on where another worker has come to."""
        if self._is_shared and mark is not None:
            self.tracker.resume(mark.expected)

    def _take_changes(self) -> NumbersMark | None:
        """What has changed since the last batch, for the worker that comes after this one if it dies."""
        expected = self.tracker.expected
        if len(expected) > MAX_CARRIED_KEYS:
            return None
        changed = expected.items() - self._reported.items()
        if not changed:
            return None
        self._reported = dict(expected)
        return NumbersMark(self._slot, tuple(changed))


class GapWatch:
    """Looks at the numbers of one connection's messages on their way to the inlet.

    Args:
        endpoint: the configuration.
        inlet: takes the messages.
        numbering: what is expected of them.
        act: called with each gap.
        logger: knows the endpoint.
    """

    def __init__(
        self, endpoint: Endpoint, inlet: Inlet, numbering: Numbering, act: Act, logger: EndpointLogger
    ) -> None:
        self._endpoint = endpoint
        self._inlet = inlet
        self._numbering = numbering
        self._act = act
        self._log = logger
        self._told = Telling()
        self._unnumbered: int | None = 0
        """Messages so far, while none of them had a number."""

    def begin(self) -> None:
        """A connection was opened after none was there, or is another one than before."""
        self._numbering.begin()

    def _track(self, payloads: list[bytes]) -> Findings:
        findings = self._numbering.tracker.track(payloads)
        if self._unnumbered is not None:
            self._look_for_numbers(len(payloads))
        tray = self._inlet.books.tray
        tray.repeats += findings.repeats
        tray.backwards += findings.backwards
        return findings

    def _look_for_numbers(self, messages: int) -> None:
        """Warn, once, where the path leads nowhere: then no gap would ever be found."""
        assert self._unnumbered is not None
        self._unnumbered += messages
        if self._numbering.tracker.expected:
            self._unnumbered = None
        elif self._unnumbered >= MANY_UNNUMBERED:
            self._log.warning(
                "none of the first %d messages has a number at %s: no gap can be found",
                self._unnumbered,
                self._endpoint.sequence,
            )
            self._unnumbered = None

    def pass_by(self, payloads: list[bytes], received_at: int) -> None:
        """Look at the numbers of messages that are no data, and go no further."""
        for _, gap in self._track(payloads).gaps:
            self._note(gap, received_at)

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> int:
        """Take a read from the connection; returns how many of its messages were received."""
        findings = self._track(payloads)
        if not findings.gaps:
            return self._inlet.receive(payloads, joined, kind, received_at)
        received = start = 0
        for index, gap in [*findings.gaps, (len(payloads), None)]:
            part = payloads[start:index]
            if part:
                count = self._inlet.receive(part, b"\n".join(part), kind, received_at)
                received += count
                if count < len(part):
                    break  # the run's limit: what comes after isn't received
            if gap is not None:
                self._note(gap, received_at)
            start = index
        return received

    def _note(self, gap: Gap, received_at: int) -> None:
        books = self._inlet.books
        books.tray.gaps += 1
        books.tray.missed += gap.missed
        if self._endpoint.gap_records:
            line = self._record(gap, received_at)
            self._inlet.stage.in_turn(partial(books.insert, line))
        else:
            books.post()
        self._tell(gap)
        self._act(gap)

    def _record(self, gap: Gap, received_at: int) -> bytes:
        what: dict[str, object] = {"expected": gap.expected, "got": gap.got}
        if gap.key is not None:
            what["key"] = gap.key
        record = {"endpoint": self._endpoint.name, "received_at": received_at, "gap": what}
        return _encoder.encode(record) + b"\n"

    def _tell(self, gap: Gap) -> None:
        """Log a gap, unless one was logged just now."""
        more = self._told.more()
        if more is not None:
            of_key = f" of {gap.key}" if gap.key is not None else ""
            self._log.warning("gap%s: expected %d, got %d%s", of_key, gap.expected, gap.got, more)
