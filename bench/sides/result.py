"""What a side is told, and what it reports."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from bench.feed import Feed
from bench.limits import raise_file_limit

Kind = Literal["each", "async", "pass"]
"""Process message by message; await the processor, many at once; or check that it is JSON and write it down."""


class Task(msgspec.Struct, frozen=True):
    """One run of one side."""

    uri: str
    """To connect to as often as the feed has connections."""
    feed: Feed
    kind: Kind
    processor: str | None
    """MODULE:FUNCTION; None: messages pass."""
    reference: str | None
    """One that takes a message and gives the same result."""
    warm_up_s: float
    """How long to receive before it counts."""
    seconds: float
    generator_pid: int
    ca_file: str | None = None
    core: int | None = None
    workers: int = 1
    """Of scaleout; a peer's processes have a task each."""


class Usage(msgspec.Struct, frozen=True):
    """What was used while the messages of a result came."""

    cpu_s: float
    """User and system time of all the side's processes."""
    wall_s: float
    generator_cpu_s: float | None = None
    """The generator's, where the system says."""


class SideResult(msgspec.Struct, frozen=True):
    """One run of one side; it has been receiving before, while and after this was measured."""

    messages: int
    """Received and processed."""
    usage: Usage
    output_bytes: int
    """All that it has made, from the first message to the last."""
    peak_rss_bytes: int | None
    """Of all its processes; None where the system doesn't say."""
    faults: list[str]
    """What is wrong with its output, or its count; empty where nothing is."""
    messages_per_read: float | None = None
    """How many came at once, where the output tells."""

    @property
    def messages_per_cpu_s(self) -> float:
        """The figure that the sides are compared by."""
        return self.messages / self.usage.cpu_s if self.usage.cpu_s else 0.0

    @property
    def messages_per_s(self) -> float:
        """By the wall clock."""
        return self.messages / self.usage.wall_s

    @property
    def load(self) -> float:
        """How much of one core it used."""
        return self.usage.cpu_s / self.usage.wall_s

    @property
    def generator_load(self) -> float | None:
        """How much of its core the generator used."""
        used_s = self.usage.generator_cpu_s
        return None if used_s is None else used_s / self.usage.wall_s


def combined(results: Sequence[SideResult]) -> SideResult:
    """What processes that know nothing of each other have done at the same time, as one result."""
    usages = [result.usage for result in results]
    loads = [usage.generator_cpu_s for usage in usages if usage.generator_cpu_s is not None]
    peaks = [result.peak_rss_bytes for result in results if result.peak_rss_bytes is not None]
    return SideResult(
        messages=sum(result.messages for result in results),
        usage=Usage(
            sum(usage.cpu_s for usage in usages),
            max(usage.wall_s for usage in usages),
            max(loads, default=None),
        ),
        output_bytes=sum(result.output_bytes for result in results),
        peak_rss_bytes=sum(peaks) if len(peaks) == len(results) else None,
        faults=[fault for result in results for fault in result.faults],
    )


def own_peak_rss_bytes() -> int:
    """The largest resident size of this process so far."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


def main(measure: Callable[[Task], SideResult]) -> None:
    """Run a side as a program: a task on standard input, the result on standard output."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    if task.core is not None:
        os.sched_setaffinity(0, {task.core})
    raise_file_limit()
    print(msgspec.json.encode(measure(task)).decode())
