"""An endpoint's way in: what its connections bring is counted, before anything is done with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from scaleout.core.frames import Kind
from scaleout.tally import Allowance, Tally
from scaleout.valve import Source
from scaleout.worker.books import Books
from scaleout.worker.decoding import Read
from scaleout.worker.lane import TIMED_EVERY, Lane, Pool


class Stage(Protocol):
    """A step on an endpoint's way: it takes reads in order, and hands on what they come to."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""

    @property
    def is_prompt(self) -> bool:
        """Whether what is taken is handed on at once."""

    def handle(self, read: Read) -> None:
        """Take the messages of a read."""

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something when all that was taken so far has been handed on."""

    def attach(self, source: Source) -> None:
        """Hold this connection back when there is too much to do."""

    def detach(self, source: Source) -> None:
        """Forget a connection."""


class Intake:
    """Notes what is read by a worker.

    Args:
        tally: shared memory that outlives this worker.
        allowance: what may still be received in a run with a limit.
        on_limit: called when the limit has been reached.
    """

    def __init__(self, tally: Tally, allowance: Allowance | None, on_limit: Callable[[], None]) -> None:
        self._messages = tally.messages
        self._bytes = tally.bytes
        self._cpu_ns = tally.cpu_ns
        self._allowance = allowance
        self._on_limit = on_limit

    def lane(self, pool: Pool, inlet: Inlet) -> Lane | None:
        """A short way into a pool; None where each message has to be admitted."""
        if self._allowance is not None:
            return None
        return Lane(pool, inlet, self._messages, self._bytes, self._cpu_ns)

    def received(self, slot: int) -> int:
        """Messages of this slot received by this worker."""
        return self._messages[slot]

    def admit(self, slot: int, count: int) -> int:
        """Note `count` messages; those beyond the limit are not received."""
        if self._allowance is not None:
            granted = self._allowance.take(count)
            if granted < count or self._allowance.is_used_up:
                self._on_limit()
            count = granted
        self._messages[slot] += count
        return count

    def note(self, slot: int, count: int) -> None:
        """Note messages that are received whatever the limit, because their outcome is known."""
        self._messages[slot] += count

    def note_bytes(self, slot: int, count: int) -> None:
        """Note bytes of payload."""
        self._bytes[slot] += count

    def note_cpu(self, slot: int, nanoseconds: int) -> None:
        """Note CPU time that processing has taken."""
        self._cpu_ns[slot] += nanoseconds


class Inlet:
    """Takes what the connections of one endpoint bring.

    Args:
        books: the endpoint's.
        intake: the worker's.
        stage: where the messages go.
    """

    def __init__(self, books: Books, intake: Intake, stage: Stage) -> None:
        self.books = books
        self.stage = stage
        self.lane: Lane | None = None
        """The short way, where there is one."""
        self._intake = intake
        self._until_timed = 1

    @property
    def received(self) -> int:
        """Messages received by this worker."""
        return self._intake.received(self.books.tray.slot)

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> int:
        """Take one read from a connection; `joined` is the payloads with a newline between each two.

        Returns:
            How many messages were received: all of them, unless the run's limit is reached.
        """
        self.settle()
        tray = self.books.tray
        count = self._intake.admit(tray.slot, len(payloads))
        if count < len(payloads):
            payloads = payloads[:count]
            joined = b"\n".join(payloads)
        if count:
            size = len(joined) - count + 1
            tray.received += count
            tray.bytes += size
            self._intake.note_bytes(tray.slot, size)
            self.hand_on(payloads, kind, received_at)
            if self.lane is not None and not self.is_idle:
                self.lane.is_alone = True  # nothing may overtake what waits
        return count

    def hand_on(self, payloads: list[bytes], kind: Kind, received_at: int) -> None:
        """Deal with messages that are noted."""
        read = Read(payloads, kind, received_at)
        self._until_timed -= 1
        if self._until_timed:
            self.stage.handle(read)
        else:
            self._handle_timed(read)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for its turn."""
        return self.stage.is_idle

    def gather_in(self, pool: Pool) -> None:
        """Let messages be gathered with those of other endpoints, where nothing speaks against it."""
        self.lane = self._intake.lane(pool, self)

    def settle(self) -> None:
        """Have what was gathered dealt with."""
        if self.lane is not None:
            self.lane.settle()

    def _handle_timed(self, read: Read) -> None:
        """Handle a read, and take its CPU time for that of all since the last one that was timed."""
        began = time.thread_time_ns()
        self.stage.handle(read)
        self._intake.note_cpu(self.books.tray.slot, (time.thread_time_ns() - began) * TIMED_EVERY)
        self._until_timed = TIMED_EVERY

    def note_uncertain(self) -> None:
        """Count a move to another connection whose messages could not be aligned with those of the one before."""
        self.books.tray.uncertain += 1
        self.books.post()

    def note_filtered(self, payloads: list[bytes]) -> None:
        """Count messages that are no data, as heartbeats are."""
        self._note(payloads)
        self.books.tray.filtered += len(payloads)
        self.books.post()

    def note_duplicates(self, payloads: list[bytes]) -> None:
        """Count messages that have been received before, and are dropped."""
        self._note(payloads)
        self.books.tray.duplicates += len(payloads)
        self.books.post()

    def note_retried(self, payload: bytes) -> None:
        """Count a dead letter that has been tried again; its outcome is to follow."""
        self._note([payload])
        self.books.tray.retried += 1

    def _note(self, payloads: list[bytes]) -> None:
        tray = self.books.tray
        self._intake.note(tray.slot, len(payloads))
        tray.received += len(payloads)
        tray.bytes += sum(map(len, payloads))

    def attach(self, source: Source) -> None:
        """Hold this connection back when there is too much to do."""
        self.stage.attach(source)

    def detach(self, source: Source) -> None:
        """Forget a connection."""
        self.stage.detach(source)
