"""The switch from a connection to another of the same feed, without losing or repeating a message.

Both see the same sequence, shifted in time. So the next connection *shadows*: what it brings is kept, until its
sequence has been aligned with what the old one delivered (`overlap`). If it is ahead, it goes on from there at
once. If it is behind, the old one is *cut*: what it brings is held while the next one catches up to the cut, and is
delivered before what the next one brings. Until the very switch the old connection can go on as if nothing had
been, and if it dies in between, the next one has what comes after.

Connections that carry several streams may mix them differently, and each begins with messages of its own, such as
the acknowledgement of its subscription. Then there is no alignment, but each message that both bring is recognized
all the same: what the old one has delivered is dropped, also where the next one brings it only after the switch.
Feeds whose very messages differ from connection to connection have nothing to recognize: then everything that isn't
known to have been delivered is, and the move is counted as uncertain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from scaleout.core.frames import Kind
from scaleout.core.splice import Alignment
from scaleout.worker.connection import Receiver
from scaleout.worker.handover.overlap import ENOUGH, Overlap
from scaleout.worker.handover.patience import Patience
from scaleout.worker.handover.recognition import Recognition, without_recognition
from scaleout.worker.handover.shadow import Cut, Tail
from scaleout.worker.identity import Identify, hashes_of
from scaleout.worker.links.link import Link


class Destination(Protocol):
    """Where the messages of both connections go."""

    def deliver(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take messages."""

    def drop_duplicates(self, payloads: list[bytes]) -> None:
        """Count messages that another connection has delivered."""

    def note_uncertain(self) -> None:
        """Count a move without an alignment."""


class Takeover:
    """Stands between an old connection and its destination, until another connection stands in its place.

    Args:
        old: the connection that delivers.
        destination: the session.
        on_read: called after each read of either connection.
        identify: says by what messages are known.
    """

    def __init__(
        self,
        old: Link,
        destination: Destination,
        on_read: Callable[[], None],
        identify: Identify = hashes_of,
    ) -> None:
        self._old = old
        self._destination = destination
        self._on_read = on_read
        self._loop = asyncio.get_running_loop()
        self._tail = Tail(identify)
        self._patience = Patience(self._loop.time())
        self._deliver: Receiver = without_recognition(old.receiver)
        self.begin()
        old.deliver_to(self._from_old)

    def begin(self) -> None:
        """Another connection is being opened."""
        self._overlap = Overlap(self._tail, self._drop)
        self.is_old_stuck = False
        """Whether the old connection has gone silent, while the next one brings data."""
        self._cut: Cut | None = None
        self._may_cut = True

    # What comes

    def _from_old(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._patience.hear_old(self._loop.time())
        if self._cut is not None:
            self._cut.hold(payloads, joined, kind, received_at)
        else:
            self._pass_on(payloads, joined, kind, received_at)
        self._on_read()

    def _pass_on(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._tail.add(payloads, self._patience.clock_s)
        self._deliver(payloads, joined, kind, received_at)

    def from_next(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read from the next connection."""
        self._patience.hear_next(self._loop.time())
        shadow = self._overlap.shadow
        shadow.add(payloads, kind, received_at, self._patience.clock_s)
        if shadow.is_too_large and self._cut is None:
            self._pass_time()
            self._look_for_silence()
            # What the old one is sure to bring may leave; else the next look switches.
            if not self._old.has_ended and not self.is_old_stuck:
                self._drop(shadow.take_half())
        self._on_read()

    def _drop(self, copies: list[bytes]) -> None:
        if copies:
            self._destination.drop_duplicates(copies)

    # While it is not to be yet

    def watch_both(self) -> None:
        """The next connection is open."""
        self._pass_time()
        self._patience.begin(self._loop.time())

    def _pass_time(self) -> None:
        is_held = self._old.connection.is_held and not self._old.has_ended
        self._patience.pass_time(self._loop.time(), is_held)

    @property
    def is_next_stuck(self) -> bool:
        """Whether the next connection is open, but doesn't bring what the old one does."""
        return self._patience.is_next_stuck

    def _look_for_silence(self) -> None:
        patience, overlap = self._patience, self._overlap
        self.is_old_stuck = patience.is_old_silent(overlap.shadow.is_too_large) and overlap.has_more_since(
            patience.next_alone_since
        )

    def forget_old(self) -> None:
        """Drop what the old connection must have brought by now."""
        self._pass_time()
        self._overlap.forget_older(self._patience.horizon_s)

    def prune(self) -> None:
        """Drop what the old connection is known to have delivered, or must have by now."""
        self._pass_time()
        overlap, patience = self._overlap, self._patience
        overlap.drop_delivered()
        if overlap.is_mixed or (not overlap.is_known and patience.is_time_to_recognize):
            overlap.reconcile(ENOUGH)
        overlap.forget_older(patience.horizon_s)
        self._look_for_silence()

    def drop_all(self) -> None:
        """Drop all that the next connection has brought."""
        self._drop(self._overlap.shadow.take_all())

    # The move

    def move(self, follower: Link) -> bool:
        """Switch to the follower if that is possible at this moment; whether it was."""
        self._pass_time()
        overlap, patience, now = self._overlap, self._patience, self._loop.time()
        patience.want()
        minimum = patience.minimum(now, overlap.shadow.total)
        found = overlap.align(minimum)
        if found.position is not None:
            self._switch(follower, found.position)
            return True
        if self._cut is None and not overlap.shadow.messages and patience.are_silent(now):
            self._switch(follower, len(overlap.shadow.hashes))  # whatever came, both have brought it
            return True
        if self._holds_back(found, minimum):
            return False
        return self._move_unaligned(follower, minimum)

    def _holds_back(self, found: Alignment, minimum: int) -> bool:
        """Whether the old connection is cut, so that the next one can catch up."""
        clock_s = self._patience.clock_s
        if self._cut is None:
            if self._may_cut and self._overlap.is_behind(found, minimum):
                self._cut, self._may_cut = Cut(clock_s), False
        elif self._cut.is_over(clock_s) or self._overlap.shadow.is_too_large:
            self.end_cut()
        return self._cut is not None

    def _move_unaligned(self, follower: Link, minimum: int) -> bool:
        """Switch without an alignment, where there is no hope of one."""
        overlap, patience, is_orphan = self._overlap, self._patience, self._old.has_ended
        is_time = is_orphan or patience.are_past_opening(self._loop.time())
        if is_time and overlap.reconcile(minimum):
            self._switch_mixed(follower)
            return True
        if patience.next_may_be_stuck and not is_orphan:
            return False
        if overlap.shadow.is_too_large or patience.is_over(is_orphan, overlap.is_known):
            self._switch_uncertain(follower)
            return True
        return False

    def end_cut(self) -> None:
        """Undo the cut: what was held is delivered."""
        cut, self._cut = self._cut, None
        for read in cut.reads if cut is not None else ():
            self._pass_on(*read)

    def _switch(self, follower: Link, position: int) -> None:
        self._drop(self._overlap.shadow.take(position))
        if self._cut is not None:
            # Delivered here, and dropped where the next connection brings them: nothing hangs on its life.
            held = [each for payloads, _, _, _ in self._cut.reads for each in self._tail.identify(payloads)]
            self.end_cut()
            self._recognize(held)
        self._deliver_rest(follower)

    def _switch_mixed(self, follower: Link) -> None:
        """Go on with what only the next connection has brought; what only the old one has may still come."""
        if len(self._tail):
            self._recognize(self._tail.hashes)
        self._deliver_rest(follower)

    def _recognize(self, delivered: Iterable[int]) -> None:
        """Drop what the next connection brings of these."""
        self._deliver = Recognition(delivered, self._deliver, self._drop, self._tail.identify).receive

    def _switch_uncertain(self, follower: Link) -> None:
        self._overlap.drop_copies()
        self._destination.note_uncertain()
        self._deliver_rest(follower)

    def rescue(self, follower: Link) -> bool:
        """Both are gone: deliver what only the next one has brought, if there may be something."""
        overlap = self._overlap
        minimum = self._patience.minimum(self._loop.time(), overlap.shadow.total)
        found = overlap.align(minimum)
        if overlap.is_behind(found, minimum):
            return False
        if found.position is not None:
            self._switch(follower, found.position)
        elif overlap.reconcile(minimum):
            self._switch_mixed(follower)
        else:
            self._switch_uncertain(follower)
        return True

    def _deliver_rest(self, follower: Link) -> None:
        self._old.stop_receiving()
        for (kind, received_at), group in groupby(self._overlap.shadow.messages, key=itemgetter(1, 2)):
            payloads = [payload for payload, _, _ in group]
            self._deliver(payloads, b"\n".join(payloads), kind, received_at)
        follower.deliver_to(self._deliver)
