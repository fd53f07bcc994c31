"""What the system says of other processes: CPU time and memory; only Linux tells, elsewhere it is None."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def cpu_s(pids: list[int]) -> float | None:
    """User and system time of running processes so far, in seconds."""
    ticks = 0
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            return None
        # The name in parentheses may hold anything; user and system time are the 14th and 15th field.
        fields = text.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_bytes(pid: int) -> dict[int, int]:
    """The largest resident size so far of a process and of each below it, by process id."""
    return {member: peak for member in _tree(pid) if (peak := _peak_rss_bytes(member)) is not None}


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue
        for child in below:
            yield from _tree(int(child))


def _peak_rss_bytes(pid: int) -> int | None:
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
