# cython: annotation_typing=False
"""The short way for messages that all want the same: gathered over many connections, and dealt with together.

Where thousands of connections bring a message each, what is done for a read costs more than what is done for a
message. So nothing is done for a read but to note it. What the reads of one `linger` have brought is decoded,
processed and encoded in one go, whichever endpoints it belongs to, as long as these have the same processor.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time_ns
from typing import Protocol

from scaleout.core.frames import Kind
from scaleout.core.runs import Run
from scaleout.worker.books import Books
from scaleout.worker.encoding import HEAD_END
from scaleout.worker.tray import Tray

TIMED_EVERY = 17
"""One message in so many is timed, or all that came with it; a prime, lest it keeps step with the feed."""

FLUSH_BYTES, FLUSH_MESSAGES = 64 * 2**10, 512
"""With so much payload, in so many messages, it isn't waited for more: what is done once for all of them is a small
part of the whole by then."""
MOST_BYTES = 2**20
"""Nor with so much, however few the messages are."""
SLOW_NS = 20_000
"""CPU time of a message from which on gathering gains nothing: each endpoint then works by itself, and shows what
its messages cost."""
LONG_NS = 2_000_000
"""With less at a time, nobody waits for long, and few messages say little of what others cost."""
SLOW_FLUSHES = 3
"""In a row: the first messages of all cost more than those that follow."""
ALONE_S = 1.0
"""For how long; then it is tried again."""


class Timer(Protocol):
    """What has been set to happen later."""

    def cancel(self) -> None:
        """Let it not happen."""


class Clock(Protocol):
    """What is seen of the loop."""

    def time(self) -> float:
        """In seconds."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back after so many seconds."""


class Work(Protocol):
    """What is done with messages that have been gathered."""

    def handle(self, portions: list[Portion], kind: Kind, patience_s: float) -> None:
        """Deal with them, in order; what they come to may wait for so long."""


class LongWay(Protocol):
    """Where messages go that can't be gathered: each endpoint's own way."""

    books: Books

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits there."""

    def hand_on(self, payloads: list[bytes], kind: Kind, received_at: int) -> None:
        """Deal with messages that are noted."""


class Portion:
    """What one read has brought to a pool."""

    def __init__(self, lane: Lane, run: Run, received_at: int) -> None:
        self.lane = lane
        self.run = run
        self.received_at = received_at

    def head(self) -> bytes:
        """What stands before each of its results in an envelope."""
        return self.lane.head + str(self.received_at).encode() + HEAD_END


def payloads_of(portions: list[Portion]) -> list[bytes]:
    """All payloads, in order."""
    if len(portions) == 1:
        return portions[0].run.payloads()
    payloads: list[bytes] = []
    for portion in portions:
        payloads += portion.run.payloads()
    return payloads


def settle(portions: list[Portion], results: list[int] | None) -> list[Tray]:
    """Count messages as dealt with.

    Args:
        portions: the messages.
        results: how many each portion has come to, where it isn't one for each message.

    Returns:
        The trays that nothing had been in since they were last emptied.
    """
    opened: list[Tray] = []
    for index, portion in enumerate(portions):
        count = portion.run.count
        tray = portion.lane.tray
        tray.settle(count, count if results is None else results[index])
        if not tray.is_open:
            tray.is_open = True
            opened.append(tray)
    return opened


class Lane:
    """One endpoint's way into a pool.

    Args:
        pool: where messages of the same kind are gathered.
        inlet: the long way.
        messages: of the tally, see `Tally`; likewise the others.
    """

    def __init__(
        self, pool: Pool, inlet: LongWay, messages: memoryview, size_bytes: memoryview, cpu_ns: memoryview
    ) -> None:
        self.inlet = inlet
        self.books = inlet.books
        self.tray = inlet.books.tray
        self.head = inlet.books.head
        self.waiting = 0
        """Messages that are gathered, and not dealt with yet."""
        self.is_alone = False
        """Whether messages may still wait on the long way."""
        self._pool = pool
        self._slot = self.tray.slot
        self._messages = messages
        self._bytes = size_bytes
        self._cpu_ns = cpu_ns

    def take(self, run: Run, kind: Kind, received_at: int) -> None:
        """Take messages of a read: they are noted, and dealt with soon."""
        self._pool.expect(kind)  # which may come to leave earlier ones to the long way
        self._messages[self._slot] += run.count
        self._bytes[self._slot] += run.size_bytes
        self.tray.note(run.count, run.size_bytes)
        if self._pool.is_off or self.is_alone:
            self._take_long_way(run, kind, received_at)
        else:
            self._pool.add(self, run, received_at)

    def _take_long_way(self, run: Run, kind: Kind, received_at: int) -> None:
        if self._pool.is_off:
            self._pool.look()
            self.is_alone = True
        self.inlet.hand_on(run.payloads(), kind, received_at)
        self.is_alone = not self.inlet.is_idle

    def note_cpu(self, nanoseconds: int) -> None:
        """Note CPU time that the messages have taken."""
        self._cpu_ns[self._slot] += nanoseconds

    def settle(self) -> None:
        """Have all that is gathered dealt with."""
        if self.waiting:
            self._pool.flush()


class Pool:
    """Gathers messages.

    Args:
        work: what is done with them.
        linger_s: how long they may wait; 0: they don't.
        clock: the loop.
        on_flush: told of how many reads have been dealt with together.
    """

    def __init__(
        self, work: Work, linger_s: float, clock: Clock, on_flush: Callable[[int], object] | None = None
    ) -> None:
        self.is_off = False
        """Whether messages cost so much that each endpoint goes its own way for a while."""
        self._work = work
        self._linger_s = linger_s
        self._clock = clock
        self._on_flush = on_flush
        self._portions: list[Portion] = []
        self._count = 0
        self._size = 0
        self._kind = Kind.TEXT
        self._timer: Timer | None = None
        self._due_at = 0.0
        """When the timer is to go off, by the clock."""
        self._until_timed = TIMED_EVERY
        self._slow_flushes = 0
        self._on_again_at = 0.0

    def expect(self, kind: Kind) -> None:
        """Take messages of this kind from now on."""
        if kind is not self._kind:
            self.flush()
            self._kind = kind

    def add(self, lane: Lane, run: Run, received_at: int) -> None:
        """Take what a read has brought, of the kind that is expected."""
        portion = Portion.__new__(
            Portion
        )  # for each read, and `__init__` would take longer than all else here
        portion.lane = lane
        portion.run = run
        portion.received_at = received_at
        self._portions.append(portion)
        lane.waiting += run.count
        self._count += run.count
        self._size += run.size_bytes
        is_enough = self._size >= FLUSH_BYTES and (self._count >= FLUSH_MESSAGES or self._size >= MOST_BYTES)
        if is_enough or not self._linger_s:
            self.flush()
        elif self._timer is None:
            self._due_at = self._clock.time() + self._linger_s
            self._timer = self._clock.call_later(self._linger_s, self._end_linger)

    def _end_linger(self) -> None:
        self._flush(0.0)

    def flush(self) -> None:
        """Deal with all there is, before its time; what it comes to may still wait for what is left of that."""
        if self._timer is None:
            self._flush(self._linger_s)
        else:
            self._flush(max(0.0, self._due_at - self._clock.time()))

    def _flush(self, patience_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._portions:
            return
        portions, self._portions = self._portions, []
        for portion in portions:
            portion.lane.waiting = 0
        count, self._count, self._size = self._count, 0, 0
        if self._on_flush is not None:
            self._on_flush(len(portions))
        self._until_timed -= count
        if self._until_timed > 0:
            self._work.handle(portions, self._kind, patience_s)
            return
        began_ns = thread_time_ns()
        self._work.handle(portions, self._kind, patience_s)
        self._note_cpu(portions, count, thread_time_ns() - began_ns)

    def _note_cpu(self, portions: list[Portion], count: int, used_ns: int) -> None:
        """Take the CPU time of these messages for that of all since the last time, by endpoint."""
        since = TIMED_EVERY - self._until_timed
        self._until_timed = TIMED_EVERY
        each_ns = used_ns // count
        for portion in portions:
            portion.lane.note_cpu(each_ns * since * portion.run.count // count)
        is_slow = each_ns >= SLOW_NS and used_ns >= LONG_NS
        self._slow_flushes = self._slow_flushes + 1 if is_slow else 0
        if self._slow_flushes == SLOW_FLUSHES:
            self._slow_flushes = 0
            self.is_off = True
            self._on_again_at = self._clock.time() + ALONE_S

    def look(self) -> None:
        """Gather again, if it is time."""
        if self._clock.time() >= self._on_again_at:
            self.is_off = False
