"""Where messages go that a pipeline can't take, at an endpoint whose connections are not to be held back.

The connections are read all the time, so that the server sees a client that keeps up. While something further on
can't take more, what comes is kept as far as the endpoint's policy says; the rest is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import logging

from scaleout.valve import Source
from scaleout.worker.books import Books
from scaleout.worker.decoding import Read
from scaleout.worker.keeping import MAX_ACTIONS, Action, keeper
from scaleout.worker.pipeline import Pipeline, Wish

TURN_S = 0.05
"""How long one endpoint may keep the loop with what was kept, give or take a piece."""

_log = logging.getLogger("scaleout.backlog")


class Backlog:
    """Stands before a pipeline, and is held back in place of the connections.

    Args:
        books: the endpoint's.
        pipeline: takes what comes, as long as it can.
    """

    def __init__(self, books: Books, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.kept = keeper(books.config)
        self._books = books
        self._loop = asyncio.get_running_loop()
        self._holders: set[object] = set()
        self._turn: asyncio.Handle | None = None
        self._is_draining = False
        self._lost_actions = 0
        pipeline.attach(self)

    def __repr__(self) -> str:
        return f"<Backlog of {self._books.endpoint}: {'held' if self._is_held else 'open'}, {self.kept!r}>"

    @property
    def _is_held(self) -> bool:
        return bool(self._holders) and not self._is_draining

    @property
    def wish(self) -> Wish | None:
        """None: what waits here is its own."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return self.kept.is_empty and self.pipeline.is_idle

    @property
    def is_prompt(self) -> bool:
        """Messages may wait."""
        return False

    @property
    def cpu_s(self) -> float:
        """The pipeline's."""
        return self.pipeline.cpu_s

    @property
    def processors(self) -> int:
        """The pipeline's."""
        return self.pipeline.processors

    # What comes

    def handle(self, read: Read) -> None:
        """Hand the messages on, or keep them behind those that wait."""
        if not self._must_wait():
            self.pipeline.handle(read)
        elif dropped := self.kept.add(read):
            self._books.tray.dropped += dropped
            self._books.post()

    def in_turn(self, action: Action) -> None:
        """Do something when what is kept so far has been handed on, and dealt with."""
        if not self._must_wait():
            self.pipeline.in_turn(action)
        elif not self.kept.add_action(action):
            self._lost_actions += 1

    def _must_wait(self) -> bool:
        """Whether what comes has to be kept; what waits without need is handed on first."""
        if self.kept.is_empty:
            return self._is_held
        if not self._is_held:
            self._hand_on()
        return self._is_held or not self.kept.is_empty

    def attach(self, source: Source) -> None:
        """Connections are never held back."""

    def detach(self, source: Source) -> None:
        """Nothing is known of connections."""

    # What holds it back

    def pause_reading(self, holder: object) -> None:
        """Hand nothing on until this holder, and all others, let go."""
        self._holders.add(holder)

    def resume_reading(self, holder: object) -> None:
        """Let go; what was kept is handed on soon."""
        self._holders.discard(holder)
        # Not at once: a valve that lets its sources go must not be closed before it has told all of them.
        self._schedule()

    def _schedule(self) -> None:
        if self._turn is None and not self._is_held and not self.kept.is_empty:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        try:
            self._hand_on()
        finally:
            self._schedule()

    def _hand_on(self) -> None:
        """Hand on what is kept, until held back again or for as long as a turn may take."""
        if self._lost_actions:
            _log.debug(
                "more than %d gap records and marks were waiting: %d were given up",
                MAX_ACTIONS,
                self._lost_actions,
                extra={"endpoint": self._books.endpoint},
            )
            self._lost_actions = 0
        ends_at = self._loop.time() + TURN_S
        while not self._is_held and (item := self.kept.take()) is not None:
            if isinstance(item, Read):
                self.pipeline.handle(item)
            else:
                self.pipeline.in_turn(item)
            if self._loop.time() >= ends_at:
                break

    # The end

    async def drain(self, timeout_s: float) -> None:
        """Hand on all that is kept, then wait for the pipeline; what the time isn't enough for is dropped.

        Nothing more comes, so there is nothing to be held back for: what is kept is bounded.
        """
        self._is_draining = True
        ends_at = self._loop.time() + timeout_s
        self._hand_on()
        while not self.kept.is_empty and self._loop.time() < ends_at:
            await asyncio.sleep(0)
            self._hand_on()
        self._drop_rest()
        await self.pipeline.drain(max(0.0, ends_at - self._loop.time()))

    def _drop_rest(self) -> None:
        while (item := self.kept.take()) is not None:
            if isinstance(item, Read):
                self._books.tray.dropped += len(item.payloads)
                self._books.post()
            else:
                self.pipeline.in_turn(item)
