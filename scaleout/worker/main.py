"""A worker process: its loop, its sessions, its way out, and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from random import Random

import uvloop

from scaleout import logs, memory, signals, streams
from scaleout.channel import Channel
from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import (
    Assign,
    Assignment,
    Command,
    Heartbeat,
    LimitReached,
    Ready,
    Report,
    Setup,
    StateChange,
    Stop,
)
from scaleout.errors import ProcessorError
from scaleout.processors import load_processor
from scaleout.signatures import Processor
from scaleout.tally import Allowance, Tally
from scaleout.worker.awaited import Awaited
from scaleout.worker.books import Books
from scaleout.worker.decoding import bytes_decoder, text_decoder
from scaleout.worker.outbox import Outbox
from scaleout.worker.permessage import PerMessage
from scaleout.worker.pipeline import Decoded, Intake, PassThrough, PerRead, Pipeline, Processed
from scaleout.worker.session import Session
from scaleout.worker.words import text_of

ORPHAN_GRACE_S = 5.0
"""A worker whose parent died has that long to end by itself, if its loop is stuck."""


def worker_main(control: Connection, results: Connection, tally: Tally, allowance: Allowance | None) -> None:
    """Entry point of a worker process."""
    signals.leave_to_parent()
    streams.leave_stdout_to_sinks()
    memory.keep_freed()
    threading.Thread(target=_end_with_parent, name="orphan-guard", daemon=True).start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(control, results, tally, allowance))


def _end_with_parent() -> None:
    """End a worker whose loop is stuck and can't see the end of its pipe."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    time.sleep(ORPHAN_GRACE_S)
    os._exit(1)


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
        self._sessions: dict[int, Session] = {}
        self._pipelines: dict[int, Pipeline] = {}
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
        self.report(Ready())
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat(setup.heartbeat_interval))
            receiving: list[asyncio.Task[None]] = []
            while isinstance(command := await self._commands.get(), Assign):
                for assignment in command.assignments:
                    session = self._start(assignment, setup)
                    if session is not None:
                        receiving.append(tasks.create_task(session.run(), name=assignment.endpoint.name))
            if isinstance(command, Stop):
                await self._stop(setup, receiving)
            for task in (beating, *receiving):
                task.cancel()

    async def _stop(self, setup: Setup, receiving: list[asyncio.Task[None]]) -> None:
        """Receive nothing more, hand over all that was received, and close the connections meanwhile."""
        for session in self._sessions.values():
            session.stop_receiving()
        for task in receiving:
            task.cancel()
        await asyncio.gather(
            *(session.say_goodbye() for session in self._sessions.values()),
            self._hand_over(setup.drain_timeout),
        )

    async def _hand_over(self, timeout_s: float) -> None:
        await asyncio.gather(*(pipeline.drain(timeout_s) for pipeline in self._pipelines.values()))
        await self._outbox.finish(time.process_time())

    async def _beat(self, interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval_s
            await asyncio.sleep(interval_s)
            lag = max(0.0, loop.time() - due)
            self.report(Heartbeat(lag=lag, cpu=time.process_time(), backlog=self._outbox.backlog_bytes))

    # Endpoints

    def _start(self, assignment: Assignment, setup: Setup) -> Session | None:
        slot, endpoint = assignment.slot, assignment.endpoint
        logger = logs.EndpointLogger(endpoint.name, setup.secrets)
        session = Session(
            endpoint,
            self._outbox,
            lambda session: self._report_state(slot, session),
            logger,
            Random(),
        )
        books = Books(slot, endpoint, self._outbox, setup.envelope)
        try:
            pipeline = build_pipeline(endpoint, books, self._intake, session)
        except ProcessorError as exc:
            error = logger.redact(text_of(exc))
            logger.error("%s", error)
            self.report(StateChange(slot, EndpointState.ENDED, 0, error))
            return None
        session.deliver_to(pipeline)
        self._sessions[slot] = session
        self._pipelines[slot] = pipeline
        return session

    def _report_state(self, slot: int, session: Session) -> None:
        self.report(StateChange(slot, session.state, session.connects, session.last_error))

    def _reach_limit(self) -> None:
        if not self._is_at_limit:
            self._is_at_limit = True
            self.report(LimitReached())


def build_pipeline(endpoint: Endpoint, books: Books, intake: Intake, session: Session) -> Pipeline:
    """The pipeline that an endpoint's configuration asks for.

    Raises:
        ProcessorError: its processor can't be used.
    """
    if endpoint.processor is not None:
        processor = load_processor(endpoint.processor)
        return pipeline_class(processor)(books, intake, processor, session.send)
    if endpoint.format == "json":
        return PassThrough(books, intake)
    return Decoded(books, intake, text_decoder if endpoint.format == "text" else bytes_decoder)


def pipeline_class(processor: Processor) -> type[Processed]:
    """The kind of pipeline that a processor's signature asks for."""
    if processor.is_async or processor.is_async_generator:
        return Awaited
    return PerRead if processor.is_batch else PerMessage
