"""The taker's side of a move: connections that shadow those of another worker, until the endpoint is this one's."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from operator import itemgetter
from typing import Protocol

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import CursorMark, NumbersMark
from scaleout.core.movewire import Aligned, Compare, CutWanted, MoveFailed, MoveReport
from scaleout.logs import EndpointLogger
from scaleout.worker.identity import identity_of
from scaleout.worker.inlet import Inlet
from scaleout.worker.moving.gate import Gate
from scaleout.worker.moving.shadowing import Place, Shadowing
from scaleout.worker.session import Session
from scaleout.worker.words import named

STEP_S = 0.005
"""Between two looks at what has come, if they are quick."""
LOOK_SHARE = 0.05
"""Of the loop's time, at the most, for looks."""
IDLE_S = 0.1
"""Between two looks while nothing comes."""

_NOT_CONNECTED = (EndpointState.BACKOFF, EndpointState.QUARANTINED, EndpointState.ENDED)


class Coming(Protocol):
    """The endpoint's feed, as far as it is seen here."""

    endpoint: Endpoint
    sessions: list[Session]
    last_error: str | None

    def go_on_from(self, cursor: CursorMark | None, numbers: NumbersMark | None) -> None:
        """Go on from where another worker has come to."""

    def come_first(self) -> None:
        """It is this worker that has the endpoint, from now on."""


class Taking:
    """One endpoint that is to move here.

    Args:
        move: its number.
        endpoint: how it is to be moved.
        connections: how many there are to be.
        report: tells the supervisor.
    """

    def __init__(
        self,
        move: int,
        endpoint: Endpoint,
        connections: int,
        report: Callable[[MoveReport], None],
    ) -> None:
        self.move = move
        self.is_over = False
        """Whether the endpoint is this worker's, or won't ever be."""
        self._connections = connections
        self._is_spliced = endpoint.handover != "overlap"
        self._identify = identity_of(endpoint)
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._feed: Coming
        self._inlet: Inlet
        self._log: EndpointLogger
        self._shadowings: list[Shadowing] = []
        self._early: list[Compare] = []
        """What came before there were sessions."""
        self._asked: CutWanted | None = None
        self._last: Compare | None = None
        self._is_settled = False
        """Whether the supervisor has been told what it waits for last, or that it waits in vain."""
        self._has_failed = False
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def __repr__(self) -> str:
        return f"<Taking {self.move}: {self._shadowings!r}>"

    def take_to(self, feed: Coming, inlet: Inlet, logger: EndpointLogger) -> None:
        """Use this feed, its way in and its log; to be called before it runs."""
        self._log = logger
        self._feed = feed
        self._inlet = inlet
        self._timer = self._loop.call_later(IDLE_S, self._look)

    def gate_of(self, session: Session) -> Gate:
        """What shadows the giver's connection with this session's."""
        shadowing = Shadowing(session, self._identify, self._rouse)
        self._shadowings.append(shadowing)
        if len(self._shadowings) == self._connections:
            early, self._early = self._early, []
            for command in early:
                self.compare(command)
        return shadowing

    # What comes

    def compare(self, command: Compare) -> None:
        """Take what the giver has delivered."""
        if len(self._shadowings) < self._connections:
            self._early.append(command)
            return
        for shadowing, hashes in zip(self._shadowings, command.tails, strict=False):
            shadowing.hear_giver(hashes if self._is_spliced else b"", command.is_last)
        if command.is_last:
            self._last = command
            self._look()
        else:
            self._rouse()

    def follow(self) -> None:
        """The state of one of the sessions has changed."""
        for shadowing in self._shadowings:
            if shadowing.session.state is EndpointState.LIVE:
                shadowing.open()
            elif shadowing.session.state in _NOT_CONNECTED:
                self._fail(self._feed.last_error or "its new connection was closed")

    def _fail(self, reason: str) -> None:
        if not self._has_failed and not self.is_over:
            self._is_settled = self._has_failed = True
            self._report(MoveFailed(self.move, reason))

    # Looking

    def _rouse(self) -> None:
        """Look at what has come, but not all the time."""
        at = max(self._free_at, self._loop.time())
        if self._timer is None or self._looks_at > at:
            self._look_at(at)

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = at
        self._timer = None if self._is_settled or self.is_over else self._loop.call_at(at, self._look)

    def _look(self) -> None:
        began = time.perf_counter()
        if not self._is_settled and not self.is_over and len(self._shadowings) == self._connections:
            try:
                self._look_at_all()
            except Exception as exc:  # the move alone may suffer from it
                self._log.exception("internal error while the endpoint was moved here")
                self._fail(f"internal error: {named(exc)}")
        took_s = time.perf_counter() - began
        self._free_at = self._loop.time() + max(STEP_S, took_s / LOOK_SHARE)
        self._look_at(self._loop.time() + max(IDLE_S, took_s / LOOK_SHARE))

    def _look_at_all(self) -> None:
        if self._last is not None:
            self._settle()
        elif all(shadowing.is_open for shadowing in self._shadowings):
            is_enough = [
                each.has_enough() if self._is_spliced else each.covers_lag for each in self._shadowings
            ]
            if all(is_enough):
                is_guess = not self._is_spliced or any(each.is_at_a_loss for each in self._shadowings)
                self._ask(CutWanted(self.move, is_guess))
        for shadowing in self._shadowings:
            if shadowing.trouble is not None:
                self._fail(shadowing.trouble)

    def _ask(self, question: CutWanted) -> None:
        """Ask for the cut: once, or once more when a guess has become certain."""
        if self._asked is None or (self._asked.is_guess and not question.is_guess):
            self._asked = question
            self._report(question)

    def _settle(self) -> None:
        places = [Place.GUESSED]
        if self._is_spliced:
            for shadowing in self._shadowings:
                shadowing.settle()
            places = [shadowing.place for shadowing in self._shadowings]
        if Place.SOUGHT not in places:
            self._is_settled = True
            self._report(Aligned(self.move, Place.GUESSED in places or self._may_repeat))

    # What is decided

    def go_live(self) -> None:
        """The endpoint is this worker's: deliver what comes after the giver's last message."""
        self._end()
        if self._last is not None:
            self._feed.go_on_from(self._last.cursor, self._last.numbers)
        self._feed.come_first()
        begun = [each for each in self._shadowings if each.has_begun]
        unknown = [each for each in begun if not (self._is_spliced and each.place is Place.FOUND)]
        is_guess = any(each.place is Place.GUESSED or not each.is_empty for each in unknown)
        if is_guess or self._may_repeat:
            what = "where the worker before had come to is not known" if self._is_spliced else "overlapping"
            self._log.warning("moved here, %s: messages may be missing or repeated", what)
            self._inlet.note_uncertain()
        for shadowing in unknown:
            shadowing.session.begin()
        for _, deliver in heapq.merge(*(each.reads() for each in self._shadowings), key=itemgetter(0)):
            deliver()
        for shadowing in self._shadowings:
            shadowing.end()

    @property
    def _may_repeat(self) -> bool:
        """Whether the giver may have delivered what it hasn't told: where messages wait, it tells whole reads."""
        return self._last is not None and self._last.is_cut_short and not self._inlet.stage.is_prompt

    def drop(self) -> None:
        """The endpoint is not this worker's: all that has come is a copy."""
        self._end()
        for shadowing in self._shadowings:
            shadowing.drop()

    def _end(self) -> None:
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
