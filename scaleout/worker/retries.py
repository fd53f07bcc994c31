"""Dead letters of an endpoint that are tried again in its worker, beside what its connections bring."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property

from scaleout.core.wire import LetterToTry, TriedLetter
from scaleout.logs import EndpointLogger
from scaleout.processors import load_processor
from scaleout.signatures import Processor
from scaleout.worker.inlet import Inlet
from scaleout.worker.pipeline import Sender
from scaleout.worker.retry import Dead, Delivered, Outcome, Retrier


class _Gate:
    """A source that is held back with the connections, and waits for better times."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._holders: set[object] = set()

    def pause_reading(self, holder: object) -> None:
        """Close."""
        self._holders.add(holder)
        self._open.clear()

    def resume_reading(self, holder: object) -> None:
        """Open, once all have let go."""
        self._holders.discard(holder)
        if not self._holders:
            self._open.set()

    async def wait(self) -> None:
        """Wait until it is open, and for the loop's next turn at least."""
        await asyncio.sleep(0)
        await self._open.wait()


class Retries:
    """Tries letters again.

    A letter is counted as received when its outcome is known, all in one step: whatever interrupts a trial
    leaves the letter as it was.

    Args:
        inlet: the endpoint's.
        envelope: whether results are wrapped.
        send: sends on the endpoint's connection.
        logger: knows the endpoint.
    """

    def __init__(self, inlet: Inlet, envelope: bool, send: Sender, logger: EndpointLogger) -> None:
        self._inlet = inlet
        self._envelope = envelope
        self._send = send
        self._log = logger
        self._tasks: dict[asyncio.Task[None], None] = {}

    @cached_property
    def _processor(self) -> Processor | None:
        name = self._inlet.books.config.processor
        return None if name is None else load_processor(name)

    @cached_property
    def _retrier(self) -> Retrier:
        return Retrier(self._inlet.books.config, self._processor, self._envelope, self._send)

    @cached_property
    def _limit(self) -> asyncio.Semaphore:
        processor = self._processor
        if processor is not None and (processor.is_async or processor.is_async_generator):
            return asyncio.Semaphore(self._inlet.books.config.max_concurrency)
        return asyncio.Semaphore(1)  # a plain function keeps the loop: one letter, then the others' turn

    def begin(self, letters: Sequence[LetterToTry]) -> None:
        """Try letters, in the background."""
        task = asyncio.get_running_loop().create_task(self._try_all(letters))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _try_all(self, letters: Sequence[LetterToTry]) -> None:
        gate = _Gate()
        valve = self._inlet.books.outbox.valve
        valve.attach(gate)
        try:
            async with asyncio.TaskGroup() as tasks:
                for letter in letters:
                    tasks.create_task(self._try(letter, gate))
        except* Exception:
            self._log.error("internal error while dead letters were tried again", exc_info=True)
        finally:
            valve.detach(gate)

    async def _try(self, letter: LetterToTry, gate: _Gate) -> None:
        async with self._limit:
            await gate.wait()
            outcome = await self._retrier.attempt(letter.payload, letter.is_text, letter.received_at)
            self._book(letter, outcome)

    def _book(self, letter: LetterToTry, outcome: Outcome) -> None:
        books = self._inlet.books
        tray = books.tray
        self._inlet.note_retried(letter.payload)
        if isinstance(outcome, Dead):
            tray.dead_lettered += 1
            books.outbox.put_retried(TriedLetter(letter.id, outcome.reason, outcome.traceback, outcome.stage))
            books.post()
        elif isinstance(outcome, Delivered):
            tray.delivered += 1
            tray.results += outcome.results
            books.outbox.put_retried(TriedLetter(letter.id, results=outcome.results))
            books.post((outcome.lines,))
        else:
            tray.filtered += 1
            books.outbox.put_retried(TriedLetter(letter.id))
            books.post()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the letters that are being tried; those that take longer stay as they were."""
        if not self._tasks:
            return
        tasks = tuple(self._tasks)
        await asyncio.wait(tasks, timeout=timeout_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
