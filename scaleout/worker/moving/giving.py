"""The giver's side of a move: what the endpoint delivers is noted, and at the cut it is held.

The hashes of what was delivered go up in the very batch that carries its results. So whatever becomes of this
worker, what is known by its hash is what has been delivered.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from scaleout.core.frames import Kind
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import CursorMark, NumbersMark
from scaleout.core.movewire import MoveFailed, MoveReport, Offered, Tails
from scaleout.worker.handover.overlap import ENOUGH
from scaleout.worker.identity import BREAK, identity_of
from scaleout.worker.inlet import Inlet
from scaleout.worker.moving.gate import Held
from scaleout.worker.session import Session

LEAD_S = 1.0
"""On a slow feed, what is delivered is noted for so long before the taker connects, which may lag behind."""
MAX_NOTED = 2**20
"""Hashes that wait to be sent: with more of them the output is so slow that the endpoint stays where it is."""
LARGE_READ_BYTES = 48 * 2**10
"""A read of so much has been waited for: where the worker keeps up, less comes at a time."""
MAX_ACTIONS = 100
"""Places in the stage's line, at the same time."""


class Leaving(Protocol):
    """The endpoint's feed, as far as it is seen here."""

    sessions: list[Session]

    @property
    def cursor(self) -> CursorMark | None:
        """How far it has come."""

    @property
    def numbers(self) -> NumbersMark | None:
        """What its messages are expected to start with."""


class Giving:
    """One endpoint that is to move away.

    Args:
        move: its number.
        feed: live, or about to be.
        inlet: the endpoint's.
        report: tells the supervisor.
    """

    def __init__(self, move: int, feed: Leaving, inlet: Inlet, report: Callable[[MoveReport], None]) -> None:
        self.move = move
        self._feed = feed
        self._inlet = inlet
        self._books = inlet.books
        self._report = report
        self._identify = identity_of(inlet.books.config)
        self._sessions = [each for each in feed.sessions if each.state is not EndpointState.ENDED]
        self._noted: list[array[int]] = [array("Q") for _ in self._sessions]
        """Hashes of what was delivered and is still to be sent, by group."""
        self._next: list[tuple[int, Sequence[int]]] = []
        """What has no place in the stage's line yet."""
        self._places = 0
        self._totals = [0] * len(self._sessions)
        self._broken: set[int] = set()
        """Groups whose next message another connection brings than the one before."""
        self._waiting = 0
        self._is_behind = False
        self._held: Held | None = None
        self._last: Tails | None = None
        self._is_over = False
        self._offer: asyncio.TimerHandle | None = None
        for group, session in enumerate(self._sessions):
            session.gate = _Turnstile(self, group)
        self._books.tray.tails = self._take_tails
        is_live = any(session.state is EndpointState.LIVE for session in self._sessions)
        self._offer = asyncio.get_running_loop().call_later(LEAD_S if is_live else 0, self._make_offer)

    def __repr__(self) -> str:
        state = "over" if self._is_over else "cut" if self._held is not None else "noting"
        return f"<Giving {self._books.endpoint}: {state}, {sum(self._totals)} messages>"

    def _make_offer(self) -> None:
        if self._offer is not None:
            self._offer.cancel()
            self._offer = None
            self._report(Offered(self.move, tuple(tuple(session.streams) for session in self._sessions)))

    # What comes

    def take(self, group: int, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read of one of the sessions."""
        session = self._sessions[group]
        if self._held is not None:
            self._held.take(session, payloads, joined, kind, received_at)
            return
        self._is_behind = self._is_behind or len(joined) >= LARGE_READ_BYTES
        with self._books.in_one_batch():
            session.accept(payloads, joined, kind, received_at)
            hashes = self._identify(payloads)
            if group in self._broken:
                self._broken.discard(group)
                hashes.insert(0, BREAK)
            self._note(group, hashes)

    def begin(self, group: int) -> None:
        """Another connection was opened."""
        if self._totals[group] and self._held is None:
            self._broken.add(group)
        self.do(self._sessions[group].begin)

    def do(self, action: Callable[[], None]) -> None:
        """Do something in its place."""
        if self._held is not None:
            self._held.do(action)
        else:
            action()

    def _note(self, group: int, hashes: Sequence[int]) -> None:
        self._next.append((group, hashes))
        self._totals[group] += len(hashes)
        self._waiting += len(hashes)
        if self._waiting > MAX_NOTED:
            self.fail("its output is too slow")
            return
        if self._places < MAX_ACTIONS:
            self._line_up()
        if self._offer is not None and min(self._totals) >= ENOUGH:
            self._make_offer()

    def _line_up(self) -> None:
        """Note these as delivered when the stage has handed them on."""
        noted, self._next = self._next, []
        self._places += 1
        self._inlet.stage.in_turn(partial(self._commit, noted))

    def _commit(self, noted: list[tuple[int, Sequence[int]]]) -> None:
        self._places -= 1
        if self._is_over:
            return
        for group, hashes in noted:
            self._noted[group].extend(hashes)
        if self._next:
            self._line_up()
        elif self._held is not None and not self._places:
            self._finish()
            return
        self._books.post()

    def _finish(self) -> None:
        """All that was taken has been handed on."""
        self._last = Tails(self.move, (), True, self._feed.cursor, self._feed.numbers)
        self._books.post()
        self._books.outbox.flush()

    def _take_tails(self) -> Tails | None:
        """For the batch that is about to be sent."""
        last, self._last = self._last, None
        if not (self._waiting or last):
            return None
        groups = tuple(each.tobytes() for each in self._noted)
        sent = sum(map(len, self._noted))
        self._waiting -= sent
        for each in self._noted:
            del each[:]
        if last is not None:
            return Tails(self.move, groups, True, last.cursor, last.numbers)
        is_behind, self._is_behind = self._is_behind, False
        return Tails(self.move, groups, is_behind=is_behind) if sent else None

    # What is decided

    def cut(self) -> None:
        """Hold what comes from now on; when all that came before is through, say so with the last hashes."""
        if self._held is None and not self._is_over:
            self._held = Held()
            self._line_up()

    def keep(self) -> None:
        """The endpoint stays: deliver what was held."""
        held = self._end()
        if held is not None:
            held.deliver()

    def let_go(self) -> None:
        """The endpoint has moved: what was held has been delivered by the taker."""
        held = self._end()
        if held is not None:
            held.drop()

    def fail(self, reason: str) -> None:
        """The endpoint can't move."""
        if not self._is_over:
            self._report(MoveFailed(self.move, reason))
            self.keep()

    def _end(self) -> Held | None:
        held, self._held = self._held, None
        self._is_over = True
        if self._offer is not None:
            self._offer.cancel()
            self._offer = None
        self._books.tray.tails = None
        self._next = []
        for session in self._sessions:
            session.gate = None
        return held


class _Turnstile:
    """One session's gate."""

    def __init__(self, giving: Giving, group: int) -> None:
        self._giving = giving
        self._group = group

    def take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Note a read, or hold it."""
        self._giving.take(self._group, payloads, joined, kind, received_at)

    def do(self, action: Callable[[], None]) -> None:
        """Do something in its place."""
        self._giving.do(action)

    def begin(self) -> None:
        """Let the session begin in its place."""
        self._giving.begin(self._group)
