"""An endpoint's helpers: as many as there should be, and one that dies is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from scaleout.core.restarts import RestartPolicy
from scaleout.core.spreadwire import Outfit
from scaleout.logs import EndpointLogger
from scaleout.worker.spread.line import Batch
from scaleout.worker.spread.process import HelperEvents, HelperProcess


class House(HelperEvents, Protocol):
    """What a crew has of its endpoint."""

    def on_death(self, batches: list[Batch], reason: str) -> None:
        """A helper has died with these batches before it."""


class _Post:
    """A helper's place: one process after the other, until it is given up."""

    def __init__(self) -> None:
        self.helper: HelperProcess | None = None
        self.given_up = asyncio.Event()

    def give_up(self) -> None:
        """Let the helper go."""
        self.given_up.set()
        if self.helper is not None:
            self.helper.retire()


class Crew:
    """Keeps an endpoint's helpers.

    Args:
        make_outfit: what the next one is told.
        house: who is told what they do.
        logger: knows the endpoint.
    """

    def __init__(self, make_outfit: Callable[[], Outfit], house: House, logger: EndpointLogger) -> None:
        self._make_outfit = make_outfit
        self._house = house
        self._log = logger
        self._loop = asyncio.get_running_loop()
        self._policy = RestartPolicy()
        self._posts: list[_Post] = []
        self._keepers: dict[asyncio.Task[None], _Post] = {}
        """Of those that are given up, too, until they are gone."""
        self._cpu_before_s = 0.0
        """Of helpers that are gone."""

    @property
    def size(self) -> int:
        """How many helpers there should be."""
        return len(self._posts)

    @property
    def helpers(self) -> list[HelperProcess]:
        """Those that there are, and are to stay."""
        return [post.helper for post in self._posts if post.helper is not None]

    @property
    def cpu_s(self) -> float:
        """CPU seconds that all helpers have used, those that are gone too."""
        posts = self._keepers.values()
        return self._cpu_before_s + sum(post.helper.cpu_s for post in posts if post.helper is not None)

    @property
    def ready(self) -> int:
        """How many take work."""
        return sum(helper.is_ready for helper in self.helpers)

    def least_loaded(self) -> HelperProcess | None:
        """The helper to be given the next batch; None: all have enough to do."""
        free = [helper for helper in self.helpers if helper.has_room]
        return min(free, key=lambda helper: len(helper.given), default=None)

    def resize(self, size: int) -> None:
        """Have so many helpers: start some, or let the last ones go when they have answered."""
        while len(self._posts) > size:
            self._posts.pop().give_up()
        while len(self._posts) < size:
            post = _Post()
            self._posts.append(post)
            keeper = self._loop.create_task(self._keep(post))
            self._keepers[keeper] = post
            keeper.add_done_callback(self._keepers.pop)

    async def _keep(self, post: _Post) -> None:
        """Start helpers, one after the other, until the post is given up."""
        while not post.given_up.is_set():
            helper = post.helper = HelperProcess(self._make_outfit(), self._house)
            try:
                reason = await helper.run()
            except OSError as exc:
                reason = f"can't be started: {exc.strerror or exc}"
            except Exception as exc:
                self._log.exception("internal error in a helper process's keeping")
                reason = f"internal error: {exc}"
            finally:
                post.helper = None
                self._cpu_before_s += helper.cpu_s
            if helper.given or not post.given_up.is_set():
                await self._mourn(post, helper, reason)

    async def _mourn(self, post: _Post, helper: HelperProcess, reason: str) -> None:
        """Give back what a dead helper hasn't answered, and wait until there may be another."""
        delay_s = self._policy.delay_after_death(self._loop.time())
        when = f", another starts in {delay_s:g} s" if delay_s else ""
        self._log.warning("a helper process died (%s)%s", reason, when)
        if helper.given:
            self._house.on_death(list(helper.given), reason)
        try:
            async with asyncio.timeout(delay_s):
                await post.given_up.wait()
        except TimeoutError:
            pass

    def look(self) -> None:
        """End helpers that are stuck."""
        for post in self._keepers.values():
            if post.helper is not None:
                post.helper.look()

    async def close(self, grace_s: float) -> None:
        """Let all helpers go; those that take longer to end are killed."""
        self.resize(0)
        keepers = tuple(self._keepers)
        if keepers:
            await asyncio.wait(keepers, timeout=grace_s)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
