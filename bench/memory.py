"""What processes take of the memory: resident, and their share of what they have in common."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.errors import BenchError


class Memory(msgspec.Struct, frozen=True):
    """Of one process or some, in bytes."""

    pss: int
    """Resident; what several processes share counts for each of them in part."""
    rss: int
    """Resident."""

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.pss + other.pss, self.rss + other.rss)

    def __sub__(self, other: Memory) -> Memory:
        return Memory(self.pss - other.pss, self.rss - other.rss)


def of(pids: Iterable[int]) -> Memory:
    """What these processes take now.

    Raises:
        BenchError: the system doesn't tell.
    """
    total = Memory(0, 0)
    for pid in pids:
        try:
            total += parse(Path(f"/proc/{pid}/smaps_rollup").read_text())
        except OSError as error:
            raise BenchError(f"this system doesn't tell the memory of process {pid}: {error}") from None
    return total


def parse(rollup: str) -> Memory:
    """Read what the system says of a process."""
    found = {}
    for line in rollup.splitlines():
        name, _, value = line.partition(":")
        if name in ("Pss", "Rss"):
            found[name] = int(value.split()[0]) * 1024
    return Memory(found["Pss"], found["Rss"])
