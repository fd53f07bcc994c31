"""What the system says of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")


def test_cpu_time_is_that_of_the_process() -> None:
    used = os.times()
    measured = processes.cpu_s([os.getpid()])
    assert measured is not None
    assert measured == pytest.approx(used.user + used.system, abs=0.5)


def test_a_process_that_is_gone_has_no_cpu_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert processes.cpu_s([process.pid]) is None


def test_memory_is_told_of_children_too() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        peaks = processes.peak_rss_bytes(os.getpid())
        assert child.pid in peaks
        assert peaks[os.getpid()] > 2**20
        child.communicate(b"\n")
