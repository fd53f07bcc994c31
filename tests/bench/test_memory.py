"""What the system says of the memory of processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import memory
from bench.errors import BenchError
from bench.memory import Memory

ROLLUP = (
    "55d0-7ffd ---p 00000000 00:00 0    [rollup]\nRss:     3000 kB\nPss:     1500 kB\nPss_Dirty:    9 kB\n"
)


def test_resident_and_proportional_sizes_are_read() -> None:
    assert memory.parse(ROLLUP) == Memory(1500 * 1024, 3000 * 1024)


def test_memory_grows_and_adds_up() -> None:
    assert Memory(5, 7) - Memory(2, 3) + Memory(1, 1) == Memory(4, 5)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_this_process_takes_some() -> None:
    mine = memory.of([os.getpid()])
    assert 2**20 < mine.pss <= mine.rss


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(BenchError, match="process 0"):
        memory.of([0])
