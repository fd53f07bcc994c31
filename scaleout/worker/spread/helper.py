"""A helper process: it processes messages as its worker would, and answers with what they have come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import uvloop

from scaleout import logs, memory, spawning
from scaleout.channel import Channel
from scaleout.core.frames import Kind
from scaleout.core.spreadwire import Answer, Fit, Order, Outcome, Outfit, Outgoing, Portion, Unfit, Work
from scaleout.core.wire import DeadLetter
from scaleout.errors import ProcessorError, SendError
from scaleout.worker.books import Books
from scaleout.worker.decoding import Read
from scaleout.worker.encoding import Lines
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Pipeline
from scaleout.worker.pipelines import build_pipeline
from scaleout.worker.tray import Tray

ANSWER_BYTES = 16 * 2**20
"""What has come together before all of a batch is processed goes out from this size on."""


def helper_main(pipe: Connection) -> None:
    """Entry point of a helper process."""
    spawning.begin_child()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(pipe))


async def _run(pipe: Connection) -> None:
    helper = Helper()
    await helper.connect(pipe)
    await helper.run()


class Collector(Outbox):
    """Collects what a pipeline hands over, in the place of a worker's outbox.

    Args:
        on_full: called when there is so much that it should go out.
    """

    def __init__(self, on_full: Callable[[], None]) -> None:
        super().__init__()
        self._on_full = on_full
        self._lines: list[bytes | bytearray | memoryview] = []
        self._letters: list[DeadLetter] = []
        self._outgoing: list[Outgoing] = []
        self._size = 0

    def put(self, tray: Tray, lines: Lines, linger_s: float) -> None:
        """Keep lines; the counts stay in their tray."""
        self._lines.extend(lines)
        self._size += sum(map(len, lines))
        if self._size >= ANSWER_BYTES:
            self._on_full()

    def put_dead_letter(self, letter: DeadLetter) -> None:
        """Keep a dead letter."""
        self._letters.append(letter)

    def send(self, message: str | bytes) -> None:
        """Keep a message that the processor sends.

        Raises:
            SendError: no connection could send it.
        """
        if isinstance(message, str):
            try:
                self._outgoing.append(Outgoing(True, message.encode()))
            except UnicodeEncodeError as exc:
                raise SendError(f"can't send text that UTF-8 can't hold: {exc.reason}") from None
        elif isinstance(message, bytes | bytearray | memoryview):
            self._outgoing.append(Outgoing(False, bytes(message)))
        else:
            raise SendError(f"sends str and bytes alone, not {type(message).__name__}")

    def take(self, segment: int, tray: Tray) -> tuple[Outcome, Sequence[bytes | bytearray | memoryview]]:
        """All there is, as the outcome of a segment, and its lines."""
        outcome = Outcome(segment, tray.take(), self._size, tuple(self._letters), tuple(self._outgoing))
        lines, self._lines = self._lines, []
        self._letters.clear()
        self._outgoing.clear()
        self._size = 0
        return outcome, lines


class _QuietBooks(Books):
    """Keeps dead letters without a word: the worker tells of them."""

    def keep(self, letter: DeadLetter) -> None:
        """Hand it to the collector."""
        self.outbox.put_dead_letter(letter)


class Helper:
    """What a helper does on its orders, one after the other."""

    def __init__(self) -> None:
        self._orders: asyncio.Queue[Order | None] = asyncio.Queue()
        self._collector = Collector(self._answer_in_between)
        self._channel: Channel[Order]
        self._books: Books
        self._pipeline: Pipeline
        self._work: Work
        self._segment = 0
        """Index of the one that is being processed."""
        self._outcomes: list[Outcome] = []
        self._body: list[bytes | bytearray | memoryview] = []

    async def connect(self, pipe: Connection) -> None:
        """Take the pipe over."""
        self._channel = await Channel.open(
            pipe, Order, lambda order, body: self._orders.put_nowait(order), self._lose_worker
        )

    def _lose_worker(self, exc: Exception | None) -> None:
        self._orders.put_nowait(None)

    async def run(self) -> None:
        """Process what comes, until the pipe ends."""
        outfit = await self._orders.get()
        if not isinstance(outfit, Outfit):
            return
        logs.configure(outfit.log_level, outfit.log_format, outfit.secrets, outfit.worker)
        try:
            self._prepare(outfit)
        except ProcessorError as exc:
            self._channel.send(Unfit(str(exc)))
            await self._channel.close()
            return
        memory.collect_rarely()
        self._channel.send(Fit(time.process_time()))
        while isinstance(work := await self._orders.get(), Work):
            await self._do(work)
            await asyncio.sleep(0)  # for the answer to go out before the next batch is begun

    def _prepare(self, outfit: Outfit) -> None:
        endpoint = outfit.endpoint
        logger = logs.EndpointLogger(endpoint.name, outfit.secrets)
        self._books = _QuietBooks(outfit.slot, endpoint, self._collector, outfit.envelope, logger)
        self._pipeline = build_pipeline(endpoint, self._books, self._collector.send)

    async def _do(self, work: Work) -> None:
        """Process a batch, and answer."""
        began = time.perf_counter()
        self._work = work
        for self._segment, segment in enumerate(work.segments):
            for portion in segment:
                await self._process(portion)
            self._collect()
            if sum(map(len, self._body)) >= ANSWER_BYTES:
                self._answer()
        self._answer(time.perf_counter() - began)
        await self._channel.drain()

    async def _process(self, portion: Portion) -> None:
        payloads = portion.payloads
        kind = Kind.TEXT if portion.is_text else Kind.BINARY
        self._pipeline.handle(Read(payloads, kind, portion.received_at))
        handed_on = asyncio.Event()
        self._pipeline.in_turn(handed_on.set)
        await handed_on.wait()

    def _collect(self) -> None:
        outcome, lines = self._collector.take(self._segment, self._books.tray)
        self._outcomes.append(outcome)
        self._body.extend(lines)

    def _answer_in_between(self) -> None:
        self._collect()
        self._answer()

    def _answer(self, busy_s: float | None = None) -> None:
        """Send the outcomes there are; without a time, others follow for the same work."""
        outcomes, self._outcomes = tuple(self._outcomes), []
        body, self._body = self._body, []
        cpu_s = time.process_time()
        self._channel.send(
            Answer(self._work.number, outcomes, cpu_s, busy_s or 0.0, is_last=busy_s is not None), body
        )
