"""When the next connection is opened, to take over from one that is to go, and how long it is given for that.

It shadows the old one (`takeover`) until it can take its place. While the old one is to stay, as with a warm
standby, it goes on doing so; if it is lost, or brings nothing, another one is opened.
"""

from __future__ import annotations

import asyncio
import math
import time
from random import Random
from typing import Protocol

from scaleout.config import Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.remedies import Remedy
from scaleout.worker.connection import Receiver
from scaleout.worker.flag import Flag
from scaleout.worker.handover.takeover import Destination, Takeover
from scaleout.worker.identity import identity_of
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.link import Link

LEAD_S = 1.0
"""The old connection's messages are noted for so long before the next one is opened, which may lag behind it."""
GOODBYE_PACE_S = 5.0
"""At the least, between two connections because of goodbyes."""
STEP_S = 0.01
"""Between two looks at what has come, if they are quick."""
LOOK_SHARE = 0.05
"""Of the loop's time, at the most, for looks."""
PRUNE_S = 1.0
"""Between two looks at a standby's shadow."""
LAST_WORDS_S = 1.0
"""When the next connection is gone, the old one may be about to go the same way."""


class Owner(Destination, Protocol):
    """What a succession needs of its session."""

    endpoint: Endpoint

    async def open(self, receiver: Receiver) -> Link | Ending:
        """Open a connection and subscribe."""

    def close(self, link: Link) -> None:
        """Forget a connection."""

    def note_failure(self, ending: Ending) -> None:
        """Tell that a connection which was to take over can't be opened, or has ended."""

    @property
    def rng(self) -> Random:
        """Randomness."""


class Succession:
    """Accompanies a connection to its end, or to the one that takes over from it.

    Args:
        old: the connection that delivers.
        owner: the session.
    """

    def __init__(self, old: Link, owner: Owner) -> None:
        self._old = old
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        endpoint = owner.endpoint
        self._due_at = math.inf
        if endpoint.rotate_after is not None:
            self._due_at = old.opened_at + endpoint.rotate_after * owner.rng.uniform(0.9, 1.0)
        self._takeover: Takeover | None = None
        self._news = Flag()
        """Something has happened: a message, an end, a goodbye."""

    async def run(self) -> Link | None:
        """Wait for the end; returns the connection that has taken over, None if the old one ended alone."""
        self._old.on_event = self._news.set
        while not (self._owner.endpoint.standby or self._is_due or self._old.has_ended):
            await self._wait(self._due_at)
        if self._old.has_ended:
            return None
        identify = identity_of(self._owner.endpoint)
        takeover = self._takeover = Takeover(self._old, self._owner, self._hear, identify)
        await self._wait(self._begins_at, for_old_alone=True)
        backoff = BackoffState(self._owner.endpoint.backoff, self._owner.rng)
        while not self._old.has_ended:
            outcome = await self._follow(takeover, backoff)
            if not isinstance(outcome, Ending):
                return outcome
            delay = backoff.next_delay(outcome.remedy is not Remedy.RETRY, outcome.retry_after_s)
            await self._wait(self._loop.time() + delay, for_old_alone=True)
        return None

    @property
    def _begins_at(self) -> float:
        """When to open the next connection: at once, unless connections that short-lived follow each other."""
        if self._old.said_goodbye:
            return self._old.opened_at + GOODBYE_PACE_S
        if not self._is_due:
            return self._old.opened_at + LEAD_S  # a standby, which has time; not a second one each moment
        return self._loop.time() + LEAD_S

    @property
    def _is_due(self) -> bool:
        is_stuck = self._takeover is not None and self._takeover.is_old_stuck
        return self._old.said_goodbye or is_stuck or self._loop.time() >= self._due_at

    def _hear(self) -> None:
        if self._is_due or self._old.has_ended:
            self._news.set()

    async def _wait(self, until: float, *, for_old_alone: bool = False) -> None:
        """Wait for news, or for a time; other news than the old one's end may be of no interest."""
        while not (for_old_alone and self._old.has_ended):
            self._news.clear()
            if until == math.inf:
                await self._news.wait()
            else:
                try:
                    async with asyncio.timeout_at(until):
                        await self._news.wait()
                except TimeoutError:
                    return
            if not for_old_alone:
                return

    async def _follow(self, takeover: Takeover, backoff: BackoffState) -> Link | Ending:
        """Open the next connection and stay with both, until it has taken over, or one of them is gone."""
        takeover.begin()
        opening = self._loop.create_task(self._owner.open(takeover.from_next))
        opening.add_done_callback(lambda _: self._news.set())
        try:
            while not opening.done() and not self._old.has_ended:
                await self._wait(self._loop.time() + PRUNE_S)
                takeover.forget_old()
        finally:
            if not opening.done():
                opening.cancel()
        if not opening.done():
            await asyncio.wait((opening,))
            return Ending()
        follower = opening.result()
        if isinstance(follower, Ending):
            self._owner.note_failure(follower)
            return follower
        follower.on_event = self._news.set
        if await self._shadow_until_moved(takeover, follower):
            return follower
        backoff.session_ended(self._loop.time() - follower.opened_at, follower.messages)
        return await self._give_up(takeover, follower)

    async def _give_up(self, takeover: Takeover, follower: Link) -> Ending:
        takeover.drop_all()
        ending = Ending(error="the connection that was to take over brings nothing")
        if follower.has_ended:
            ending = await follower.wait_ended()
        self._owner.note_failure(ending)
        self._owner.close(follower)
        return ending

    async def _shadow_until_moved(self, takeover: Takeover, follower: Link) -> bool:
        """Whether the follower has taken over; else it is of no use."""
        takeover.watch_both()
        while not (follower.has_ended or takeover.is_next_stuck):
            began = time.perf_counter()
            if self._old.has_ended or self._is_due:
                if takeover.move(follower):
                    return True
                looked_s = time.perf_counter() - began
                await self._wait(self._loop.time() + 10 * STEP_S)
                await asyncio.sleep(max(STEP_S, looked_s / LOOK_SHARE))
            else:
                takeover.prune()
                await self._wait(min(self._due_at, self._loop.time() + PRUNE_S))
        takeover.end_cut()
        if not self._old.has_ended:
            await self._wait(self._loop.time() + LAST_WORDS_S, for_old_alone=True)
        return self._old.has_ended and takeover.rescue(follower)
