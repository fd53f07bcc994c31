"""Starts measured once, and the table of made-up ones."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from bench import startup
from bench.startup import Alone, Report, Start


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux tells of children")
def test_moments_come_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "STARTS", 1)
    path = startup.run(1, 2.0, tmp_path, lambda line: None)
    kept = msgspec.json.decode(path.read_bytes(), type=Report)
    (start,) = kept.starts
    assert 0 < start.spawned < start.connecting < start.open < start.written
    assert start.open <= start.all_open
    assert kept.alone["interpreter"].median < kept.alone["worker_imports"].median
    assert "| **the first line is written** |" in capsys.readouterr().out


def test_figures_are_medians_over_the_starts() -> None:
    starts = [Start(0.2, 0.5, 0.6, written, 0.7) for written in (0.7, 0.9, 0.8)]
    made = startup.make_report(starts, [Alone(0.05, 0.3, 0.2)])
    table = startup.markdown(made)
    assert "| **the first line is written** | 800 ms (700 to 900) |" in table
    assert "| alone: with all that the command imports | 300 ms (300 to 300) |" in table


def test_a_process_without_workers_has_none() -> None:
    assert not startup.has_worker(os.getpid())
