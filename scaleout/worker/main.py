"""A worker process: its loop, its sessions, its way out, and its end."""

from __future__ import annotations

import asyncio
import gc
import time
from multiprocessing.connection import Connection
from random import Random

import uvloop

from scaleout import logs, spawning
from scaleout.channel import Channel
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import (
    Answer,
    Assign,
    Assignment,
    ChangeStreams,
    Command,
    Grant,
    Heartbeat,
    LimitReached,
    Ready,
    Recall,
    Report,
    Resume,
    Send,
    Setup,
    StateChange,
    Stop,
    TryLetters,
)
from scaleout.errors import ProcessorError, SendError
from scaleout.tally import Allowance, Tally
from scaleout.worker.backlog import Backlog
from scaleout.worker.books import Books
from scaleout.worker.dialing import Dialer
from scaleout.worker.feed import Feed
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Pipeline
from scaleout.worker.retries import Retries
from scaleout.worker.stages import build_stage
from scaleout.worker.words import text_of


def worker_main(control: Connection, results: Connection, tally: Tally, allowance: Allowance | None) -> None:
    """Entry point of a worker process."""
    spawning.begin_child()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(control, results, tally, allowance))


async def _run(control: Connection, results: Connection, tally: Tally, allowance: Allowance | None) -> None:
    worker = Worker(tally, allowance)
    await worker.connect(control, results)
    await worker.run()


class Worker:
    """What a worker does on its commands.

    Args:
        tally: shared memory for what is read.
        allowance: what may still be received, in a run with a limit.
    """

    def __init__(self, tally: Tally, allowance: Allowance | None) -> None:
        self._outbox = Outbox()
        self._intake = Intake(tally, allowance, self._reach_limit)
        self._permits = Permits(self.report)
        self._means = Means(Dialer(), self._permits, Random())
        self._feeds: dict[int, Feed] = {}
        self._stages: dict[int, Pipeline | Backlog] = {}
        self._retries: dict[int, Retries] = {}
        self._known_streams: dict[int, tuple[str, ...]] = {}
        """What the supervisor has been told."""
        self._commands: asyncio.Queue[Command | None] = asyncio.Queue()
        self._is_at_limit = False
        self._control: Channel[Command]
        self._results: Channel[Command]

    async def connect(self, control: Connection, results: Connection) -> None:
        """Take the pipes over."""
        self._control = await Channel.open(
            control, Command, lambda command, body: self._commands.put_nowait(command), self._lose_parent
        )
        self._results = await Channel.open(
            results, Command, lambda command, body: None, self._lose_parent, self._outbox.flush
        )
        self._outbox.send_through(self._results)

    def _lose_parent(self, exc: Exception | None) -> None:
        self._commands.put_nowait(None)

    def report(self, report: Report) -> None:
        """Tell the supervisor."""
        self._control.send(report)

    # Life

    async def run(self) -> None:
        """Obey commands until the stop, or until the supervisor is gone."""
        setup = await self._commands.get()
        if not isinstance(setup, Setup):
            return
        logs.configure(setup.log_level, setup.log_format, setup.secrets, setup.worker)
        gc.collect()
        gc.freeze()
        self._permits.limit(setup.budgeted)
        self.report(Ready())
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat(setup.heartbeat_interval))
            receiving: list[asyncio.Task[None]] = []
            while (command := await self._commands.get()) is not None and not isinstance(command, Stop):
                if isinstance(command, Assign):
                    for assignment in command.assignments:
                        feed = self._start(assignment, setup)
                        if feed is not None:
                            receiving.append(tasks.create_task(feed.run(), name=assignment.endpoint.name))
                else:
                    self._obey(command)
            if command is not None:
                await self._stop(setup, receiving)
            for task in (beating, *receiving):
                task.cancel()
        for feed in self._feeds.values():
            feed.close_all()

    def _obey(self, command: Command) -> None:
        """Do what concerns one endpoint, and say what came of it."""
        match command:
            case Grant(ticket):
                self._permits.granted(ticket)
            case Recall(ticket):
                self._permits.recalled(ticket)
            case Resume() | Send() | ChangeStreams() | TryLetters():
                self.report(Answer(command.request, self._do(command)))

    def _do(self, command: Resume | Send | ChangeStreams | TryLetters) -> str | None:
        """Do what a person asks; returns what is wrong with that, if anything is."""
        feed = self._feeds.get(command.slot)
        if feed is None:
            return "its worker has not started it"
        match command:
            case Resume():
                feed.resume()
            case Send():
                try:
                    feed.send(command.text)
                except SendError as exc:
                    return str(exc)
            case ChangeStreams():
                return feed.change_streams(command.add, command.remove)
            case TryLetters():
                self._retries[command.slot].begin(command.letters)
        return None

    async def _stop(self, setup: Setup, receiving: list[asyncio.Task[None]]) -> None:
        """Receive nothing more, hand over all that was received, and close the connections meanwhile."""
        for feed in self._feeds.values():
            feed.stop_receiving()
        for task in receiving:
            task.cancel()
        await asyncio.gather(
            *(feed.say_goodbye() for feed in self._feeds.values()),
            self._hand_over(setup.drain_timeout),
        )

    async def _hand_over(self, timeout_s: float) -> None:
        await asyncio.gather(
            *(stage.drain(timeout_s) for stage in self._stages.values()),
            *(retries.drain(timeout_s) for retries in self._retries.values()),
        )
        await self._outbox.finish(self._cpu_s)

    @property
    def _cpu_s(self) -> float:
        """CPU seconds that this process has used, and those that process messages for it."""
        return time.process_time() + sum(stage.cpu_s for stage in self._stages.values())

    async def _beat(self, interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval_s
            await asyncio.sleep(interval_s)
            lag = max(0.0, loop.time() - due)
            for feed in self._feeds.values():
                feed.look(loop.time(), lag)
            self._outbox.post_all()
            self.report(Heartbeat(lag=lag, cpu=self._cpu_s, backlog=self._outbox.backlog_bytes))

    # Endpoints

    def _start(self, assignment: Assignment, setup: Setup) -> Feed | None:
        slot, endpoint = assignment.slot, assignment.endpoint
        logger = logs.EndpointLogger(endpoint.name, setup.secrets)
        books = Books(slot, endpoint, self._outbox, setup.envelope, logger)
        self._outbox.know(books.tray)
        try:
            feed = Feed(
                assignment,
                self._means,
                lambda feed: self._report_state(slot, feed),
                logger,
            )
            stage = build_stage(endpoint, books, feed.send)
        except ProcessorError as exc:
            error = logger.redact(text_of(exc))
            logger.error("%s", error)
            self.report(StateChange(slot, EndpointState.ENDED, 0, error))
            return None
        inlet = Inlet(books, self._intake, stage)
        feed.deliver_to(inlet)
        self._retries[slot] = Retries(inlet, setup.envelope, feed.send, logger)
        self._feeds[slot] = feed
        self._stages[slot] = stage
        return feed

    def _report_state(self, slot: int, feed: Feed) -> None:
        streams = feed.streams if feed.streams is not self._known_streams.get(slot, ()) else None
        self._known_streams[slot] = feed.streams
        self.report(StateChange(slot, feed.state, feed.connects, feed.last_error, feed.stall, streams))

    def _reach_limit(self) -> None:
        if not self._is_at_limit:
            self._is_at_limit = True
            self.report(LimitReached())
