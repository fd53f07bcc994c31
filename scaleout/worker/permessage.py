"""The pipeline of a plain function that takes one message: as many at a time as the loop can spare.

A read may hold thousands of messages. If the function is slow, going through all of them at once would hold up the
worker's other connections and its heartbeat; so they are processed in slices, for a short turn of the loop at a
time, and meanwhile the connection is held back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import repeat

from scaleout.signatures import Processor
from scaleout.worker.books import Books, Failure
from scaleout.worker.decoding import Read
from scaleout.worker.pipeline import Intake, Processed, Sender, attempt_each

TURN_S = 0.1
"""How long one endpoint may keep the loop, give or take a slice."""
SLICE_S = 0.02
"""What a slice should take at the most."""
SMALLEST_SLICE = 16
LARGEST_SLICE = 1024
"""Messages; a function that turns slow all at once is noticed after so many."""


class _Stretch:
    """Messages of one read, and how many of them are done."""

    __slots__ = ("done", "messages", "payloads", "read")

    def __init__(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        self.read = read
        self.payloads = payloads
        self.messages = messages
        self.done = 0


class PerMessage(Processed):
    """Runs a plain function for each message."""

    def __init__(self, books: Books, intake: Intake, processor: Processor, send: Sender) -> None:
        super().__init__(books, intake, processor, send)
        self._loop = asyncio.get_running_loop()
        self._line: deque[_Stretch] = deque()
        self._slice = SMALLEST_SLICE
        self._idle = asyncio.Event()
        self._idle.set()

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Call the function, now or as soon as there is time."""
        if self._line:
            self._line.append(_Stretch(read, payloads, messages))
        elif len(messages) <= SMALLEST_SLICE:
            self._call(read, payloads, messages)
        else:
            self._line.append(_Stretch(read, payloads, messages))
            self._take_turn()

    def _call(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        contexts = (repeat(self.context_for(read)),) if self.processor.wants_context else ()
        outcomes, _ = attempt_each(self.processor.function, messages, *contexts)
        self.books.deliver(read, payloads, outcomes)

    def _take_turn(self) -> None:
        """Work until nothing is left or the turn is over; what is left waits for the next one."""
        started_at = now = self._loop.time()
        while self._line:
            stretch = self._line[0]
            start, stop = stretch.done, stretch.done + self._slice
            if start == 0 and stop >= len(stretch.messages):
                self._call(stretch.read, stretch.payloads, stretch.messages)
            else:
                self._call(stretch.read, stretch.payloads[start:stop], stretch.messages[start:stop])
            stretch.done = stop
            if stop >= len(stretch.messages):
                self._line.popleft()
            before, now = now, self._loop.time()
            self._adapt(now - before)
            if self._line and now - started_at > TURN_S:
                self.valve.close()
                self._idle.clear()
                self._loop.call_soon(self._take_turn)
                return
        self.valve.open()
        self._idle.set()

    def _adapt(self, took_s: float) -> None:
        if took_s > SLICE_S:
            self._slice = max(SMALLEST_SLICE, self._slice // 4)
        elif took_s < SLICE_S / 4:
            self._slice = min(LARGEST_SLICE, self._slice * 2)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in line; what takes longer is dead."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            reason = f"still waiting to be processed {timeout_s:g} s after the run was stopped"
            failure = Failure(TimeoutError(reason), (TimeoutError,))
            for stretch in self._line:
                payloads = stretch.payloads[stretch.done :]
                self.books.deliver(stretch.read, payloads, [failure] * len(payloads))
            self._line.clear()
