"""Takes the workers' results, has them written, and keeps the books. It moves bytes and never decodes results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from scaleout.channel import Channel
from scaleout.config import Config
from scaleout.core.ledger import Ledger
from scaleout.core.wire import Batch, Result
from scaleout.supervisor.deadletters import DeadLetters
from scaleout.supervisor.writer import SinkWriter
from scaleout.valve import Valve

HIGH_WATER_BYTES = Config().sink_backlog
LOW_WATER_SHARE = 4
"""What waits goes down to that part before the workers' results are read again."""


class Aggregator:
    """The end of the results' way.

    Args:
        ledger: the books.
        writers: the way to each sink.
        dead_letters: where dead letters go; None: they are only counted.
        high_water_bytes: with more waiting for a sink, no worker's results are read.
    """

    def __init__(
        self,
        ledger: Ledger,
        writers: Sequence[SinkWriter],
        dead_letters: DeadLetters | None,
        high_water_bytes: int = HIGH_WATER_BYTES,
    ) -> None:
        self.ledger = ledger
        self._writers = writers
        self._dead_letters = dead_letters
        self._high_water_bytes = high_water_bytes
        self._low_water_bytes = high_water_bytes // LOW_WATER_SHARE
        self._batches = 0
        self.on_written: Callable[[int, Batch], None] = lambda number, batch: None
        """Called with each batch that is in all sinks, and its number in the order of arrival."""
        self.valve: Valve[Channel[Result]] = Valve()
        """Holds the workers' results back while a sink lags."""

    # Results

    def take(self, run: int, batch: Batch, body: memoryview) -> None:
        """Take a batch from a worker's run."""
        self.ledger.report(run, batch.entries)
        self.ledger.report_plain(run, batch.plain)
        self._batches += 1
        delivery = _Delivery(self, self._batches, batch)
        if body:
            for writer in self._writers:
                delivery.begin()
                writer.write((body,), delivery.end)
        if batch.dead_letters and self._dead_letters is not None:
            delivery.begin()
            # Whether the letters are kept doesn't change what became of the results.
            self._dead_letters.write(batch.dead_letters, lambda written: delivery.end(True))
        delivery.end(True)
        self._regulate()

    def settle(self, number: int, batch: Batch, written: bool) -> None:
        """Book a batch that has been written, or never will be."""
        self.ledger.settle(batch.entries, written=written)
        self.ledger.settle_plain(batch.plain, written=written)
        if written:
            self.on_written(number, batch)
        self._regulate()

    @property
    def pending_bytes(self) -> int:
        """What waits for the slowest sink."""
        pending = max((writer.pending_bytes for writer in self._writers), default=0)
        return max(pending, self._dead_letters.pending_bytes if self._dead_letters is not None else 0)

    def _regulate(self) -> None:
        pending = self.pending_bytes
        if pending > self._high_water_bytes:
            self.valve.close()
        elif pending <= self._low_water_bytes:
            self.valve.open()

    # The end

    async def drain(self) -> None:
        """Wait until everything taken is written."""
        for writer in self._writers:
            await writer.drain()
        if self._dead_letters is not None:
            await self._dead_letters.drain()

    async def close(self, timeout_s: float) -> None:
        """Close the sinks, all at once; what they don't take within the time is given up."""
        closing = [writer.close(timeout_s) for writer in self._writers]
        if self._dead_letters is not None:
            closing.append(self._dead_letters.close(timeout_s))
        await asyncio.gather(*closing)


class _Delivery:
    """A batch on its way into several places; it is booked when the last of them has it."""

    __slots__ = ("_aggregator", "_batch", "_missing", "_number", "_written")

    def __init__(self, aggregator: Aggregator, number: int, batch: Batch) -> None:
        self._aggregator = aggregator
        self._number = number
        self._batch = batch
        self._missing = 1
        self._written = True

    def begin(self) -> None:
        """One more place."""
        self._missing += 1

    def end(self, written: bool) -> None:
        """One place has it, or never will."""
        self._missing -= 1
        self._written = self._written and written
        if not self._missing:
            self._aggregator.settle(self._number, self._batch, self._written)
