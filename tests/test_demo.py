"""The demo runs from nothing, and ends with a table that a newcomer understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.alone  # as many messages as it says need the machine


def test_demo_for_two_seconds(launch: Callable[..., Any]) -> None:
    run = launch(None, "--demo", "--workers", "2", "--duration", "2", "--sink", "large.jsonl")
    assert run.wait() == 0, run.stderr
    assert "24 simulated feeds" in run.stderr
    assert "24/24 endpoints up" in run.stderr
    assert "The books balance" in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.lines("large.jsonl")) > 100


def test_demo_leaves_no_process_behind(launch: Callable[..., Any]) -> None:
    run = launch(None, "--demo", "--workers", "2")
    run.wait_until(lambda: "24/24 endpoints up" in run.stderr)
    family = psutil.Process(run.process.pid).children(recursive=True)
    assert run.stop() == 0, run.stderr
    assert not psutil.wait_procs(family, timeout=10)[1]
