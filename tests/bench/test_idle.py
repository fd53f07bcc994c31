"""Idle connections held for a moment, and the table of made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import idle
from bench.idle import HOLDERS, Measured, Report


def measured(scale: float) -> Measured:
    return Measured(1024.0 * scale, 2048.0 * scale, 5_000.0, 300.0 * scale, 1.0, 20.0 * scale, 30.0)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_all_hold_their_connections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("picows")
    monkeypatch.setattr(idle, "QUICK_CONNECTIONS", 200)
    monkeypatch.setattr(idle, "STORMS", 1)
    path = idle.run(5, 0.2, tmp_path, lambda line: None)
    kept = msgspec.json.decode(path.read_bytes(), type=Report)
    assert kept.connections == 200
    (only,) = kept.rounds
    for name in HOLDERS:
        assert 1024 < only[name].pss_bytes < 2**20
        assert only[name].connects_per_s > 0
        assert 0 < only[name].ping_lag_ms < 5_000
    printed = capsys.readouterr().out
    assert all(f"| {what} |" in printed for _, what in HOLDERS.values())


def test_figures_are_medians_over_the_rounds() -> None:
    rounds = [dict.fromkeys(HOLDERS, measured(scale)) for scale in (1.0, 3.0, 2.0)]
    made = idle.make_report(rounds, 10_000)
    assert made.figures["picows"].pss_bytes.median == 2048.0
    table = idle.markdown(made)
    assert "2.0 KiB (1.0 to 3.0) | 5,000 (5,000 to 5,000) | 600 µs (300 to 900) | 1.0 ms" in table
