"""One connection of the taker's: it shadows the giver's, until it is known where it goes on in its place.

The same comparison as between two connections of one worker (`handover.takeover`), but what the other one has
delivered is known by its hashes alone, and a little later. While the giver delivers, the question is only whether
the two have enough in common. Once it is cut its tail is complete, and the place is to be found.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import groupby
from operator import itemgetter

from scaleout.core.frames import Kind
from scaleout.core.splice import Alignment, align, matched, meeting
from scaleout.worker.handover.overlap import DISTINCT, ENOUGH, LONGEST_EVIDENCE, Overlap
from scaleout.worker.handover.patience import ORPHAN_PATIENCE_S, Patience
from scaleout.worker.handover.recognition import Recognition
from scaleout.worker.handover.shadow import LONGEST_CUT_S, MAX_TAIL, Tail
from scaleout.worker.identity import BREAK, Identify
from scaleout.worker.moving.gate import Held, Recognizing
from scaleout.worker.session import Session

LONGEST_PAUSE_S = 30.0
"""For so long the taker's connection is held back, when it has brought too much that the giver has not."""


class Place(Enum):
    """What is known of where the taker goes on."""

    SOUGHT = "sought"
    FOUND = "found"
    GUESSED = "guessed"


class Shadowing:
    """Stands at the way in of a session that another worker's connection delivers for.

    Args:
        session: connects and subscribes.
        identify: says by what messages are known.
        on_news: called when there is something to look at.
    """

    def __init__(self, session: Session, identify: Identify, on_news: Callable[[], None]) -> None:
        self.session = session
        self.place = Place.SOUGHT
        self.is_lost = False
        """Whether its connection has ended, so that there is a hole in what it has brought."""
        self._on_news = on_news
        self._loop = asyncio.get_running_loop()
        self._tail = Tail(identify)
        self._overlap = Overlap(self._tail, self._drop)
        self._patience = Patience(self._loop.time())
        self._before_break = array("Q")
        """What the giver delivered before its connection was another one."""
        self._heard = 0
        """Messages of the giver's, so far."""
        self.has_begun = False
        """Whether it has been connected."""
        self._opened_at = math.inf
        self._complete_since = math.inf
        """By the clock that stands still under backpressure."""
        self._paused_since = math.inf
        self._enough = ENOUGH
        """As many messages in common have been enough for the cut."""
        self.is_at_a_loss = False
        """Whether nothing speaks for an alignment, as far as that can be seen from here."""
        self._has_given_up = False
        """Whether there is no hope of an alignment."""
        self._asides: list[tuple[int, Callable[[], None]]] = []
        """What is to be done among the messages, and behind how many of them."""
        self._held = Held()
        """What came after the connection was lost."""

    def __repr__(self) -> str:
        shadow, tail = len(self._overlap.shadow.messages), len(self._tail)
        return f"<Shadowing: place {self.place.value}, {shadow} messages, {tail} of the giver's>"

    # What comes

    def take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read from the session's connection."""
        if self.is_lost:
            self._held.take(self.session, payloads, joined, kind, received_at)
            return
        self._patience.hear_next(self._loop.time())
        shadow = self._overlap.shadow
        shadow.add(payloads, kind, received_at, self._patience.clock_s)
        if shadow.is_too_large and self._paused_since == math.inf:
            self._make_room()
        self._on_news()

    def do(self, action: Callable[[], None]) -> None:
        """Do something in the place that it has among the messages, if they are delivered."""
        if self.is_lost:
            self._held.do(action)
        else:
            self._asides.append((self._overlap.shadow.total, action))

    def begin(self) -> None:
        """A connection was opened."""
        if self.has_begun:
            self.is_lost = True
            self._held.do(self.session.begin)
        self.has_begun = True

    def open(self) -> None:
        """The connection is subscribed: from now on both bring the same."""
        if self._opened_at == math.inf:
            self._opened_at = self._loop.time()
            self._pass_time()
            if self._complete_since < math.inf:
                self._complete_since = self._patience.clock_s
            self._patience.begin(self._opened_at)
            self._on_news()

    @property
    def is_open(self) -> bool:
        """Whether it is subscribed."""
        return self._opened_at < math.inf

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to deliver."""
        return not (self._overlap.shadow.messages or self._held.messages)

    @property
    def covers_lag(self) -> bool:
        """Whether it has been open for so long that the giver, which may lag behind it, has caught up."""
        return self._patience.are_past_opening(self._loop.time())

    def hear_giver(self, hashes: bytes, is_last: bool) -> None:
        """Note what the giver has delivered."""
        if hashes:
            numbers = array("Q")
            numbers.frombytes(hashes)
            self._heard += len(numbers)
            self._patience.hear_old(self._loop.time())
            while BREAK in numbers:
                index = numbers.index(BREAK)
                self._tail.add_hashes(numbers[:index], self._patience.clock_s)
                del numbers[: index + 1]
                if not self._overlap.is_mixed:
                    self._before_break.extend(self._tail.hashes)
                    del self._before_break[:-MAX_TAIL]
                    self._tail.forget(len(self._tail))
            self._tail.add_hashes(numbers, self._patience.clock_s)
        if is_last:
            self._complete_since = min(self._complete_since, self._patience.clock_s)

    def _align(self, minimum: int) -> Alignment:
        """Find the place, by so many messages in common; after a break, those before it count as well."""
        overlap, tail = self._overlap, self._tail
        found = overlap.align(minimum)
        if found.position is None and self._before_break and 0 < len(tail) < minimum:
            of_tail, _ = matched([*self._before_break, *tail.hashes], overlap.shadow.hashes)
            if len(of_tail) >= minimum:
                return overlap.align(len(tail))
        return found

    # While the giver delivers

    def has_enough(self) -> bool:
        """Whether the giver may be cut: the place will be found then, or there is no hope of that."""
        self._pass_time()
        overlap, patience, now = self._overlap, self._patience, self._loop.time()
        overlap.drop_delivered()
        minimum = patience.minimum(now, overlap.shadow.total)
        found = self._align(minimum)
        is_known = found.position is not None or overlap.is_behind(found, minimum)
        if is_known:
            overlap.is_known = True
            self._enough = minimum
            self._forget_old_evidence()
        elif patience.are_past_opening(now) and self._reconcile(minimum):
            is_known = True
        elif not overlap.shadow.messages and patience.are_silent(now):
            self._forget_all()
            is_known = True
        self._make_room()
        overlap.forget_older(patience.horizon_s)
        self.is_at_a_loss = not is_known and self._is_hopeless()
        return is_known or self.is_at_a_loss

    def _reconcile(self, minimum: int) -> bool:
        """Take out of both what both have brought, in whatever order, if they are seen to be one feed."""
        if not self._overlap.is_mixed:
            # What the giver delivered just before it was noted may stand behind what it delivered just after.
            shadow, tail = self._overlap.shadow, self._tail.hashes
            met = meeting(tail[len(tail) // 2 :], shadow.hashes[shadow.context :])
            if met.messages < minimum:
                return False
            self._drop(shadow.take(shadow.context + met.in_shadow))
        return self._overlap.reconcile(minimum)

    def _forget_old_evidence(self) -> None:
        if not self._overlap.is_mixed:
            self._tail.forget(len(self._tail) - LONGEST_EVIDENCE)

    def _forget_all(self) -> None:
        """Whatever came, both have brought it."""
        self._overlap.shadow.forget_context()
        self._forget_tail()

    def _forget_tail(self) -> None:
        self._tail.forget(len(self._tail))
        del self._before_break[:]

    def _is_hopeless(self) -> bool:
        patience, overlap = self._patience, self._overlap
        patience.want()
        if patience.next_may_be_stuck:
            return False
        is_too_much = (
            not overlap.is_known and self._paused_since < math.inf and self._heard >= LONGEST_EVIDENCE
        )
        silent = patience.is_old_silent(self._paused_since < math.inf) and overlap.has_more_since(
            patience.next_alone_since
        )
        self._has_given_up = is_too_much or patience.is_over(False, overlap.is_known)
        return self._has_given_up or silent

    @property
    def trouble(self) -> str | None:
        """Why this can't go on."""
        if self.is_lost:
            return "its new connection was lost"
        if self._complete_since < math.inf:
            return None
        if self._patience.is_next_stuck:
            return "its new connection brings nothing"
        if self._loop.time() - self._paused_since >= LONGEST_PAUSE_S:
            return "the output of its worker is too slow"
        return None

    def _pass_time(self) -> None:
        self._patience.pass_time(self._loop.time(), self.session.links.is_held)

    def _make_room(self) -> None:
        """Drop what the giver has delivered, if there is too much; if that doesn't help, let no more come."""
        shadow = self._overlap.shadow
        if shadow.is_too_large:
            self._overlap.drop_delivered()
        if shadow.is_too_large:
            self._paused_since = min(self._paused_since, self._loop.time())
            self.session.links.pause_reading(self)
        elif self._paused_since < math.inf:
            self._paused_since = math.inf
            self.session.links.resume_reading(self)

    def _drop(self, copies: list[bytes]) -> None:
        if copies:
            self.session.drop_duplicates(copies)

    # When the giver's tail is complete

    def settle(self) -> None:
        """Find the place, if that is possible by now; drop what the giver has delivered."""
        if self.place is not Place.SOUGHT:
            return
        self._pass_time()
        overlap, tail = self._overlap, self._tail
        if not len(tail):
            self.place = Place.FOUND if self._heard or not overlap.shadow.messages else Place.GUESSED
            return
        minimum = min(self._enough, self._patience.minimum(self._loop.time(), overlap.shadow.total))
        found = self._align(min(minimum, max(DISTINCT, len(tail))))
        waited_s = self._patience.clock_s - self._complete_since
        if found.position is not None:
            self._drop(overlap.shadow.take(found.position))
            self._forget_tail()
            self.place = Place.FOUND
        elif overlap.is_mixed and overlap.reconcile(minimum):
            self.place = Place.FOUND
        elif overlap.is_behind(found, minimum):
            if waited_s >= LONGEST_CUT_S:
                self._settle_for_less(minimum)
        elif self._has_given_up or waited_s >= ORPHAN_PATIENCE_S:
            self._settle_for_less(minimum)

    def _settle_for_less(self, minimum: int) -> None:
        """Drop what looks like a copy, and go on recognizing those that are yet to come."""
        overlap = self._overlap
        brought = align(overlap.shadow.hashes, self._tail.hashes, minimum).position
        if brought is not None:
            self._drop(overlap.shadow.take_all())
            self._tail.forget(brought)
            self.place = Place.FOUND
            return
        self._tail.add_hashes(self._before_break, self._patience.clock_s)
        is_seen = not overlap.shadow.messages or overlap.reconcile(DISTINCT)
        if not is_seen:
            overlap.drop_copies()
            self._forget_tail()
        self.place = Place.FOUND if is_seen else Place.GUESSED

    # The end

    def drop(self) -> None:
        """The giver keeps the endpoint: all that has come is a copy."""
        self._drop(self._overlap.shadow.take_all())
        self._held.drop()
        self._let_go()

    def reads(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """What is left to be delivered, and what is to be done among it: each with its time of receipt, Unix ns."""
        if len(self._tail):
            self._overlap.reconcile(1)  # copies may have come since the place was found
        shadow = self._overlap.shadow
        first = shadow.total - len(shadow.messages)
        asides = [(max(0, place - first), action) for place, action in self._asides if place >= first]
        at, index = 0, 0
        for (kind, received_at), group in groupby(shadow.messages, key=itemgetter(1, 2)):
            payloads = [payload for payload, _, _ in group]
            start = 0
            while asides and asides[0][0] <= index + len(payloads):
                place, action = asides.pop(0)
                yield received_at, self._delivering(payloads[start : place - index], kind, received_at)
                yield received_at, action
                start = max(start, place - index)
            yield received_at, self._delivering(payloads[start:], kind, received_at)
            at, index = received_at, index + len(payloads)
        for _, action in asides:
            yield at, action
        yield at, self._held.deliver

    def _delivering(self, payloads: list[bytes], kind: Kind, received_at: int) -> Callable[[], None]:
        def deliver() -> None:
            if payloads:
                self.session.accept(payloads, b"\n".join(payloads), kind, received_at)

        return deliver

    def end(self) -> None:
        """All is delivered: what comes goes straight on, but for copies where they may be yet to come."""
        if self.session.gate is self:
            self.session.gate = None
            if len(self._tail):
                known = Recognition(self._tail.hashes, self.session.accept, self._drop, self._tail.identify)
                self.session.gate = Recognizing(self.session, known)
        self._let_go()

    def _let_go(self) -> None:
        self._paused_since = math.inf
        self.session.links.resume_reading(self)
