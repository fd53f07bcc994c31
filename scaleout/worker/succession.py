"""One connection taking over from another of the same feed, without losing or repeating a message.

Both see the same sequence, shifted in time. So the next connection *shadows*: what it brings is kept, until its
sequence has been aligned with what the old one delivered (`core.splice`). If it is ahead, it goes on from there at
once. If it is behind, the old one is *cut*: what it brings is held while the next one catches up to the cut. Until
the very switch the old connection can go on as if nothing had been, and if it dies in between, the next one has
what comes after.

Connections that carry several streams may mix them differently, and each begins with messages of its own, such as
the acknowledgement of its subscription. Then there is no alignment, but each message that both bring is recognized
all the same: what the old one has delivered is dropped, also where the next one brings it only after the switch.
Feeds whose very messages differ from connection to connection have nothing to recognize: then everything that isn't
known to have been delivered is, and the move is counted as uncertain.
"""

from __future__ import annotations

import asyncio
import math
import time
from itertools import groupby
from operator import itemgetter
from random import Random
from typing import Protocol

from scaleout.config import Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.frames import Kind
from scaleout.core.remedies import Remedy
from scaleout.core.splice import Alignment, Outcome, align, common, matched, meeting
from scaleout.worker.connection import Receiver
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.link import Link
from scaleout.worker.recognition import Recognition, without_recognition
from scaleout.worker.shadow import MAX_SHADOW_BYTES, Message, Shadow, Tail

ENOUGH = 16
"""Messages in common that settle an alignment: fewer may look alike by chance."""
DISTINCT = 4
"""So many of them have to differ: a run of look-alikes is found in many places."""
LONGEST_EVIDENCE = 1024
"""Messages that are looked at for that."""
SLOW_FEED_S = 1.0
"""On a slow feed, as many will do as come in that time."""
SILENT_S = 5.0
"""After that time without a message on either side, there is nothing to align."""
PATIENCE_S = 10.0
"""After that time without an alignment, there will be none: no connection lags so far behind another."""
ORPHAN_PATIENCE_S = 3.0
"""The same where the old connection is gone, and nothing is delivered meanwhile."""
LEAD_S = 1.0
"""The old connection's messages are noted for so long before the next one is opened, which may lag behind it."""
GOODBYE_PACE_S = 5.0
"""At the least, between two connections because of goodbyes."""
LONGEST_CUT_S = 5.0
"""For so long, and no longer, the old connection's messages are held."""
STEP_S = 0.01
"""Between two looks at what has come, if they are quick."""
LOOK_SHARE = 0.05
"""Of the loop's time, at the most, for looks."""
PRUNE_S = 1.0
"""Between two looks at a standby's shadow."""
LAST_WORDS_S = 1.0
"""When the next connection is gone, the old one may be about to go the same way."""


class Host(Protocol):
    """What a succession needs of its session."""

    endpoint: Endpoint

    async def open(self, receiver: Receiver) -> Link | Ending:
        """Open a connection and subscribe."""

    def close(self, link: Link) -> None:
        """Forget a connection."""

    def deliver(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take messages."""

    def drop_duplicates(self, payloads: list[bytes]) -> None:
        """Count messages that another connection has delivered."""

    def note_uncertain(self) -> None:
        """Count a move without an alignment."""

    def note_failure(self, ending: Ending) -> None:
        """Tell that a connection which was to take over can't be opened, or has ended."""

    @property
    def rng(self) -> Random:
        """Randomness."""


class Succession:
    """Accompanies a connection to its end, or to the one that takes over from it.

    Args:
        old: the connection that delivers.
        wanted: set when a person, or the server, wants a move.
        host: the session.
    """

    def __init__(self, old: Link, wanted: asyncio.Event, host: Host) -> None:
        self._old = old
        self._wanted = wanted
        self._host = host
        self._loop = asyncio.get_running_loop()
        endpoint = host.endpoint
        self._due_at = math.inf
        if endpoint.rotate_after is not None:
            self._due_at = old.opened_at + endpoint.rotate_after * host.rng.uniform(0.9, 1.0)
        self._news = asyncio.Event()
        """Something has happened: a message, an end, a wish."""
        self._tail = Tail()
        self._deliver: Receiver = host.deliver
        self._heard_at = -math.inf
        self._clock_s = 0.0
        """Time in which backpressure holds the connections back doesn't count."""
        self._looked_at = self._loop.time()
        self._reset()

    def _reset(self) -> None:
        """Begin with a fresh connection."""
        self._shadow = Shadow()
        self._cut: _Cut | None = None
        self._may_cut = True
        self._is_mixed = False
        """Whether the two mix their streams differently, as has been seen."""
        self._is_known = False
        """Whether messages of one have ever been found in the other."""
        self._opened_at = self._loop.time()
        self._together_since = self._clock_s
        self._wanted_since = math.inf
        self._old_alone_since = math.inf
        """When the old connection brought what was not followed by anything of the next one."""

    # The course of things

    async def run(self) -> Link | None:
        """Wait for the end; returns the connection that has taken over, None if the old one ended alone."""
        self._old.on_event = self._news.set
        watching = self._loop.create_task(self._watch_wishes())
        try:
            while not (self._host.endpoint.standby or self._is_due or self._old.has_ended):
                await self._wait(self._due_at)
            if self._old.has_ended:
                return None
            self._deliver = without_recognition(self._old.receiver)
            self._old.deliver_to(self._from_old)
            await self._wait(self._begins_at, for_old_alone=True)
            backoff = BackoffState(self._host.endpoint.backoff, self._host.rng)
            while not self._old.has_ended:
                outcome = await self._follow(backoff)
                if not isinstance(outcome, Ending):
                    return outcome
                delay = backoff.next_delay(outcome.remedy is not Remedy.RETRY, outcome.retry_after_s)
                await self._wait(self._loop.time() + delay, for_old_alone=True)
            return None
        finally:
            watching.cancel()

    @property
    def _begins_at(self) -> float:
        """When to open the next connection: at once, unless connections that short-lived follow each other."""
        if self._old.said_goodbye:
            return self._old.opened_at + GOODBYE_PACE_S
        if not self._is_due:
            return self._old.opened_at + LEAD_S  # a standby, which has time; not a second one each moment
        return self._loop.time() + LEAD_S

    async def _watch_wishes(self) -> None:
        await self._wanted.wait()
        self._news.set()

    @property
    def _is_due(self) -> bool:
        return self._loop.time() >= self._due_at or self._wanted.is_set() or self._old.said_goodbye

    async def _wait(self, until: float, *, for_old_alone: bool = False) -> None:
        """Wait for news, or for a time; other news than the old one's end may be of no interest."""
        while not (for_old_alone and self._old.has_ended):
            self._news.clear()
            try:
                async with asyncio.timeout_at(None if until == math.inf else until):
                    await self._news.wait()
            except TimeoutError:
                return
            if not for_old_alone:
                return

    async def _follow(self, backoff: BackoffState) -> Link | Ending:
        """Open the next connection and stay with both, until it has taken over, or one of them is gone."""
        self._reset()
        opening = self._loop.create_task(self._host.open(self._from_next))
        opening.add_done_callback(lambda _: self._news.set())
        try:
            while not opening.done() and not self._old.has_ended:
                await self._wait(self._loop.time() + PRUNE_S)
                self._pass_time()
                self._forget_old()
        finally:
            if not opening.done():
                opening.cancel()
        if not opening.done():
            await asyncio.wait((opening,))
            return Ending()
        follower = opening.result()
        if isinstance(follower, Ending):
            self._host.note_failure(follower)
            return follower
        follower.on_event = self._news.set
        if await self._shadow_until_moved(follower):
            return follower
        backoff.session_ended(self._loop.time() - follower.opened_at, follower.messages)
        return await self._give_up(follower)

    async def _give_up(self, follower: Link) -> Ending:
        self._drop(self._shadow.take_all())
        ending = Ending(error="the connection that was to take over brings nothing")
        if follower.has_ended:
            ending = await follower.wait_ended()
        self._host.note_failure(ending)
        self._host.close(follower)
        return ending

    async def _shadow_until_moved(self, follower: Link) -> bool:
        """Whether the follower has taken over; else it is of no use."""
        self._opened_at = self._loop.time()
        self._pass_time()
        self._together_since, self._old_alone_since = self._clock_s, math.inf
        while not (follower.has_ended or self._is_stuck):
            began = time.perf_counter()
            self._pass_time()
            if self._old.has_ended or self._is_due:
                if self._move(follower):
                    return True
                looked_s = time.perf_counter() - began
                await self._wait(self._loop.time() + 10 * STEP_S)
                await asyncio.sleep(max(STEP_S, looked_s / LOOK_SHARE))
            else:
                self._prune()
                await self._wait(min(self._due_at, self._loop.time() + PRUNE_S))
        self._end_cut()
        if not self._old.has_ended:
            await self._wait(self._loop.time() + LAST_WORDS_S, for_old_alone=True)
        return self._old.has_ended and self._rescue(follower)

    # What comes

    def _from_old(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._heard_at = self._loop.time()
        self._old_alone_since = min(self._old_alone_since, self._clock_s)
        if self._cut is not None:
            self._cut.hold(payloads, joined, kind, received_at)
        else:
            self._pass_on(payloads, joined, kind, received_at)
        self._hear()

    def _pass_on(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._tail.add(payloads, self._clock_s)
        self._deliver(payloads, joined, kind, received_at)

    def _from_next(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._heard_at = self._loop.time()
        self._old_alone_since = math.inf
        self._shadow.add(payloads, kind, received_at, self._clock_s)
        # What the old one is sure to bring may leave; else the next look switches.
        if self._shadow.is_too_large and self._cut is None and not self._old.has_ended:
            self._drop(self._shadow.take_half())
        self._hear()

    def _hear(self) -> None:
        if self._is_due or self._old.has_ended:
            self._news.set()

    def _drop(self, copies: list[bytes]) -> None:
        if copies:
            self._host.drop_duplicates(copies)

    # What is known of the two

    @property
    def _minimum(self) -> int:
        """How many messages in common are enough: on a slow feed, as many as come in a second."""
        passed_s = self._loop.time() - self._opened_at
        if passed_s < SLOW_FEED_S:
            return ENOUGH
        return max(1, min(ENOUGH, math.ceil(self._shadow.total * SLOW_FEED_S / passed_s)))

    @property
    def _is_stuck(self) -> bool:
        """Whether the next connection is open, but doesn't bring what the old one does."""
        return self._clock_s - self._old_alone_since >= PATIENCE_S

    def _pass_time(self) -> None:
        now = self._loop.time()
        if self._old.has_ended or not self._old.connection.is_held:
            self._clock_s += now - self._looked_at
        self._looked_at = now

    def _forget_old(self) -> None:
        """Drop what is so old that the other connection must have brought it, or never will."""
        self._drop(self._shadow.take_older(self._clock_s - PATIENCE_S))
        if self._is_mixed:
            self._tail.forget_older(self._clock_s - PATIENCE_S)

    def _prune(self) -> None:
        """Drop what the old connection is known to have delivered, or must have by now."""
        if self._shadow.messages and not self._is_mixed:
            found = self._align(ENOUGH)
            if found.position is not None:
                self._is_known = True
                self._drop(self._shadow.take(found.position))
            elif found.outcome is Outcome.BEHIND and self._has_in_common(ENOUGH):
                self._is_known = True
                self._drop(self._shadow.take_all())
        if self._is_mixed or (not self._is_known and self._clock_s - self._together_since >= SLOW_FEED_S):
            self._reconcile(ENOUGH)
        self._forget_old()

    def _has_in_common(self, minimum: int) -> bool:
        return common(self._tail.hashes, self._shadow.hashes) >= minimum

    def _reconcile(self, minimum: int) -> bool:
        """Take out of both what both have brought, in whatever order; whether they are seen to be one feed."""
        context = self._shadow.context
        if not self._is_mixed:
            met = meeting(self._tail.hashes, self._shadow.hashes[context:])
            if met.messages < minimum:
                return False
            self._is_mixed = self._is_known = True
            # What comes before that is older in the shadow, and in the tail it won't come again.
            self._tail.forget(met.in_tail)
            self._drop(self._shadow.take(context + met.in_shadow))
            context = self._shadow.context
        of_tail, of_shadow = matched(self._tail.hashes, self._shadow.hashes[context:])
        if of_shadow:
            self._tail.leave_out(of_tail)
            self._drop(self._shadow.take_out(of_shadow))
        return True

    # The move

    def _move(self, follower: Link) -> bool:
        """Switch to the follower if that is possible at this moment."""
        self._wanted_since = min(self._wanted_since, self._clock_s)
        minimum = self._minimum
        found = self._align(minimum)
        if found.position is not None:
            self._switch(follower, found.position)
            return True
        if self._is_silent:
            self._switch(follower, len(self._shadow.hashes))
            return True
        if self._cut is not None:
            if not self._cut.is_over(self._clock_s) and not self._shadow.is_too_large:
                return False
            self._end_cut()
        elif found.outcome is Outcome.BEHIND and self._may_cut and self._has_in_common(minimum):
            self._cut, self._may_cut = _Cut(self._clock_s), False
            return False
        is_time = self._loop.time() - self._opened_at >= SLOW_FEED_S or self._old.has_ended
        if is_time and self._reconcile(minimum):
            self._switch_mixed(follower)
            return True
        if self._is_hopeless:
            self._switch_uncertain(follower)
            return True
        return False

    @property
    def _is_hopeless(self) -> bool:
        if self._clock_s - self._old_alone_since >= SILENT_S and not self._old.has_ended:
            return False  # it may be stuck
        if not self._is_known and self._wanted_since - self._together_since >= PATIENCE_S:
            return True  # there has been time enough before the move was wanted
        patience_s = ORPHAN_PATIENCE_S if self._old.has_ended else PATIENCE_S
        return self._clock_s - self._wanted_since >= patience_s or self._shadow.is_too_large

    @property
    def _is_silent(self) -> bool:
        """Whether there is nothing to align: whatever came, both have brought it."""
        quiet_s = self._loop.time() - max(self._heard_at, self._opened_at)
        return quiet_s >= SILENT_S and not self._shadow.messages and self._cut is None

    def _align(self, minimum: int) -> Alignment:
        if self._is_mixed:
            return Alignment(Outcome.AMBIGUOUS)
        tail, shadow = self._tail.hashes, self._shadow.hashes
        found = align(tail, shadow, minimum)
        if found.position is not None:
            shared = shadow[max(0, found.position - min(len(tail), LONGEST_EVIDENCE)) : found.position]
            if len(set(shared)) < min(minimum, DISTINCT):
                return Alignment(Outcome.AMBIGUOUS)
        return found

    def _end_cut(self) -> None:
        """Undo the cut: what was held is delivered."""
        cut, self._cut = self._cut, None
        for read in cut.reads if cut is not None else ():
            self._pass_on(*read)

    def _switch(self, follower: Link, position: int) -> None:
        self._drop(self._shadow.take(position))
        if self._cut is not None:
            # The next connection has them, or is about to bring them.
            self._drop([payload for payloads, _, _, _ in self._cut.reads for payload in payloads])
        self._deliver_rest(follower, self._shadow.messages)

    def _switch_mixed(self, follower: Link) -> None:
        """Go on with what only the next connection has brought; what only the old one has may still come."""
        if len(self._tail):
            self._deliver = Recognition(self._tail.hashes, self._deliver, self._drop).receive
        self._deliver_rest(follower, self._shadow.messages)

    def _switch_uncertain(self, follower: Link) -> None:
        _, copies = matched(self._tail.hashes, self._shadow.hashes[self._shadow.context :])
        self._drop(self._shadow.take_out(copies))
        self._host.note_uncertain()
        self._deliver_rest(follower, self._shadow.messages)

    def _rescue(self, follower: Link) -> bool:
        """Both are gone: deliver what only the next one has brought."""
        minimum = self._minimum
        found = self._align(minimum)
        if found.outcome is Outcome.BEHIND and self._has_in_common(minimum):
            return False
        if found.position is not None:
            self._switch(follower, found.position)
        elif self._reconcile(minimum):
            self._switch_mixed(follower)
        else:
            self._switch_uncertain(follower)
        return True

    def _deliver_rest(self, follower: Link, messages: list[Message]) -> None:
        self._old.stop_receiving()
        for (kind, received_at), group in groupby(messages, key=itemgetter(1, 2)):
            payloads = [payload for payload, _, _ in group]
            self._deliver(payloads, b"\n".join(payloads), kind, received_at)
        follower.deliver_to(self._deliver)


class _Cut:
    """What the old connection brings while the next one catches up."""

    def __init__(self, now: float) -> None:
        self.reads: list[tuple[list[bytes], bytes, Kind, int]] = []
        self._bytes = 0
        self._ends_at = now + LONGEST_CUT_S

    def hold(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Keep a read."""
        self.reads.append((payloads, joined, kind, received_at))
        self._bytes += len(joined)

    def is_over(self, now: float) -> bool:
        """Whether it has lasted too long, or holds too much."""
        return now >= self._ends_at or self._bytes > MAX_SHADOW_BYTES
