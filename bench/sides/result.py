"""What a side reports, and what all sides share as programs."""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Callable, Sequence

import msgspec

WARM_UP_S = 0.5
"""How long a peer receives before it is measured: by then it has caught up with what came as it connected."""


class SideResult(msgspec.Struct, frozen=True):
    """One run of one side."""

    messages: int
    """Received and processed while `cpu_s` was used."""
    cpu_s: float
    """User and system time of all its processes, without what starting and connecting cost."""
    messages_per_s: float
    """By the wall clock."""
    receiving_s: float
    """Time for which the side has been receiving, all together, also while it was not measured."""
    used_cpu_s: float
    """User and system time of all its processes within `receiving_s`."""
    output_bytes: int
    peak_rss_bytes: int | None
    """Of all its processes; None where the system doesn't say."""
    faults: list[str]
    """What is wrong with its count; empty where nothing is."""

    @property
    def messages_per_cpu_s(self) -> float:
        """The figure that the sides are compared by."""
        return self.messages / self.cpu_s


class Numbers:
    """The numbers that one connection's messages carried, as far as they tell whether one is missing."""

    __slots__ = ("count", "first", "last")

    def __init__(self, first: int = -1, last: int = -1, count: int = 0) -> None:
        self.first = first
        self.last = last
        self.count = count

    @property
    def are_continuous(self) -> bool:
        """Whether as many messages came as lie between the first number and the last; none is in order, too."""
        return self.count == (self.last - self.first + 1 if self.count else 0)


def check_numbers(connections: Sequence[Numbers]) -> list[str]:
    """The faults of a side that knows the first and last number, and the count, of each connection."""
    faults = [
        f"connection {index}: {numbers.count} messages, but numbers from {numbers.first} to {numbers.last}"
        for index, numbers in enumerate(connections)
        if not numbers.are_continuous
    ]
    silent = sum(not numbers.count for numbers in connections)
    return [*faults, *([f"{silent} connections brought nothing"] if silent else [])]


def own_peak_rss_bytes() -> int:
    """The largest resident size of this process so far."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


Measure = Callable[[list[str], list[str], float], SideResult]
"""(URIs, URIs of the same kind that nobody has connected to, seconds of receiving) → the result."""


def main(measure: Measure) -> None:
    """Run a side as a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("uris", nargs="+", metavar="URI")
    parser.add_argument("seconds", type=float, metavar="SECONDS")
    parser.add_argument("--spare", nargs="+", metavar="URI", help="as many more, for a side with two runs")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    result = measure(arguments.uris, arguments.spare or arguments.uris, arguments.seconds)
    print(msgspec.json.encode(result).decode())
