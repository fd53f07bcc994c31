"""Two workers in one loop, and what a supervisor does between them to move an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from scaleout.channel import Channel
from scaleout.config import Backoff, Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment
from scaleout.core.movewire import (
    Abandon,
    Aligned,
    Compare,
    Cut,
    CutWanted,
    GoLive,
    Keep,
    MoveFailed,
    Offer,
    Offered,
    Take,
)
from scaleout.core.wire import (
    Assign,
    Batch,
    Drained,
    Ready,
    Release,
    Released,
    Report,
    Result,
    Setup,
    StateChange,
    Stop,
)
from scaleout.tally import Tally
from scaleout.worker.main import Worker

SLOT = 0


@contextlib.contextmanager
def untouched_logging() -> Iterator[None]:
    """A worker sets up its process's logs, which here is the tests' process."""
    loggers = [logging.getLogger(name) for name in ("scaleout", "websockets", "asyncio")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.level, logger.propagate = handlers, level, propagate


class Member:
    """A worker, and the supervisor's ends of its pipes."""

    def __init__(self, number: int, on_result: Callable[[Member, Result, bytes], None]) -> None:
        self.number = number
        self.reports: list[Report] = []
        self.results: list[Result] = []
        self.tally = Tally(4)
        self.on_report: Callable[[Report], None] = lambda report: None
        self._on_result = on_result
        self.news = asyncio.Event()
        self.control: Channel[Report]
        self.taken: Channel[Result]
        self.task: asyncio.Task[None]

    async def start(self) -> None:
        control, control_of_worker = multiprocessing.Pipe(duplex=True)
        results, results_of_worker = multiprocessing.Pipe(duplex=True)
        worker = Worker(self.tally, None)
        self.control = await Channel.open(control, Report, self._take_report, lambda exc: None)
        self.taken = await Channel.open(results, Result, self._take_result, lambda exc: None)
        await worker.connect(control_of_worker, results_of_worker)
        self.task = asyncio.ensure_future(worker.run())
        self.control.send(
            Setup(
                worker=self.number,
                envelope=False,
                log_level="error",
                log_format="text",
                heartbeat_interval=0.1,
                drain_timeout=1.0,
                secrets=(),
            )
        )
        await self.until(lambda: Ready() in self.reports)

    def _take_report(self, report: Report, body: memoryview) -> None:
        self.reports.append(report)
        self.on_report(report)
        self.news.set()

    def _take_result(self, result: Result, body: memoryview) -> None:
        self.results.append(result)
        self._on_result(self, result, bytes(body))
        self.news.set()

    def send(self, command: Any) -> None:
        self.control.send(command)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.news.clear()
            await self.news.wait()

    def count(self, field: str) -> int:
        batches = [each for each in self.results if isinstance(each, Batch)]
        return sum(getattr(entry, field) for batch in batches for entry in batch.all_entries)

    @property
    def states(self) -> list[EndpointState]:
        return [each.state for each in self.reports if isinstance(each, StateChange)]

    async def stop(self) -> None:
        """Stop it, and see that its books balance."""
        self.send(Stop())
        await self.task
        await self.until(lambda: self.results and isinstance(self.results[-1], Drained))
        outcomes = sum(map(self.count, ("delivered", "filtered", "dead_lettered", "dropped", "duplicates")))
        assert self.count("received") == outcomes == sum(self.tally.read().values())

    async def kill(self) -> None:
        """End it without a word, like a kill: what it has sent arrives, and nothing else."""
        self.control.abort()
        self.taken.abort()
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Team:
    """Two workers that share an endpoint, and the output of both."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.members = [Member(0, self._take), Member(1, self._take)]
        self.lines: list[bytes] = []
        self.owner = 0
        self.move_number = 0
        self.cursor: Any = None
        self.numbers: Any = None
        self._outcome: asyncio.Future[MoveFailed | Aligned] | None = None
        self._taker: Member | None = None
        self.is_last_in = asyncio.Event()

    def _take(self, member: Member, result: Result, body: bytes) -> None:
        self.lines += body.splitlines()
        if not isinstance(result, Batch):
            return
        for tails in result.tails:
            if tails.move == self.move_number and self._taker is not None:
                self._taker.send(
                    Compare(tails.move, tails.groups, tails.is_last, tails.cursor, tails.numbers)
                )
                if tails.is_last:
                    self.is_last_in.set()

    async def begin(self) -> None:
        for member in self.members:
            await member.start()
        self.members[0].send(Assign((Assignment(SLOT, self.endpoint),)))

    async def move(self) -> Aligned:
        """Move the endpoint to the other worker; how that was found to be possible."""
        giver, taker = self.members[self.owner], self.members[1 - self.owner]
        self.move_number += 1
        move = self.move_number
        self.is_last_in.clear()
        giver.send(Offer(move, SLOT))
        await giver.until(lambda: _of(giver, Offered, move) or _of(giver, MoveFailed, move))
        offered = _of(giver, Offered, move)
        assert offered is not None, giver.reports[-1]
        self._taker = taker
        taker.send(Take(move, Assignment(SLOT, self.endpoint), offered.groups))
        await taker.until(lambda: _of(taker, CutWanted, move) or _of(taker, MoveFailed, move))
        assert _of(taker, CutWanted, move), taker.reports[-1]
        giver.send(Cut(move))
        await taker.until(lambda: _of(taker, Aligned, move) or _of(taker, MoveFailed, move))
        aligned = _of(taker, Aligned, move)
        assert isinstance(aligned, Aligned), taker.reports[-1]
        taker.send(GoLive(move))
        self._taker = None
        released = giver.results.count(Released(SLOT))
        giver.send(Release(SLOT))
        await giver.until(lambda: giver.results.count(Released(SLOT)) > released)
        self.owner = 1 - self.owner
        return aligned

    async def abandon(self, cut: bool) -> None:
        """Begin a move, and give it up."""
        giver, taker = self.members[self.owner], self.members[1 - self.owner]
        self.move_number += 1
        move = self.move_number
        giver.send(Offer(move, SLOT))
        await giver.until(lambda: _of(giver, Offered, move))
        self._taker = taker
        taker.send(Take(move, Assignment(SLOT, self.endpoint), _of(giver, Offered, move).groups))
        await taker.until(lambda: _of(taker, CutWanted, move))
        if cut:
            giver.send(Cut(move))
            await taker.until(lambda: _of(taker, Aligned, move))
        self._taker = None
        giver.send(Keep(move))
        released = taker.results.count(Released(SLOT))
        taker.send(Abandon(move))
        await taker.until(lambda: taker.results.count(Released(SLOT)) > released)

    async def wait_more(self, lines: int) -> None:
        """Wait until so many more lines are in the output."""
        goal = len(self.lines) + lines
        await self.members[self.owner].until(lambda: len(self.lines) >= goal)

    async def stop(self) -> None:
        for member in self.members:
            await member.stop()

    @property
    def numbers_out(self) -> list[int]:
        """The numbers of the messages in the output."""
        return [msgspec.json.decode(line)["seq"] for line in self.lines]


def _of(member: Member, kind: type[Any], move: int) -> Any:
    return next((each for each in member.reports if isinstance(each, kind) and each.move == move), None)


def endpoint(uri: str, **keys: Any) -> Endpoint:
    options = {"name": "feed", "proxy": False, "backoff": Backoff(initial=0.001, maximum=0.01), **keys}
    return Endpoint(uri=uri, **options)


@contextlib.asynccontextmanager
async def team(feed: Endpoint) -> AsyncIterator[Team]:
    """Two workers, the first of which has the endpoint."""
    with untouched_logging():
        made = Team(feed)
        try:
            await made.begin()
            yield made
        finally:
            for member in made.members:
                await member.kill()
