"""Large blocks that are taken and freed again and again cost page faults once, not each time."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import pytest

from scaleout import memory

PROGRAM = """
import resource, sys
from scaleout import memory

if sys.argv[1] == "kept":
    memory.keep_freed()
blocks = [bytearray(300_000) for _ in range(4)]
del blocks
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    blocks = [bytearray(300_000) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
def test_freed_blocks_are_kept() -> None:
    assert page_faults("kept") < page_faults("not kept") / 4


def test_cycles_are_looked_for_rarely_for_a_while() -> None:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    with memory.collecting_rarely():
        assert gc.get_threshold() == memory.THRESHOLDS
        assert gc.get_freeze_count() > 1000
        with memory.collecting_rarely():
            pass
        assert gc.get_threshold() == memory.THRESHOLDS
        assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == frozen


def test_what_makes_cycles_is_collected_all_the_same() -> None:
    with memory.collecting_rarely():
        before = gc.get_stats()[0]["collections"]
        for _ in range(2 * memory.THRESHOLDS[0]):
            cycle: list[object] = []
            cycle.append(cycle)
        assert gc.get_stats()[0]["collections"] > before
