"""What two connections to one feed have in common, as far as it is seen: their alignment, and their copies."""

from __future__ import annotations

from collections.abc import Callable

from scaleout.core.splice import Alignment, Outcome, align, common, matched, meeting
from scaleout.worker.handover.shadow import Shadow, Tail

ENOUGH = 16
"""Messages in common that settle an alignment: fewer may look alike by chance."""
DISTINCT = 4
"""So many of them have to differ: a run of look-alikes is found in many places."""
LONGEST_EVIDENCE = 1024
"""Messages that are looked at for that."""


class Overlap:
    """Compares what the old connection has delivered with what the next one has brought.

    Args:
        tail: of the old connection.
        drop: takes what the next one has brought and the old one has delivered.
    """

    def __init__(self, tail: Tail, drop: Callable[[list[bytes]], None]) -> None:
        self.shadow = Shadow(tail.identify)
        self.is_known = False
        """Whether messages of one have ever been found in the other."""
        self.is_mixed = False
        """Whether the two mix their streams differently, as has been seen."""
        self._tail = tail
        self._drop = drop

    def align(self, minimum: int) -> Alignment:
        """Find where the next connection goes on after the old one, by so many messages in common at least."""
        if self.is_mixed:
            return Alignment(Outcome.AMBIGUOUS)
        tail, shadow = self._tail.hashes, self.shadow.hashes
        found = align(tail, shadow, minimum)
        if found.position is not None:
            shared = shadow[max(0, found.position - min(len(tail), LONGEST_EVIDENCE)) : found.position]
            if len(set(shared)) < min(minimum, DISTINCT):
                return Alignment(Outcome.AMBIGUOUS)
        return found

    def is_behind(self, found: Alignment, minimum: int) -> bool:
        """Whether such an alignment says that the next connection is yet to come to where the old one is."""
        if found.outcome is not Outcome.BEHIND:
            return False
        return common(self._tail.hashes, self.shadow.hashes) >= minimum

    def drop_delivered(self) -> None:
        """Drop what the old connection is known to have delivered."""
        if self.is_mixed or not self.shadow.messages:
            return
        found = self.align(ENOUGH)
        if found.position is not None:
            self.is_known = True
            self._drop(self.shadow.take(found.position))
        elif self.is_behind(found, ENOUGH):
            self.is_known = True
            self._drop(self.shadow.take_all())

    def reconcile(self, minimum: int) -> bool:
        """Take out of both what both have brought, in whatever order; whether they are seen to be one feed."""
        if not self.is_mixed and not self._leave_out_beginnings(minimum):
            return False
        of_tail, of_shadow = self._copies()
        if of_shadow:
            self._tail.leave_out(of_tail)
            self._drop(self.shadow.take_out(of_shadow))
        return True

    def _leave_out_beginnings(self, minimum: int) -> bool:
        context = self.shadow.context
        met = meeting(self._tail.hashes, self.shadow.hashes[context:])
        if met.messages < minimum:
            return False
        self.is_mixed = self.is_known = True
        # What comes before that is older in the shadow, and in the tail it won't come again.
        self._tail.forget(met.in_tail)
        self._drop(self.shadow.take(context + met.in_shadow))
        return True

    def has_more_since(self, clock_s: float) -> bool:
        """Whether the next connection has brought, since that time, what the old one hasn't."""
        return not set(self.shadow.hashes_since(clock_s)) <= set(self._tail.hashes)

    def drop_copies(self) -> None:
        """Drop each message that looks like one the old connection has delivered, whatever that says."""
        _, copies = self._copies()
        self._drop(self.shadow.take_out(copies))

    def _copies(self) -> tuple[list[int], list[int]]:
        return matched(self._tail.hashes, self.shadow.hashes[self.shadow.context :])

    def forget_older(self, than: float) -> None:
        """Drop what is so old that the other connection must have brought it, or never will."""
        self._drop(self.shadow.take_older(than))
        if self.is_mixed:
            self._tail.forget_older(than)
