"""The pipeline of a plain function that takes one message: as many at a time as the loop can spare.

A read may hold thousands of messages. If the function is slow, going through all of them at once would hold up the
worker's other connections and its heartbeat; so the clock is looked at every few messages, what takes longer than
a short turn of the loop goes on in the next one, and meanwhile the connection is held back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import repeat

from scaleout.signatures import Processor
from scaleout.worker.books import Books, Failure
from scaleout.worker.decoding import Read
from scaleout.worker.pipeline import Processed, Sender, Wish, attempt_next

TURN_S = 0.1
"""How long one endpoint may keep the loop, give or take a step."""
LONGEST_STEP = 128
"""Messages between two looks at the clock; a function that turns slow all at once is noticed after so many."""
SHORTEST_STEP = 8
STEP_S = 0.02
"""What a step should take at the most."""


class _Stretch:
    """Messages of one read that are being processed."""

    __slots__ = ("actions", "delivered", "outcomes", "payloads", "read", "rest")

    def __init__(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        self.read = read
        self.payloads = payloads
        self.rest = iter(messages)
        self.outcomes: list[object] = []
        """Of the messages after those that are delivered."""
        self.delivered = 0
        self.actions: list[Callable[[], None]] = []
        """To be done once all of it is delivered."""

    @property
    def missing(self) -> int:
        """Messages that are still to be processed."""
        return len(self.payloads) - self.delivered - len(self.outcomes)


class PerMessage(Processed):
    """Runs a plain function for each message."""

    def __init__(self, books: Books, processor: Processor, send: Sender) -> None:
        super().__init__(books, processor, send)
        self._loop = asyncio.get_running_loop()
        self._line: deque[_Stretch] = deque()
        self._step = SHORTEST_STEP
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def wish(self) -> Wish | None:
        """The function's, unless that wants to know the endpoint."""
        processor = self.processor
        if processor.wants_context or processor.is_generator:
            return None
        return Wish((processor.spec, type(self)), self._decoder, processor.function)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._line

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Call the function, now or as soon as there is time."""
        stretch = _Stretch(read, payloads, messages)
        if not self._line and len(messages) <= SHORTEST_STEP:
            self._attempt(stretch, len(messages))
            self._deliver(stretch)
            return
        self._line.append(stretch)
        if len(self._line) == 1:
            self._take_turn()

    def _attempt(self, stretch: _Stretch, count: int) -> None:
        contexts = (repeat(self.context_for(stretch.read)),) if self.processor.wants_context else ()
        attempt_next(self.processor.function, stretch.rest, count, stretch.outcomes, *contexts)

    def _take_turn(self) -> None:
        """Work until nothing is left or the turn is over; what is left waits for the next one."""
        ends_at = self._loop.time() + TURN_S
        while self._line:
            stretch = self._line[0]
            is_over = self._work_on(stretch, ends_at)
            self._deliver(stretch)
            if not stretch.missing:
                self._line.popleft()
                _act(stretch)
            if is_over and self._line:
                self.valve.close()
                self._idle.clear()
                self._loop.call_soon(self._take_turn)
                return
        self.valve.open()
        self._idle.set()

    def _work_on(self, stretch: _Stretch, ends_at: float) -> bool:
        """Process messages until there are no more, or until the turn is over, which is returned."""
        now = self._loop.time()
        while (missing := stretch.missing) and now < ends_at:
            step = min(self._step, missing)
            self._attempt(stretch, step)
            before, now = now, self._loop.time()
            if now - before > STEP_S:
                self._step = SHORTEST_STEP
            elif step == self._step < LONGEST_STEP:
                self._step *= 2
        return now >= ends_at

    def _deliver(self, stretch: _Stretch) -> None:
        outcomes, stretch.outcomes = stretch.outcomes, []
        start, stretch.delivered = stretch.delivered, stretch.delivered + len(outcomes)
        payloads = stretch.payloads
        if len(outcomes) < len(payloads):
            payloads = payloads[start : stretch.delivered]
        self.books.deliver(stretch.read, payloads, outcomes)

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something when all that was received so far has been delivered; it must not raise."""
        if self._line:
            self._line[-1].actions.append(action)
        else:
            action()

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in line; what takes longer is dead."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            reason = f"still waiting to be processed {timeout_s:g} s after the run was stopped"
            failure = Failure(TimeoutError(reason), (TimeoutError,))
            line = tuple(self._line)
            self._line.clear()
            for stretch in line:
                payloads = stretch.payloads[stretch.delivered :]
                self.books.deliver(stretch.read, payloads, [failure] * len(payloads))
                _act(stretch)


def _act(stretch: _Stretch) -> None:
    for action in stretch.actions:
        action()
