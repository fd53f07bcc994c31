"""One endpoint's move from a worker to another, without losing or repeating a message: who is told what, and when.

The giver goes on until the taker, connected as well, has enough in common with it. Then the giver is cut: it
holds what comes, and says what it has delivered. The taker finds that among its own messages, and only then the
endpoint is the taker's. Until that moment whatever fails has one outcome: the giver carries on, with what it has
held. If it is the giver that dies, the taker has what comes after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scaleout.core.lifecycle import EndpointState
from scaleout.core.movewire import (
    Abandon,
    Aligned,
    Compare,
    Cut,
    CutWanted,
    GoLive,
    Keep,
    MoveFailed,
    MoveReport,
    Offer,
    Offered,
    Tails,
    Take,
)
from scaleout.core.wire import Command, Release, StateChange
from scaleout.errors import MoveError
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.status import EndpointStatus

OFFER_WITHIN_S = 5.0
CALM_S = 3.0
"""A giver that has kept up with its feed for so long has nothing more to deliver that the taker lacks."""
WATCH_EVERY_S = 0.5
JOIN_WITHIN_S = 60.0
"""To connect, and to have enough in common; the taker knows sooner when that is in vain."""
CUT_WITHIN_S = 15.0
"""To hand over what was delivered: processors and sinks may lag."""
ALIGN_WITHIN_S = 15.0


class Splicing:
    """The supervisor's part of a move.

    Args:
        number: of the move.
        status: of the endpoint.
        giver: the process that has it.
        taker: the process that is to have it.
        duties: what workers are to run.
        is_busy: whether a worker may not keep up with its feeds at the moment.
    """

    def __init__(
        self,
        number: int,
        status: EndpointStatus,
        giver: WorkerProcess,
        taker: WorkerProcess,
        duties: Duties,
        is_busy: Callable[[WorkerProcess], bool],
    ) -> None:
        self.status = status
        self._number = number
        self._giver = giver
        self._taker = taker
        self._duties = duties
        self._is_busy = is_busy
        self._news = asyncio.Event()
        self._groups: tuple[tuple[str, ...], ...] | None = None
        self._is_cut_wanted = False
        self._is_guess = False
        """Whether the taker has nothing in common with the giver, and would have it cut all the same."""
        self._behind_at = asyncio.get_running_loop().time()
        """When the giver was seen to be behind its feed for the last time."""
        self._early: list[Tails] = []
        """What the giver has delivered before the taker was told of it."""
        self._has_last_tails = False
        self._aligned: Aligned | None = None
        self._state_at_taker: StateChange | None = None
        self._failure: str | None = None
        self._is_giver_dead = False
        """Then the taker has the endpoint, whatever comes."""
        self._is_giver_buried = False
        self._is_taker_told = False

    async def run(self) -> bool:
        """Do it; returns whether it is uncertain.

        Raises:
            MoveError: the giver carries on.
        """
        try:
            await self._prepare()
            await self._until(lambda: self._has_last_tails or self._is_giver_dead, CUT_WITHIN_S, "cut")
            if self._is_giver_dead:
                await self._hear_last_words()
            await self._until(lambda: self._aligned is not None, ALIGN_WITHIN_S, "aligned")
        except MoveError:
            await self._undo()
            raise
        return self._commit()

    async def _prepare(self) -> None:
        """Have the taker join the giver, and the giver cut; or the giver is dead."""
        self._giver.control.send(Offer(self._number, self.status.slot))
        await self._until(lambda: self._groups is not None, OFFER_WITHIN_S, "offered")
        assert self._groups is not None
        self._taker.control.send(Take(self._number, self._duties.assignment(self.status), self._groups))
        self._is_taker_told = True
        for tails in self._early:
            self._pass_on(tails)
        watching = asyncio.ensure_future(self._keep_watching_giver())
        try:
            await self._until(lambda: self._is_cut_wanted or self._is_giver_dead, JOIN_WITHIN_S, "joined")
        finally:
            watching.cancel()
        if not self._is_giver_dead:
            self._giver.control.send(Cut(self._number))

    async def _keep_watching_giver(self) -> None:
        """Have the giver cut on a guess as well, but only where it has kept up with its feed for a while.

        One that doesn't has still to deliver what the taker, at the head of the feed, will never get.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if self._is_busy(self._giver):
                self._behind_at = loop.time()
            if self._is_guess and loop.time() - self._behind_at >= CALM_S:
                self._is_cut_wanted = True
                self._news.set()

    async def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for something; it is in vain when anything has failed."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._failure is None and not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise MoveError(f"it could not be {what} within {timeout_s:g} s") from None
        if self._failure is not None:
            raise MoveError(self._failure)

    async def _undo(self) -> None:
        """The giver carries on; if it is dead, the taker begins anew, as after any death of a worker."""
        if self._is_taker_told:
            self._tell(self._taker, Abandon(self._number))
        if not self._is_giver_dead:
            self._tell(self._giver, Keep(self._number))
        elif not self.status.is_at_rest:
            await self._duties.take_back(self.status)
            self._duties.give(self.status)

    async def _hear_last_words(self) -> None:
        """The giver is dead: tell the taker that there is nothing more to come, once all of it has been taken."""
        while not self._is_giver_buried:
            self._news.clear()
            await self._news.wait()
        if not self._has_last_tails:
            left = self._duties.assignment(self.status)
            nothing = (b"",) * len(self._groups or ())
            last = Compare(self._number, nothing, True, left.cursor, left.numbers, is_cut_short=True)
            self._tell(self._taker, last)

    def _commit(self) -> bool:
        """The endpoint is the taker's."""
        assert self._aligned is not None
        if not self._is_giver_dead:
            self.status.arrive(self._taker.worker)
        self._tell(self._taker, GoLive(self._number))
        self._tell(self._giver, Release(self.status.slot))
        if self._state_at_taker is not None:
            self.status.take(self._state_at_taker)
        return self._aligned.is_uncertain

    def _tell(self, process: WorkerProcess, command: Command) -> None:
        if not process.is_dead:
            process.control.send(command)

    # What happens

    def on_report(self, process: WorkerProcess, report: MoveReport) -> None:
        """Follow what a worker says."""
        match report:
            case Offered(groups=groups):
                self._groups = groups
            case CutWanted(is_guess=is_guess):
                self._is_guess = is_guess
                self._is_cut_wanted = self._is_cut_wanted or not is_guess
            case Aligned():
                self._aligned = report
            case MoveFailed(reason=reason):
                side = "" if process is self._taker else f"worker {process.worker}: "
                self._fail(f"{side}{reason}")
        self._news.set()

    def on_tails(self, process: WorkerProcess, tails: Tails) -> None:
        """Pass on what the giver has delivered."""
        self._has_last_tails = self._has_last_tails or tails.is_last
        if tails.is_behind:
            self._behind_at = asyncio.get_running_loop().time()
        if self._is_taker_told:
            self._pass_on(tails)
        else:
            self._early.append(tails)
        self._news.set()

    def _pass_on(self, tails: Tails) -> None:
        compare = Compare(self._number, tails.groups, tails.is_last, tails.cursor, tails.numbers)
        self._tell(self._taker, compare)

    def on_state(self, process: WorkerProcess, change: StateChange) -> None:
        """Keep what the taker says of the endpoint."""
        if process is self._taker and change.slot == self.status.slot:
            self._state_at_taker = change

    def on_owner_state(self, status: EndpointStatus) -> None:
        """Follow what the endpoint's worker says of it: the giver, or the taker once the giver is dead.

        One that has ended moves no more; one that has lost its connection moves at once, if the taker has one.
        """
        if status is not self.status:
            return
        if self._is_giver_dead:
            self._state_at_taker = None  # the taker has it by now, and this is newer
        if status.state is EndpointState.ENDED:
            self._fail("it has ended for good")
        elif status.state is not EndpointState.LIVE:
            at_taker = self._state_at_taker
            if at_taker is not None and at_taker.state is EndpointState.LIVE:
                self._is_cut_wanted = True
                self._news.set()

    def on_death(self, process: WorkerProcess) -> None:
        """Follow the death of a worker."""
        if process is self._taker:
            self._fail(f"worker {process.worker} died: {process.explain_death()}")
        elif process is self._giver:
            if self._is_taker_told and self._failure is None:
                self._is_giver_dead = True
                self.status.wait()
                self.status.arrive(self._taker.worker)  # the giver's next process is not to have it
            else:
                self._fail(f"worker {process.worker} died: {process.explain_death()}")
        self._news.set()

    def on_burial(self, process: WorkerProcess) -> None:
        """All that the giver had said has been taken."""
        if process is self._giver:
            self._is_giver_buried = True
            self._news.set()

    def abort(self, reason: str) -> None:
        """The endpoint is not to move."""
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = reason
        self._news.set()
