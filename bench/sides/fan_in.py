"""An aggregator that does nothing else, fed by many fake workers: how much of their results it can take.

Runs alone as `python -m bench.sides.fan_in WORKERS ENDPOINTS SECONDS SINK`, and prints a `FanIn`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

import msgspec
import uvloop

from bench.sides.fake_workers import Load, fake_workers
from scaleout import memory
from scaleout.channel import Channel
from scaleout.core.ledger import Ledger
from scaleout.core.wire import Batch, Result
from scaleout.sinks import make_sink
from scaleout.spawning import spawn
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.writer import SinkWriter


class FanIn(msgspec.Struct, frozen=True):
    """What the aggregator has taken and written."""

    messages: int
    batches: int
    cpu_s: float
    """Of the aggregator's process."""
    seconds: float
    """Until all was written."""
    least_share: float
    """What came from the worker that was read least, over the mean."""
    faults: list[str]

    @property
    def messages_per_cpu_s(self) -> float:
        """What a core for the aggregator alone could take."""
        return self.messages / self.cpu_s


class Feeding:
    """The workers' results, on their way into the aggregator as the supervisor passes them on."""

    def __init__(self, sink: str) -> None:
        self.ledger = Ledger()
        self.writer = SinkWriter(make_sink(sink), lambda: None)
        self.aggregator = Aggregator(self.ledger, [self.writer], None)
        self.batches: dict[int, int] = {}
        self._over = asyncio.Event()
        self._open = 0

    def take(self, worker: int, result: Result, body: memoryview) -> None:
        """Pass a batch on."""
        assert isinstance(result, Batch)
        self.batches[worker] = self.batches.get(worker, 0) + 1
        self.aggregator.take(worker, result, body)

    def note_open(self) -> None:
        """One more worker is there."""
        self._open += 1

    def note_lost(self) -> None:
        """A worker has ended."""
        self._open -= 1
        if not self._open:
            self._over.set()

    async def finish(self) -> None:
        """Wait until all workers have ended, and all that they have sent is written."""
        await self._over.wait()
        await self.aggregator.drain()


async def _measure(workers: int, load: Load, sink: str) -> FanIn:
    memory.keep_freed()
    feeding = Feeding(sink)
    child, pipes = spawn(fake_workers, "fake-workers", workers, load)
    for worker, pipe in enumerate(pipes):
        channel: Channel[Result] = await Channel.open(
            pipe,
            Result,
            lambda result, body, worker=worker: feeding.take(worker, result, body),  # type: ignore[misc]
            lambda exc: feeding.note_lost(),
        )
        feeding.note_open()
        feeding.aggregator.valve.attach(channel)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await feeding.finish()
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    await child.wait_dead()
    await feeding.aggregator.close(5.0)
    total, counts = feeding.ledger.total(), feeding.batches
    faults = [] if total.is_balanced and total.received else [f"the ledger is not balanced: {total}"]
    return FanIn(
        messages=total.received,
        batches=sum(counts.values()),
        cpu_s=cpu_s,
        seconds=seconds,
        least_share=min(counts.get(worker, 0) for worker in range(workers)) * workers / sum(counts.values()),
        faults=faults,
    )


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workers", type=int, metavar="WORKERS")
    parser.add_argument("endpoints", type=int, metavar="ENDPOINTS", help="of each worker")
    parser.add_argument("seconds", type=float, metavar="SECONDS")
    parser.add_argument("sink", metavar="SINK")
    parser.add_argument("--core", type=int, help="run on this core alone")
    parser.add_argument("--workers-core", type=int, help="run the fake workers on that one")
    arguments = parser.parse_args()
    load = Load(arguments.seconds, arguments.endpoints, arguments.workers_core)
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    print(msgspec.json.encode(uvloop.run(_measure(arguments.workers, load, arguments.sink))).decode())


if __name__ == "__main__":
    main()
