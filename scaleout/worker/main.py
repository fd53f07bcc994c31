"""A worker process: its loop, its sessions, its way out, and its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Coroutine, Iterable, Sequence
from multiprocessing.connection import Connection
from random import Random

import uvloop

from scaleout import logs, machine, memory, secrets, spawning
from scaleout.channel import Channel
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment
from scaleout.core.movewire import Abandon, Compare, Cut, GoLive, Keep, MoveFailed, Offer, Take
from scaleout.core.wire import (
    Answer,
    Assign,
    ChangeStreams,
    Command,
    Grant,
    Heartbeat,
    Hide,
    LimitReached,
    Ready,
    Recall,
    Release,
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
from scaleout.worker import polling
from scaleout.worker.assigned import Assigned
from scaleout.worker.cadence import Cadence
from scaleout.worker.dialing import Dialer
from scaleout.worker.inlet import Intake
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means
from scaleout.worker.moving.moves import Moves
from scaleout.worker.moving.taking import Taking
from scaleout.worker.outbox import Outbox
from scaleout.worker.polling import Poller
from scaleout.worker.pooled import Pools
from scaleout.worker.rounds import Rounds
from scaleout.worker.words import text_of

STARTED_AT_ONCE = 20
"""Endpoints that are started, and begin to connect, in one turn of the loop; likewise those that are ended."""

_log = logging.getLogger("scaleout.worker")


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
        self._cadence = Cadence(asyncio.get_running_loop())
        self._pools = Pools(self._outbox, asyncio.get_running_loop(), self._cadence.note)
        self._intake = Intake(tally, allowance, self._reach_limit)
        self._permits = Permits(self.report)
        self._poller = Poller(asyncio.get_running_loop()) if polling.IS_AVAILABLE else None
        self._means = Means(Dialer(self._poller), self._permits, Random())
        self._assigned: dict[int, Assigned] = {}
        self._looks: dict[int, int] = {}
        """By slot, after how many heartbeats it is to be looked at again."""
        self._rounds: Rounds
        self._moves = Moves(self.report, self._release)
        self._helped_before_s = 0.0
        """CPU seconds of processes that helped with them."""
        self._releases: set[asyncio.Task[None]] = set()
        self._setup: Setup
        self._tasks: asyncio.TaskGroup
        self._commands: asyncio.Queue[Command | None] = asyncio.Queue()
        self._is_at_limit = False
        self._reports: list[Report] = []
        """Those that are to be sent once this turn of the loop is over."""
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
        """Tell the supervisor, with all else that there is to tell in this turn of the loop."""
        if not self._reports:
            asyncio.get_running_loop().call_soon(self._send_reports)
        self._reports.append(report)

    def _send_reports(self) -> None:
        reports, self._reports = self._reports, []
        if reports:
            self._control.send_all(reports)

    # Life

    async def run(self) -> None:
        """Obey commands until the stop, or until the supervisor is gone."""
        setup = await self._commands.get()
        if not isinstance(setup, Setup):
            return
        self._setup = setup
        logs.configure(setup.log_level, setup.log_format, setup.secrets, setup.worker)
        if setup.core is not None:
            self._keep_to(setup.core, setup.cores)
        memory.collect_rarely()
        self._permits.limit(setup.budgeted)
        self.report(Ready())
        async with asyncio.TaskGroup() as self._tasks:
            self._rounds = Rounds(setup.heartbeat_interval)
            beating = self._tasks.create_task(self._beat(setup.heartbeat_interval))
            while (command := await self._commands.get()) is not None and not isinstance(command, Stop):
                await self._obey(command)
            if command is not None:
                await self._stop()
            beating.cancel()
            for each in self._assigned.values():
                each.stop_receiving()
            for task in self._releases:
                task.cancel()
        for each in self._assigned.values():
            each.feed.close_all()
        if self._poller is not None:
            self._poller.close()
        self._send_reports()

    def _keep_to(self, core: int, cores: Sequence[int]) -> None:
        try:
            machine.keep_to((core,), cores)
        except OSError as exc:
            _log.warning("can't keep to core %d (%s): goes on without", core, exc.strerror or exc)

    async def _obey(self, command: Command) -> None:
        """Do what concerns one endpoint, or some, and say what came of it."""
        match command:
            case Grant(ticket):
                self._permits.granted(ticket)
            case Recall(ticket):
                self._permits.recalled(ticket)
            case Hide(values):
                secrets.learn(values)
            case Assign(assignments):
                await self._start_all(assignments)
            case Release(slot):
                self._release(slot)
            case Offer(_, slot):
                self._moves.offer(command, self._assigned.get(slot))
            case Take():
                self._take(command)
            case Cut() | Keep() | Compare() | GoLive() | Abandon():
                self._moves.obey(command)
            case Resume() | Send() | ChangeStreams() | TryLetters():
                self.report(Answer(command.request, self._do(command)))

    def _do(self, command: Resume | Send | ChangeStreams | TryLetters) -> str | None:
        """Do what a person asks; returns what is wrong with that, if anything is."""
        assigned = self._assigned.get(command.slot)
        if assigned is None:
            return "its worker has not started it"
        match command:
            case Resume():
                assigned.feed.resume()
            case Send():
                try:
                    assigned.feed.send(command.text)
                except SendError as exc:
                    return str(exc)
            case ChangeStreams():
                self._moves.change_streams(command.slot)
                return assigned.feed.change_streams(command.add, command.remove)
            case TryLetters():
                assigned.retries.begin(command.letters)
        return None

    async def _stop(self) -> None:
        """Receive nothing more, hand over all that was received, and close the connections meanwhile."""
        # What there is goes soon: to look through it for what is free already would hold the loop for long.
        gc.freeze()
        self._moves.end_all()
        for each in self._assigned.values():
            each.feed.stop_receiving()
        ending = list(self._assigned.values())
        await asyncio.gather(
            self._hand_over(ending, self._setup.drain_timeout),
            _some_at_a_time(each.say_goodbye() for each in ending),
        )

    async def _hand_over(self, ending: Sequence[Assigned], timeout_s: float) -> None:
        await _some_at_a_time(each.drain(timeout_s) for each in ending)
        await asyncio.gather(*self._releases)
        await self._outbox.finish(self._cpu_s)

    @property
    def _cpu_s(self) -> float:
        """CPU seconds that this process has used, and those that process messages for it."""
        helped_s = sum(each.stage.cpu_s for each in self._assigned.values())
        return time.process_time() + self._helped_before_s + helped_s

    async def _beat(self, interval_s: float) -> None:
        loop, rounds = asyncio.get_running_loop(), self._rounds
        while True:
            due = loop.time() + interval_s
            await asyncio.sleep(interval_s)
            lag = max(0.0, loop.time() - due)
            rounds.beat(lag)
            for slot in rounds.due(self._looks):
                self._assigned[slot].feed.look(loop.time(), rounds.lag_s(self._looks[slot]))
            self._outbox.post_all()
            own_cpu_s = time.process_time()
            self.report(Heartbeat(lag, self._cpu_s, self._outbox.backlog_bytes, own_cpu_s))

    # Endpoints

    async def _start_all(self, assignments: Sequence[Assignment]) -> None:
        """Start some at a time, so that the first are read while the last are still to be opened."""
        for count, assignment in enumerate(assignments, start=1):
            self._start(assignment)
            if count % STARTED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _start(self, assignment: Assignment) -> None:
        try:
            self._begin(self._make(assignment))
        except ProcessorError as exc:
            error = self._tell(assignment, exc)
            self.report(StateChange(assignment.slot, EndpointState.ENDED, 0, error))

    def _take(self, command: Take) -> None:
        """Begin to take an endpoint that another worker has."""
        assignment = command.assignment
        if assignment.slot in self._assigned:
            self.report(MoveFailed(command.move, "the worker that is to take it has it already"))
            return
        taking = Taking(command.move, assignment.endpoint, len(command.groups), self.report)
        try:
            assigned = self._make(assignment, command.groups, taking)
        except ProcessorError as exc:
            self.report(MoveFailed(command.move, self._tell(assignment, exc)))
            return
        taking.take_to(assigned.feed, assigned.inlet, assigned.log)
        self._moves.take(assignment.slot, taking)
        self._begin(assigned)

    def _make(
        self,
        assignment: Assignment,
        groups: tuple[tuple[str, ...], ...] | None = None,
        taking: Taking | None = None,
    ) -> Assigned:
        return Assigned(
            assignment,
            self._setup,
            self._outbox,
            self._intake,
            self._means,
            self._follow,
            pools=self._pools,
            groups=groups,
            make_gate=taking.gate_of if taking is not None else None,
        )

    def _begin(self, assigned: Assigned) -> None:
        self._assigned[assigned.slot] = assigned
        self._cadence.follow(assigned.slot, assigned.feed.endpoint.linger)
        self._looks[assigned.slot] = self._rounds.beats_in(assigned.feed.look_every_s)
        assigned.begin(self._tasks)

    def _tell(self, assignment: Assignment, exc: ProcessorError) -> str:
        """Log why an endpoint can't be begun; returns that."""
        logger = logs.EndpointLogger(assignment.endpoint.name, self._setup.secrets)
        error = logger.redact(text_of(exc))
        logger.error("%s", error)
        return error

    def _follow(self, assigned: Assigned) -> None:
        self.report(assigned.take_change())
        self._moves.follow(assigned.slot)

    def _release(self, slot: int) -> None:
        """Let an endpoint go, in the background."""
        self._looks.pop(slot, None)
        assigned = self._assigned.pop(slot, None)
        if assigned is None:
            self._outbox.put_released(slot)
            return
        self._moves.let_go(slot)
        self._cadence.forget(slot)
        assigned.stop_receiving()
        task = self._tasks.create_task(self._let_go(assigned))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _let_go(self, assigned: Assigned) -> None:
        try:
            await assigned.let_go(self._setup.drain_timeout)
        finally:
            self._helped_before_s += assigned.stage.cpu_s

    def _reach_limit(self) -> None:
        if not self._is_at_limit:
            self._is_at_limit = True
            self.report(LimitReached())


async def _some_at_a_time(actions: Iterable[Coroutine[object, object, None]]) -> None:
    """Begin some in each turn of the loop, so that it isn't held by thousands, and wait for them all."""
    async with asyncio.TaskGroup() as tasks:
        for count, action in enumerate(actions, start=1):
            tasks.create_task(action)
            if count % STARTED_AT_ONCE == 0:
                await asyncio.sleep(0)
