"""Latencies measured for a moment, and the table of made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import latency
from bench.latency import LOADS, SETTINGS, Report, Turn
from bench.openloop import Capacity, Latency, Setting
from bench.sides.line_reader import Percentiles


def make_turn(setting: Setting, scale: float = 1.0, late_ms: float = 0.1) -> Turn:
    received = Percentiles(0.5 * scale, 2.0 * scale, 3.0 * scale, 4.0 * scale)
    due = Percentiles(1.0 * scale, 3.0 * scale, 4.0 * scale, 5.0 * scale)
    each = Latency(10_000.0, due, received, (late_ms, late_ms), 0.3, 0.2)
    return Turn(setting, Capacity(1e6, 0.1, 0.1), [each] * len(LOADS))


def test_latencies_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "SETTINGS", (Setting(0, apart=True),))
    monkeypatch.setattr(latency, "SATURATE_S", 0.3)
    monkeypatch.setattr(latency, "MODEST_PER_S", 1_000.0)
    path = latency.run(1, 0.3, tmp_path, lambda line: None)
    kept = msgspec.json.decode(path.read_bytes(), type=Report)
    assert len(kept.rows) == len(LOADS)
    for row in kept.rows:
        assert 0 < row.from_received.p50.median <= row.from_received.largest.median
        assert row.from_received.p50.median <= row.from_due.p50.median
    assert kept.rows[1].per_s.median == pytest.approx(0.5 * kept.rounds[0][0].capacity.per_s)
    assert "| linger 0 ms, apart | 50% of capacity |" in capsys.readouterr().out


def test_rows_are_medians_over_the_rounds() -> None:
    rounds = [[make_turn(setting, scale) for setting in SETTINGS] for scale in (1.0, 3.0, 2.0)]
    made = latency.make_report(rounds, 6.0, "Nothing is pinned.")
    assert len(made.rows) == len(SETTINGS) * len(LOADS)
    assert made.warnings == []
    table = latency.markdown(made)
    assert (
        "| linger 5 ms | 80% of capacity | 10 k | 1.00 / 4.00 / 6.00 / 8.00 | 2.00 / 6.00 / 8.00 / 10.00 |"
        in table
    )
    assert "Nothing is pinned." in table


def test_a_generator_that_is_late_is_told_of() -> None:
    rounds = [[make_turn(setting, late_ms=7.0) for setting in SETTINGS[:1]]]
    assert "7.0 ms late" in latency.warnings(rounds)[0]


def test_a_generator_at_its_limit_is_told_of() -> None:
    turn = msgspec.structs.replace(make_turn(SETTINGS[0]), capacity=Capacity(1e6, 0.6, 0.4))
    assert latency.warnings([[turn]]) == ["Round 1, linger 0 ms: the generator was the limit of capacity."]
