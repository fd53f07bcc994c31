"""A feed, two workers and what is between them and their supervisor, in time that jumps: all of it goes as planned.

The workers are whole ones, but their pipes and connections are none. Whatever comes to pass, there is one law: what
the giver has delivered and what the taker has delivered is the feed's sequence, each message once, and in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, cast

import msgspec
from msgspec import Struct

from scaleout.channel import Channel
from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment, NumbersMark
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
    Command,
    Drained,
    Release,
    Released,
    Report,
    Result,
    Setup,
    StateChange,
    Stop,
)
from scaleout.tally import Tally
from scaleout.worker.connection import FeedConnection
from scaleout.worker.dialing import Dialer
from scaleout.worker.main import Worker
from tests.worker.moving import processors
from tests.worker.peers import Peer

TICK_S = 0.01


class Plan(Struct):
    """What is to become of one connection."""

    lag: float = 0.0
    """It brings each message so late."""
    opens_in: float = 0.01
    lives: float = 1e9
    """Seconds from its opening to its end."""
    greetings: int = 0
    """Messages of its own that it begins with."""
    order: int = 0
    """How it mixes the streams."""
    refused: bool = False


class Server:
    """Numbered messages of one or more streams, and the connections to it.

    Args:
        times: when each message is sent, in seconds from the start.
        plans: for one connection after the other; the last one stands for all that follow.
        streams: how many; each has every so-manieth number.
        look_alikes: how many messages between two with a number are all the same.
        differs: whether messages hold their connection's number.
        heartbeats: each so-manieth message is a heartbeat, numbered like the others.
        by_connection: over how many connections of an endpoint the streams are spread.
    """

    def __init__(
        self,
        times: Sequence[float],
        plans: Sequence[Plan],
        *,
        streams: int = 1,
        look_alikes: int = 0,
        differs: bool = False,
        by_connection: int = 1,
        heartbeats: int = 0,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.times = times
        self.plans = plans
        self.streams = streams
        self.look_alikes = look_alikes
        self.differs = differs
        self.connections: list[Connection] = []
        self.by_connection = by_connection
        self.heartbeats = heartbeats
        self.uris: list[str] = []

    async def dial(self, endpoint: Endpoint, member: int, uri: str) -> FeedConnection:
        number = len(self.uris)
        self.uris.append(uri)
        plan = self.plans[min(number, len(self.plans) - 1)]
        await asyncio.sleep(plan.opens_in)
        if plan.refused:
            raise ConnectionRefusedError(111, "Connection refused")
        connection = Connection(number, plan, Peer(endpoint), member)
        self.connections.append(connection)
        self.loop.call_later(plan.lives, connection.peer.lose)
        connection.bring([msgspec.json.encode({"hello": number}).decode()] * plan.greetings)
        return connection.peer.connection

    def streams_of(self, number: int) -> int:
        """Which of an endpoint's connections brings this message."""
        return number % self.streams * self.by_connection // self.streams

    def text(self, number: int, connection: int) -> str:
        if number % (self.look_alikes + 1):
            return '{"same":1}'
        if self.heartbeats and number % self.heartbeats == 0:
            return f'{{"type":"heartbeat","n":{number}}}'
        message: dict[str, object] = {"n": number, "s": number % self.streams}
        if self.differs:
            message["conn"] = connection
        return msgspec.json.encode(message).decode()

    async def run(self) -> None:
        """Send the messages, in ticks."""
        since = self.start
        while True:
            await asyncio.sleep(TICK_S)
            now = self.loop.time()
            for each in self.connections:
                lag = each.plan.lag
                due = list(range(*(bisect_right(self.times, at - self.start - lag) for at in (since, now))))
                if self.by_connection > 1:  # an endpoint's connections have the streams in turn
                    due = [n for n in due if self.streams_of(n) == each.number % self.by_connection]
                if each.plan.order:
                    due.sort(key=lambda n: (-(n % self.streams), n))
                each.bring([self.text(number, each.number) for number in due])
            since = now


class Connection:
    """The server's side of one."""

    def __init__(self, number: int, plan: Plan, peer: Peer, member: int) -> None:
        self.member = member
        self.number = number
        self.plan = plan
        self.peer = peer
        self.waiting: list[str] = []
        self.brought: list[str] = []

    def bring(self, texts: list[str]) -> None:
        self.waiting += texts
        peer = self.peer
        if self.waiting and not peer.is_lost and peer.transport.is_reading_now:
            texts, self.waiting = self.waiting, []
            self.brought += texts
            peer.say(*texts)


class Door:
    """One member's way to the server."""

    def __init__(self, server: Server, member: int) -> None:
        self._server = server
        self._member = member

    async def dial(self, endpoint: Endpoint, **keys: Any) -> FeedConnection:
        return await self._server.dial(endpoint, self._member, keys["uri"])


class Pipe:
    """Stands in the place of a channel: what is sent arrives later, in order, unless its end is dead."""

    def __init__(self, lag_s: float, arrive: Callable[[Any, bytes], None], kind: Any) -> None:
        self.lag_s = lag_s
        self.is_writable = True
        self.is_dead = False
        self._arrive = arrive
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._line: deque[tuple[bytes, bytes]] = deque()
        self._loop = asyncio.get_running_loop()

    def send(self, message: Any, body: Sequence[bytes | memoryview] = ()) -> None:
        if not self.is_dead:
            self._line.append((msgspec.msgpack.encode(message), b"".join(body)))
            self._loop.call_later(self.lag_s, self._pass_on)

    def send_all(self, messages: Sequence[Any]) -> None:
        for message in messages:
            self.send(message)

    def _pass_on(self) -> None:
        message, body = self._line.popleft()
        self._arrive(self._decode(message), body)

    @property
    def is_empty(self) -> bool:
        return not self._line

    async def close(self) -> None:
        pass


class Member:
    """A worker, whole, with pipes and connections that aren't."""

    def __init__(self, world: World, number: int, lags: tuple[float, float, float]) -> None:
        self.number = number
        self.world = world
        self.reports: list[Report] = []
        self.results: list[Result] = []
        self.tally = Tally(4)
        self.is_dead = False
        self.worker = Worker(self.tally, None)
        self.commands = Pipe(
            lags[0], lambda command, body: self.worker._commands.put_nowait(command), Command
        )
        self.up = Pipe(lags[1], self._take_report, Report)
        self.results_up = Pipe(lags[2], self._take_result, Result)
        self.worker._control = cast(Channel[Command], self.up)
        self.worker._results = cast(Channel[Command], self.results_up)
        self.worker._outbox.send_through(cast(Channel[Command], self.results_up))
        self.worker._means.dialer = cast(Dialer, Door(world.server, number))
        self.worker._means.rng = Random(number)
        self.task = asyncio.ensure_future(self.worker.run())
        self.send(
            Setup(
                worker=number,
                envelope=False,
                log_level="error",
                log_format="text",
                heartbeat_interval=0.5,
                drain_timeout=1.0,
                secrets=(),
            )
        )

    def send(self, command: Any) -> None:
        self.commands.send(command)

    def _take_report(self, report: Report, body: bytes) -> None:
        self.reports.append(report)
        self.world.news.set()

    def _take_result(self, result: Result, body: bytes) -> None:
        self.results.append(result)
        self.world.take(self, result, body)
        self.world.news.set()

    def find(self, kind: type[Any], move: int) -> Any:
        return next((each for each in self.reports if isinstance(each, kind) and each.move == move), None)

    def count(self, field: str) -> int:
        batches = [each for each in self.results if isinstance(each, Batch)]
        return sum(getattr(entry, field) for batch in batches for entry in batch.all_entries)

    @property
    def state(self) -> EndpointState | None:
        states = [each.state for each in self.reports if isinstance(each, StateChange)]
        return states[-1] if states else None

    def check_books(self) -> None:
        outcomes = sum(map(self.count, ("delivered", "filtered", "dead_lettered", "dropped", "duplicates")))
        assert self.count("received") == outcomes == sum(self.tally.read().values())

    async def stop(self) -> None:
        self.send(Stop())
        await self.task
        await self.world.until(lambda: self.results and isinstance(self.results[-1], Drained))
        self.check_books()

    async def kill(self) -> None:
        """What it has sent arrives, and nothing else."""
        self.is_dead = self.up.is_dead = self.results_up.is_dead = self.commands.is_dead = True
        assigned = list(self.worker._assigned.values())
        for each in assigned:
            each.feed.stop_receiving()
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        for each in assigned:
            each.feed.close_all()
        self.world.news.set()


Step = Callable[["World"], Awaitable[None]]


class World:
    """The supervisor's part.

    Args:
        server: what is connected to.
        keys: of the endpoint.
        lags: of commands, reports and results, of each worker in turn.
    """

    def __init__(
        self, server: Server, keys: dict[str, Any], lags: Sequence[tuple[float, float, float]]
    ) -> None:
        self.server = server
        self.endpoint = Endpoint(
            **{"uri": "ws://feed.test/", "name": "feed", "ping_interval": 0, "linger": 0.005, **keys}
        )
        self.news = asyncio.Event()
        self.output: list[bytes] = []
        self.owner: Member
        self.members: list[Member] = []
        self.lags = lags
        self.move = 0
        self.taker: Member | None = None
        self.cursor: Any = None
        self.numbers: dict[Any, int] = {}
        self.has_last = False
        self.early: list[Compare] = []
        self.uncertain = 0

    def hire(self) -> Member:
        """One more worker."""
        number = len(self.members)
        self.members.append(Member(self, number, self.lags[number % len(self.lags)]))
        return self.members[-1]

    @property
    def assignment(self) -> Assignment:
        numbers = NumbersMark(0, tuple(self.numbers.items())) if self.numbers else None
        return Assignment(0, self.endpoint, self.cursor, numbers)

    def take(self, member: Member, result: Result, body: bytes) -> None:
        self.output += body.splitlines()
        if not isinstance(result, Batch):
            return
        self.uncertain += sum(entry.uncertain for entry in result.all_entries)
        for mark in result.cursors:
            self.cursor = mark
        for numbers in result.numbers:
            self.numbers |= dict(numbers.expected)
        for tails in result.tails:
            if tails.move == self.move:
                compare = Compare(tails.move, tails.groups, tails.is_last, tails.cursor, tails.numbers)
                if self.taker is not None:
                    self.taker.send(compare)
                else:
                    self.early.append(compare)
                self.has_last = self.has_last or tails.is_last

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.news.clear()
            await self.news.wait()

    async def until_released(self, member: Member, times: int) -> None:
        await self.until(lambda: member.is_dead or member.results.count(Released(0)) >= times)

    async def begin(self) -> None:
        self.owner = self.hire()
        self.owner.send(Assign((self.assignment,)))

    async def offer(self, taker: Member) -> Offered | None:
        self.move += 1
        self.has_last = False
        self.taker = None
        self.early = []
        giver, move = self.owner, self.move
        giver.send(Offer(move, 0))
        await self.until(lambda: giver.find(Offered, move) or giver.find(MoveFailed, move) or giver.is_dead)
        return cast(Offered | None, giver.find(Offered, move))

    async def move_to(self, taker: Member, give_up: str = "") -> Aligned | None:
        """Move the endpoint; None: it stays where it is.

        Args:
            give_up: "joined", "cut" or "aligned": then it is given up, after that.
        """
        giver = self.owner
        offered = await self.offer(taker)
        move = self.move
        if offered is None:
            return None
        self.have_taken(taker, offered)

        def has_failed() -> bool:
            return bool(taker.find(MoveFailed, move) or giver.find(MoveFailed, move) or taker.is_dead)

        await self.until(lambda: taker.find(CutWanted, move) or has_failed() or giver.is_dead)
        if not giver.is_dead and not has_failed() and give_up != "joined":
            giver.send(Cut(move))
            if give_up != "cut":
                await self.until(lambda: self.has_last or has_failed() or giver.is_dead)
        if giver.is_dead:
            await self.until(lambda: giver.results_up.is_empty)
            if not self.has_last:
                empty = (b"",) * len(offered.groups)
                taker.send(Compare(move, empty, True, self.assignment.cursor, self.assignment.numbers, True))
        if not has_failed() and give_up not in ("joined", "cut"):
            await self.until(lambda: taker.find(Aligned, move) or has_failed())
        if has_failed() or (give_up and not giver.is_dead):
            await self.undo(giver, taker)
            return None
        taker.send(GoLive(move))
        self.taker = None
        self.owner = taker
        if not giver.is_dead:
            before = giver.results.count(Released(0))
            giver.send(Release(0))
            await self.until(lambda: giver.results.count(Released(0)) > before or giver.is_dead)
        return cast(Aligned, taker.find(Aligned, move))

    def have_taken(self, taker: Member, offered: Offered) -> None:
        """Have the endpoint taken, and tell what has been delivered so far."""
        self.taker = taker
        taker.send(Take(self.move, self.assignment, offered.groups))
        for compare in self.early:
            taker.send(compare)
        self.early = []

    async def undo(self, giver: Member, taker: Member) -> None:
        self.taker = None
        before = taker.results.count(Released(0))
        taker.send(Abandon(self.move))
        if not giver.is_dead:
            giver.send(Keep(self.move))
        await self.until(lambda: taker.is_dead or taker.results.count(Released(0)) > before)

    async def stop(self) -> None:
        for member in self.members:
            if not member.is_dead:
                await member.stop()

    def brought_to(self, member: int) -> set[int]:
        """The numbers that a member's connections have brought."""
        texts = [text for each in self.server.connections if each.member == member for text in each.brought]
        return {message["n"] for message in map(msgspec.json.decode, texts) if "n" in message}

    def numbered(self, stream: int | None = None) -> list[int]:
        """The numbers in the output."""
        found = map(msgspec.json.decode, self.output)
        return [each["n"] for each in found if "n" in each and stream in (None, each["s"])]


async def play(
    server: Server,
    story: Callable[[World], Awaitable[None]],
    *,
    lags: Sequence[tuple[float, float, float]] = ((0.0, 0.0, 0.0),),
    **keys: Any,
) -> World:
    """Let it happen, and stop all workers; what is sent to nobody any more is not looked at."""
    processors.begin()
    world = World(server, keys, lags)
    running = asyncio.ensure_future(server.run())
    try:
        await world.begin()
        await story(world)
        await world.stop()
    finally:
        running.cancel()
        for member in world.members:
            if not member.task.done():
                await member.kill()
        await asyncio.wait((running,))
    return world
