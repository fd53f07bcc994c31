"""The pipeline of an async processor: many calls at once, as many as help, each no longer than it may take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic

from scaleout.core.concurrency import ConcurrencyLimit
from scaleout.signatures import Processor
from scaleout.worker.books import Books, Failure
from scaleout.worker.calls import force_to_end, outcome_of, timed_out
from scaleout.worker.decoding import Read
from scaleout.worker.pipeline import Processed, Sender

BLOCKED_S = 0.1
"""When a timeout is noticed so late, the loop was blocked: calls that were answered meanwhile may end first."""
MOST_GRACES = 20
"""How often in a row: a loop that is late all the time isn't waited for."""
CLEAN_UP_SHARE = 1 / 8
"""Of the time to drain: what calls that are cancelled at the end have besides, for their `finally`."""


class _Era:
    """Messages between two actions that are to be done in turn."""

    __slots__ = ("action", "pending")

    def __init__(self) -> None:
        self.pending = 0
        self.action: Callable[[], None] | None = None
        """What to do behind the last of them, once that is known."""


class _Lot:
    """Messages that came together."""

    __slots__ = ("era", "read")

    def __init__(self, read: Read, era: _Era) -> None:
        self.read = read
        self.era = era


class _Job:
    """One call of the processor, and its outcome once there is one."""

    __slots__ = ("argument", "is_done", "lot", "outcome", "payloads", "started_at")

    def __init__(self, lot: _Lot, payloads: Sequence[bytes], argument: object) -> None:
        self.lot = lot
        self.payloads = payloads
        self.argument = argument
        self.outcome: object = None
        self.is_done = False
        self.started_at = 0.0


class Awaited(Processed):
    """Awaits an async function (or collects an async generator) for each message, or for each read."""

    def __init__(self, books: Books, processor: Processor, send: Sender) -> None:
        super().__init__(books, processor, send)
        config = books.config
        self._config = config
        self._limit = ConcurrencyLimit(config.max_concurrency)
        self._loop = asyncio.get_running_loop()
        self._in_order: deque[_Job] | None = deque() if config.ordered else None
        """Where order matters: all that aren't delivered."""
        self._waiting: deque[_Job] = deque()
        self._running: dict[_Job, asyncio.Task[None]] = {}
        """By the time they were started."""
        self._ended: list[_Job] = []
        self._given_up: list[_Job] = []
        self._zombies: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._eras = deque([_Era()])
        self._collecting: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pending_messages = 0
        self._pending_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_prompt(self) -> bool:
        """Messages may wait."""
        return False

    @property
    def concurrency(self) -> int:
        """How many calls may run at once at present."""
        return self._limit.limit

    @property
    def zombies(self) -> int:
        """Calls that go on although their messages have been given up; they take up room until they end."""
        return len(self._zombies)

    # Calls

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Line the messages up."""
        lot = _Lot(read, self._eras[-1])
        if self.processor.is_batch:
            jobs = [_Job(lot, payloads, messages)]
        else:
            jobs = [
                _Job(lot, (payload,), message) for payload, message in zip(payloads, messages, strict=True)
            ]
        lot.era.pending += len(jobs)
        if self._in_order is not None:
            self._in_order.extend(jobs)
        self._waiting.extend(jobs)
        self._count(payloads, 1)
        self._idle.clear()
        self._start()
        self._regulate()

    def _start(self) -> None:
        running, waiting = self._running, self._waiting
        room = min(self._limit.limit, self._limit.maximum - len(self._zombies)) - len(running)
        if room <= 0 or not waiting:
            return
        now = monotonic()
        for _ in range(min(room, len(waiting))):
            job = waiting.popleft()
            job.started_at = now
            running[job] = self._loop.create_task(self._run(job))
            self._begun += 1
        if self._timer is None:
            self._set_timer(now)

    async def _run(self, job: _Job) -> None:
        outcome: object
        try:
            outcome = await self._call(job)
        except BaseException as exc:  # whatever it raises, a cancellation too, is this message's outcome
            outcome = Failure(exc)
        if self._running.pop(job, None) is not None:
            job.outcome, job.is_done = outcome, True
            self._ended.append(job)
            self._collect_soon()

    def _call(self, job: _Job) -> Coroutine[object, None, object]:
        processor = self.processor
        if processor.wants_context:
            return outcome_of(processor, job.argument, self.context_for(job.lot.read))
        return outcome_of(processor, job.argument)

    # Outcomes

    def _collect_soon(self) -> None:
        if self._collecting is None:
            self._collecting = self._loop.call_soon(self._collect)

    def _collect(self) -> None:
        """Deliver what is done, and can be; a batch for each lot."""
        self._collecting = None
        ended, self._ended = self._ended, []
        given_up, self._given_up = self._given_up, []
        self._adapt(ended, given_up)
        with self.books.in_one_batch():
            for jobs in self._deliverable(ended + given_up):
                lot = jobs[0].lot
                self._deliver(lot.read, jobs)
                lot.era.pending -= len(jobs)
                self._act_in_turn()
        self._start()
        self._regulate()
        if not self._pending_messages:
            self._idle.set()

    def _adapt(self, ended: list[_Job], given_up: list[_Job]) -> None:
        count = len(ended) + len(given_up)
        self._limit.observe(
            monotonic(),
            bool(self._waiting) and len(self._running) + count >= self._limit.limit,
            self._begun,
            [job.started_at for job in ended],
            [job.started_at for job in given_up],
        )

    def _deliverable(self, done: list[_Job]) -> list[list[_Job]]:
        """What can be delivered once these are done, by lots."""
        line = self._in_order
        if line is None:
            by_lot: dict[_Lot, list[_Job]] = {}
            for job in done:
                by_lot.setdefault(job.lot, []).append(job)
            return list(by_lot.values())
        groups: list[list[_Job]] = []
        lot: _Lot | None = None
        while line and line[0].is_done:
            job = line.popleft()
            if job.lot is not lot:
                lot = job.lot
                groups.append([])
            groups[-1].append(job)
        return groups

    def _deliver(self, read: Read, jobs: list[_Job]) -> None:
        if self.processor.is_batch:
            for job in jobs:
                self.books.deliver_batch(read, job.payloads, job.outcome)
                self._count(job.payloads, -1)
        else:
            payloads = [job.payloads[0] for job in jobs]
            self.books.deliver(read, payloads, [job.outcome for job in jobs])
            self._count(payloads, -1)

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something when all that was received so far has been delivered; it must not raise."""
        self._eras[-1].action = action
        self._eras.append(_Era())
        self._act_in_turn()

    def _act_in_turn(self) -> None:
        while not (era := self._eras[0]).pending and era.action is not None:
            self._eras.popleft()
            era.action()

    # Backpressure

    def _count(self, payloads: Sequence[bytes], sign: int) -> None:
        self._pending_messages += sign * len(payloads)
        self._pending_bytes += sign * sum(map(len, payloads))

    def _regulate(self) -> None:
        config = self._config
        messages, size = self._pending_messages, self._pending_bytes
        if messages > config.high_water or size > config.high_water_bytes:
            self.valve.close()
        elif messages < config.goes_on_below and size < max(1, config.high_water_bytes // 4):
            self.valve.open()

    # Timeouts

    def _set_timer(self, now: float) -> None:
        """Be called when the oldest call has taken as long as it may: one timer for all of them."""
        timeout_s = self._config.timeout
        if timeout_s is not None and self._running:
            due = next(iter(self._running)).started_at + timeout_s
            self._timer = self._loop.call_later(max(0.0, due - now), self._expire, due)

    def _expire(self, at: float, graces: int = 0) -> None:
        """End the calls that have taken too long; `at` is when this was to be called."""
        timeout_s = self._config.timeout
        assert timeout_s is not None
        now = monotonic()
        if now - at > BLOCKED_S and graces < MOST_GRACES:
            self._timer = self._loop.call_later(BLOCKED_S, self._expire, now + BLOCKED_S, graces + 1)
            return
        expired = []
        for job in self._running:
            if job.started_at + timeout_s > now:
                break
            expired.append(job)
        self._timer = None
        if expired:
            self._give_up(expired, timed_out(timeout_s))
            self._collect_soon()
        self._set_timer(now)

    def _give_up(self, jobs: list[_Job], failure: Failure) -> None:
        """These messages are dead, whatever becomes of their calls."""
        for job in jobs:
            job.outcome, job.is_done = failure, True
            task = self._running.pop(job, None)
            if task is not None:
                self._zombies.add(task)
                task.add_done_callback(self._bury)
                task.cancel()
        self._given_up.extend(jobs)

    def _bury(self, task: asyncio.Task[None]) -> None:
        self._zombies.discard(task)
        if not task.cancelled():
            task.exception()  # is of no interest, but must be seen
        self._collect_soon()

    # The end

    async def drain(self, timeout_s: float) -> None:
        """Wait for the calls under way and in line; cancel those that take longer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self._cut_off(f"still being processed {timeout_s:g} s after the run was stopped")
        if self._zombies:
            await asyncio.wait(tuple(self._zombies), timeout=timeout_s * CLEAN_UP_SHARE)
        for task in tuple(self._zombies):
            force_to_end(task)

    def _cut_off(self, reason: str) -> None:
        jobs = [*self._running, *self._waiting]
        self._waiting.clear()
        self._give_up(jobs, Failure(TimeoutError(reason), (TimeoutError,)))
        self._collect()
