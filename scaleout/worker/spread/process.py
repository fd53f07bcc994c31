"""A helper process, seen from its worker: its start, its work, and its end."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from scaleout import machine
from scaleout.channel import Channel
from scaleout.core.spreadwire import Answer, Fit, Outfit, Reply, Unfit
from scaleout.spawning import Child, spawn
from scaleout.worker.encoding import Lines
from scaleout.worker.spread.helper import helper_main
from scaleout.worker.spread.line import Batch

AT_HAND = 2
"""Batches that a helper has at once: the next one is there when it has answered one."""
PATIENCE_S = 60.0
"""A helper that takes longer to begin, or to answer, is stuck."""
END_GRACE_S = 2.0
"""A helper that is let go has that long to end."""


class HelperEvents(Protocol):
    """Who is told what a helper does."""

    def on_ready(self) -> None:
        """A helper takes work."""

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """A helper has processed a batch, whose outcomes are noted in it."""


class HelperProcess:
    """A helper process.

    Args:
        outfit: what it works for.
        events: who is told.
    """

    def __init__(self, outfit: Outfit, events: HelperEvents) -> None:
        self.given: deque[Batch] = deque()
        """What it hasn't answered, in the order in which it has it before it."""
        self.cpu_s = 0.0
        self.is_ready = False
        self._outfit = outfit
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        """When it was last heard of, or given something to do."""
        self._next_number = 0
        self._fault: str | None = None
        self._is_retiring = False
        self._child: Child | None = None
        self._channel: Channel[Reply] | None = None

    def __repr__(self) -> str:
        return f"<HelperProcess {self.pid}: {len(self.given)} batches before it>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid if self._child is not None else 0

    @property
    def has_room(self) -> bool:
        """Whether it may be given a batch."""
        return self.is_ready and len(self.given) < AT_HAND

    async def run(self) -> str:
        """Start the process, and wait until it is dead and all that it has said is taken.

        Returns:
            How it came to its end, in words.

        Raises:
            OSError: it can't be started.
        """
        child, (pipe,) = spawn(helper_main, f"scaleout-helper-{self._outfit.endpoint.name}", 1)
        self._child = child
        machine.let_use_all(child.pid)  # helpers are there because one core isn't enough
        try:
            self._channel = await Channel.open(pipe, Reply, self._on_reply, self._on_lost)
            self._channel.send(self._outfit)
            await child.wait_dead()
            await self._channel.wait_last_words()
            return self._fault or child.explain_death()
        finally:
            self.is_ready = False
            self._child = None
            child.kill()
            child.join()
            child.release()
            if self._channel is not None:
                self._channel.abort()

    # Work

    def give(self, batch: Batch) -> None:
        """Have a batch processed."""
        assert self._channel is not None
        if not self.given:
            self._since = self._loop.time()
        self.given.append(batch)
        self._channel.send(batch.work(self._next_number))
        self._next_number += 1

    def _on_reply(self, reply: Reply, body: memoryview) -> None:
        self._since = self._loop.time()
        match reply:
            case Fit():
                self.cpu_s = reply.cpu
                self.is_ready = not self._is_retiring
                self._events.on_ready()
            case Unfit():
                self._fault = reply.reason
            case Answer():
                self._take(reply, body)

    def _take(self, answer: Answer, body: memoryview) -> None:
        self.cpu_s = answer.cpu
        expected = self._next_number - len(self.given)
        if not self.given or answer.number != expected:
            self._fail(f"it answered what it wasn't asked: {answer.number} in the place of {expected}")
            return
        batch = self.given[0]
        start = 0
        for outcome in answer.outcomes:
            lines: Lines = (body[start : start + outcome.size],) if outcome.size else ()
            batch.outcomes.append((outcome, lines))
            start += outcome.size
        if answer.is_last:
            self.given.popleft()
            batch.is_done = True
            self._events.on_answer(batch, answer)
            if self._is_retiring and not self.given:
                self._let_go()

    # The end

    def look(self) -> None:
        """End it if it is stuck."""
        if (self.given or not self.is_ready) and self._loop.time() - self._since > PATIENCE_S:
            what = "answer" if self.is_ready else "sign of life"
            self._fail(f"stuck: no {what} for {PATIENCE_S:g} s, killed")

    def _on_lost(self, exc: Exception | None) -> None:
        self.is_ready = False
        if exc is not None:
            self._fail(str(exc))

    def _fail(self, reason: str) -> None:
        self._fault = self._fault or reason
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.is_ready = False
        if self._child is not None:
            self._child.kill()

    def retire(self) -> None:
        """Give it nothing more, and let it end when it has answered."""
        self.is_ready = False
        self._is_retiring = True
        if not self.given:
            self._let_go()

    def _let_go(self) -> None:
        if self._channel is None:
            self.kill()
            return
        self._channel.abort()  # it has nothing to say
        self._loop.call_later(END_GRACE_S, self.kill)
