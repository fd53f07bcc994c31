"""One connection taking over from another of the same feed, without losing or repeating a message.

Both see the same sequence, shifted in time. So the next connection *shadows*: what it brings is kept, until its
sequence has been aligned with what the old one delivered (`core.splice`). If it is ahead, it goes on from there at
once. If it is behind, the old one is *cut*: what it brings is held while the next one catches up to the cut. Until
the very switch the old connection can go on as if nothing had been, and if it dies in between, the next one has
what comes after.

Connections that carry several streams may mix them differently. Then there is no alignment, but each message that
both bring is recognized all the same: what the old one has delivered is dropped, also where the next one brings it
only after the switch. Feeds whose very messages differ from connection to connection have nothing to recognize:
then everything that isn't known to have been delivered is, and the move is counted as uncertain.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Collection
from itertools import groupby
from operator import itemgetter
from random import Random
from typing import Protocol

from scaleout.config import Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.frames import Kind
from scaleout.core.splice import Alignment, Outcome, align, common, leftover, matched
from scaleout.worker.connection import Receiver
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.link import Link

ENOUGH = 16
"""Messages in common that settle an alignment: fewer may look alike by chance."""
SLOW_FEED_S = 1.0
"""After that time fewer will do, on a slow feed."""
SILENT_S = 5.0
"""After that time without a message on either side, there is nothing to align."""
PATIENCE_S = 10.0
"""After that time without an alignment, there will be none."""
STRANGER_S = 3.0
"""The same where the two have nothing at all in common: the feed differs from connection to connection."""
LEAD_S = 1.0
"""The old connection's messages are noted for so long before the next one is opened, which may lag behind it."""
RECOGNITION_S = 10.0
"""After a switch without an alignment, messages that the old connection has delivered are dropped for so long."""
LONGEST_CUT_S = 5.0
"""For so long, and no longer, the old connection's messages are held."""
STEP_S = 0.01
"""Between two looks at what has come."""
PRUNE_S = 1.0
"""Between two looks at a standby's shadow."""
MAX_TAIL = 32_768
MAX_SHADOW = 65_536
"""Messages."""
CONTEXT = 64
"""Messages of a shadow whose hashes are kept when they are known to be delivered, to align what follows."""

_MASK = 2**64 - 1


def _hash(payload: bytes) -> int:
    return hash(payload) & _MASK


Message = tuple[bytes, Kind, int]
"""Payload, kind and time of receipt."""


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

    @property
    def rng(self) -> Random:
        """Randomness."""


class _Shadow:
    """What the next connection has brought, and nobody has seen yet."""

    def __init__(self) -> None:
        self.hashes: list[int] = []
        """Of all its messages; the first ones may be context alone, of messages that are gone."""
        self.messages: list[Message] = []

    @property
    def context(self) -> int:
        """How many of the hashes belong to messages that are gone."""
        return len(self.hashes) - len(self.messages)

    def add(self, payloads: list[bytes], kind: Kind, received_at: int) -> None:
        self.hashes += map(_hash, payloads)
        self.messages += [(payload, kind, received_at) for payload in payloads]

    def take_out(self, indexes: Collection[int]) -> list[bytes]:
        """Take out single messages; nothing can be aligned any more after that."""
        taken = [self.messages[index][0] for index in indexes]
        gone = set(indexes)
        self.hashes = self.hashes[self.context :]
        self.messages = [each for index, each in enumerate(self.messages) if index not in gone]
        self.hashes = [each for index, each in enumerate(self.hashes) if index not in gone]
        return taken

    def take(self, position: int) -> list[bytes]:
        """Take out the messages before a position; some of their hashes stay, as context."""
        count = max(0, position - self.context)
        taken = [payload for payload, _, _ in self.messages[:count]]
        del self.messages[:count]
        del self.hashes[: max(0, self.context - CONTEXT)]
        return taken


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
        self._tail: deque[int] = deque(maxlen=MAX_TAIL)
        self._shadow = _Shadow()
        self._held: list[tuple[list[bytes], bytes, Kind, int]] | None = None
        self._cut_at = math.inf
        self._is_mixed = False
        """Whether the two mix their streams differently, as has been seen."""
        self._deliver_old: Receiver = host.deliver
        self._last_message_at = -math.inf

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
            self._deliver_old = self._old.receiver
            self._old.deliver_to(self._from_old)
            if not self._old.said_goodbye:
                await self._wait(self._loop.time() + LEAD_S, whatever=True)
            backoff = BackoffState(self._host.endpoint.backoff, self._host.rng)
            while True:
                follower = await self._follow()
                if follower is not None or self._old.has_ended:
                    return follower
                await self._wait(self._loop.time() + backoff.next_delay(), whatever=True)
        finally:
            watching.cancel()

    async def _watch_wishes(self) -> None:
        await self._wanted.wait()
        self._news.set()

    @property
    def _is_due(self) -> bool:
        return self._loop.time() >= self._due_at or self._wanted.is_set() or self._old.said_goodbye

    async def _wait(self, until: float, *, whatever: bool = False) -> None:
        """Wait for news, or for a time; with `whatever` only for the time, and for the old one's end."""
        while not (whatever and self._old.has_ended):
            self._news.clear()
            try:
                async with asyncio.timeout_at(None if until == math.inf else until):
                    await self._news.wait()
            except TimeoutError:
                return
            if not whatever:
                return

    async def _follow(self) -> Link | None:
        """Open the next connection and stay with both, until it has taken over, or one of them is gone."""
        self._shadow = _Shadow()
        self._is_mixed = False
        opening = self._loop.create_task(self._host.open(self._from_next))
        opening.add_done_callback(lambda _: self._news.set())
        try:
            while not opening.done() and not self._old.has_ended:
                await self._wait(math.inf)
        finally:
            if not opening.done():
                opening.cancel()
        if not opening.done():
            await asyncio.wait((opening,))
            return None
        follower = opening.result()
        if isinstance(follower, Ending):
            return None
        follower.on_event = self._news.set
        if await self._shadow_until_moved(follower):
            return follower
        self._host.drop_duplicates([payload for payload, _, _ in self._shadow.messages])
        self._host.close(follower)
        return None

    async def _shadow_until_moved(self, follower: Link) -> bool:
        """Whether the follower has taken over; else it has ended."""
        ready_at = self._loop.time()
        wanted_at = math.inf
        while not follower.has_ended:
            now = self._loop.time()
            if self._old.has_ended or self._is_due:
                wanted_at = min(wanted_at, now)
                if self._move(follower, now, ready_at, max(wanted_at, ready_at)):
                    return True
                await self._wait(now + 10 * STEP_S)
                await asyncio.sleep(STEP_S)
            else:
                self._prune()
                await self._wait(min(self._due_at, now + PRUNE_S))
        self._let_old_go_on()
        return False

    # What comes

    def _from_old(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._last_message_at = self._loop.time()
        if self._held is not None:
            self._held.append((payloads, joined, kind, received_at))
        else:
            self._pass_on(payloads, joined, kind, received_at)
        self._hear()

    def _pass_on(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._tail.extend(map(_hash, payloads))
        self._deliver_old(payloads, joined, kind, received_at)

    def _from_next(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self._last_message_at = self._loop.time()
        self._shadow.add(payloads, kind, received_at)
        if len(self._shadow.messages) > MAX_SHADOW:
            self._prune()
            excess = len(self._shadow.messages) - MAX_SHADOW
            if excess > 0:
                self._host.drop_duplicates(self._shadow.take(self._shadow.context + excess))
        self._hear()

    def _hear(self) -> None:
        if self._is_due or self._old.has_ended:
            self._news.set()

    def _prune(self) -> None:
        """Drop what the old connection is known to have delivered."""
        if self._is_mixed:
            self._reconcile()
            return
        found = align(self._tail, self._shadow.hashes, ENOUGH)
        if found.position is not None:
            self._host.drop_duplicates(self._shadow.take(found.position))
        elif found.outcome is Outcome.BEHIND and common(self._tail, self._shadow.hashes) >= ENOUGH:
            self._host.drop_duplicates(self._shadow.take(len(self._shadow.hashes)))
        else:
            self._reconcile()

    def _reconcile(self) -> bool:
        """Take out of both what both have brought, in whatever order; whether they are seen to be one feed."""
        of_tail, of_shadow = matched(self._tail, self._shadow.hashes[self._shadow.context :])
        if not self._is_mixed:
            if len(of_shadow) < ENOUGH:
                return False
            self._is_mixed = True
            # What comes before all that is known is older than the tail, and so is the tail's beginning useless.
            of_shadow = [*range(of_shadow[0]), *of_shadow]
            of_tail = [*range(of_tail[0]), *of_tail]
        gone = set(of_tail)
        kept = [each for index, each in enumerate(self._tail) if index not in gone]
        self._tail = deque(kept, maxlen=MAX_TAIL)
        if of_shadow:
            self._host.drop_duplicates(self._shadow.take_out(dict.fromkeys(of_shadow)))
        return True

    # The move

    def _move(self, follower: Link, now: float, ready_at: float, since: float) -> bool:
        """Switch to the follower if that is possible at this moment."""
        minimum = ENOUGH if now - ready_at < SLOW_FEED_S else 1
        outcome = None
        if not self._is_mixed:
            found = align(self._tail, self._shadow.hashes, minimum)
            outcome = found.outcome
            if found.position is not None:
                self._switch(follower, found)
                return True
        quiet_since = max(self._last_message_at, ready_at)
        if not self._shadow.messages and self._held is None and now - quiet_since >= SILENT_S:
            self._switch(follower, Alignment(Outcome.ALIGNED, len(self._shadow.hashes)))
            return True
        if self._held is not None:
            if now - self._cut_at >= LONGEST_CUT_S:
                self._let_old_go_on()
            return False
        shared = 0 if self._is_mixed else common(self._tail, self._shadow.hashes)
        if outcome is Outcome.BEHIND and shared >= min(ENOUGH, len(self._shadow.messages)) > 0:
            if now - ready_at >= SLOW_FEED_S or shared >= ENOUGH:
                self._held, self._cut_at = [], now
            return False
        if (now - ready_at >= SLOW_FEED_S or self._old.has_ended) and self._reconcile():
            self._switch_mixed(follower)
            return True
        is_strange = not shared and len(self._tail) >= ENOUGH and len(self._shadow.hashes) >= ENOUGH
        if now - since >= (STRANGER_S if is_strange or self._old.has_ended else PATIENCE_S):
            self._switch_uncertain(follower)
            return True
        return False

    def _let_old_go_on(self) -> None:
        """Undo the cut: what was held is delivered."""
        held, self._held = self._held, None
        for payloads, joined, kind, received_at in held or ():
            self._pass_on(payloads, joined, kind, received_at)

    def _switch(self, follower: Link, found: Alignment) -> None:
        assert found.position is not None
        self._old.stop_receiving()
        copies = self._shadow.take(found.position)
        for payloads, _, _, _ in self._held or ():
            copies += payloads
        if copies:
            self._host.drop_duplicates(copies)
        self._deliver_rest(follower, self._shadow.messages)

    def _switch_mixed(self, follower: Link) -> None:
        """Go on with what only the next connection has brought; what only the old one has may still come."""
        self._old.stop_receiving()
        self._deliver_rest(follower, self._shadow.messages)
        if self._tail:
            _Recognition(follower, Counter(self._tail), self._host)

    def _switch_uncertain(self, follower: Link) -> None:
        self._old.stop_receiving()
        messages = self._shadow.messages
        indexes = leftover(self._tail, self._shadow.hashes[self._shadow.context :])
        kept = set(indexes)
        copies = [message[0] for index, message in enumerate(messages) if index not in kept]
        if copies:
            self._host.drop_duplicates(copies)
        self._host.note_uncertain()
        self._deliver_rest(follower, [messages[index] for index in indexes])

    def _deliver_rest(self, follower: Link, messages: list[Message]) -> None:
        for (kind, received_at), group in groupby(messages, key=itemgetter(1, 2)):
            payloads = [payload for payload, _, _ in group]
            self._host.deliver(payloads, b"\n".join(payloads), kind, received_at)
        follower.deliver_to(self._host.deliver)


class _Recognition:
    """Drops what a connection brings of messages that the one before has delivered, for a while."""

    def __init__(self, link: Link, known: Counter[int], host: Host) -> None:
        self._link = link
        self._known = known
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + RECOGNITION_S
        link.deliver_to(self._receive)

    def _receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        known = self._known
        if self._loop.time() >= self._ends_at:
            known.clear()
        if not known:
            if self._link.receiver == self._receive:
                self._link.deliver_to(self._host.deliver)
            self._host.deliver(payloads, joined, kind, received_at)
            return
        copies: list[bytes] = []
        rest: list[bytes] = []
        for payload in payloads:
            message = _hash(payload)
            if known[message] > 0:
                known[message] -= 1
                copies.append(payload)
            else:
                rest.append(payload)
        self._known = +known
        if copies:
            self._host.drop_duplicates(copies)
        if rest:
            self._host.deliver(rest, b"\n".join(rest), kind, received_at)
