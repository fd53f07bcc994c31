"""The pipeline of an async processor: many messages at once, results in the order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from scaleout.signatures import Processor
from scaleout.worker.books import MAX_RESULTS, Books, Failure
from scaleout.worker.decoding import Read
from scaleout.worker.pipeline import Processed, Sender

MAX_CONCURRENCY = 100
"""Calls of one endpoint's processor at the same time."""
HIGH_WATER_MESSAGES = 1_000
LOW_WATER_MESSAGES = 250
HIGH_WATER_BYTES = 4 * 2**20
"""Of payloads; what waits is bounded by both, for feeds of small messages and of large ones."""
LOW_WATER_BYTES = 2**20


class _Job:
    """One call of the processor, and its outcome once there is one."""

    __slots__ = ("argument", "is_done", "outcome", "payloads", "read")

    def __init__(self, read: Read, payloads: Sequence[bytes], argument: object) -> None:
        self.read = read
        self.payloads = payloads
        self.argument = argument
        self.outcome: object = None
        self.is_done = False


class Awaited(Processed):
    """Awaits an async function (or collects an async generator) for each message, or for each read."""

    def __init__(self, books: Books, processor: Processor, send: Sender) -> None:
        super().__init__(books, processor, send)
        self._loop = asyncio.get_running_loop()
        self._unfinished: deque[_Job] = deque()
        self._waiting: deque[_Job] = deque()
        self._tasks: dict[_Job, asyncio.Task[None]] = {}
        self._collecting: asyncio.Handle | None = None
        self._pending_messages = 0
        self._pending_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Line the messages up."""
        if self.processor.is_batch:
            jobs = [_Job(read, payloads, messages)]
        else:
            jobs = [
                _Job(read, (payload,), message) for payload, message in zip(payloads, messages, strict=True)
            ]
        self._unfinished.extend(jobs)
        self._waiting.extend(jobs)
        self._count(jobs, 1)
        self._idle.clear()
        self._start()
        self._regulate()

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < MAX_CONCURRENCY:
            job = self._waiting.popleft()
            task = self._loop.create_task(self._run(job))
            self._tasks[job] = task

    async def _run(self, job: _Job) -> None:
        try:
            job.outcome = await self._call(job)
        except BaseException as exc:  # whatever it raises, a cancellation too, is this message's outcome
            job.outcome = Failure(exc)
        job.is_done = True
        del self._tasks[job]
        if self._collecting is None:
            self._collecting = self._loop.call_soon(self._collect)

    async def _call(self, job: _Job) -> object:
        processor = self.processor
        arguments = (job.argument, self.context_for(job.read)) if processor.wants_context else (job.argument,)
        called = processor.function(*arguments)
        if isinstance(called, AsyncIterator):
            results: list[object] = []
            async for result in called:
                results.append(result)
                if len(results) > MAX_RESULTS:
                    break  # which is too many, as will be found
            return iter(results)
        return await called  # type: ignore[misc]  # an async function's call is awaitable

    def _collect(self) -> None:
        """Deliver what is done at the head of the line, one batch for each read."""
        self._collecting = None
        done: list[_Job] = []
        while self._unfinished and self._unfinished[0].is_done:
            done.append(self._unfinished.popleft())
        self._count(done, -1)
        start = 0
        while start < len(done):
            read = done[start].read
            stop = start + 1
            while stop < len(done) and done[stop].read is read:
                stop += 1
            self._deliver(read, done[start:stop])
            start = stop
        self._start()
        self._regulate()
        if not self._unfinished:
            self._idle.set()

    def _deliver(self, read: Read, jobs: list[_Job]) -> None:
        if self.processor.is_batch:
            for job in jobs:
                self.books.deliver_batch(read, job.payloads, job.outcome)
        else:
            payloads = [job.payloads[0] for job in jobs]
            self.books.deliver(read, payloads, [job.outcome for job in jobs])

    def _count(self, jobs: list[_Job], sign: int) -> None:
        self._pending_messages += sign * sum(len(job.payloads) for job in jobs)
        self._pending_bytes += sign * sum(sum(map(len, job.payloads)) for job in jobs)

    def _regulate(self) -> None:
        messages, size = self._pending_messages, self._pending_bytes
        if messages > HIGH_WATER_MESSAGES or size > HIGH_WATER_BYTES:
            self.valve.close()
        elif messages < LOW_WATER_MESSAGES and size < LOW_WATER_BYTES:
            self.valve.open()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the calls under way and in line; cancel those that take longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self._cut_off(f"still being processed {timeout_s:g} s after the run was stopped")

    def _cut_off(self, reason: str) -> None:
        failure = Failure(TimeoutError(reason), (TimeoutError,))
        self._waiting.clear()
        for job in self._unfinished:
            if not job.is_done:
                job.outcome, job.is_done = failure, True
        for task in self._tasks.values():
            task.cancel()
        self._collect()
