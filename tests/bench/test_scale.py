"""Workers and an aggregator measured for a moment, and the tables of made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import scale, scaling
from bench.scale import FEEDS, Report, Round
from bench.scaling import Turn
from bench.sides.fan_in import FanIn


def make_round(cost: float = 1.0, generator_load: float = 0.5) -> Round:
    one = Turn(1_000_000, 1.0, 0.9, 0.1, generator_load, 1)
    two = Turn(2_000_000, 1.0, 1.9 * cost, 0.1 * cost, generator_load, 4)
    fed = FanIn(10_000_000, 100, 1.0, 1.0, 0.9, [])
    return Round({1: one, 2: two}, dict.fromkeys(FEEDS, fed))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")
def test_workers_and_aggregator_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "worker_counts", lambda: [1])
    monkeypatch.setattr(scale, "FAN_IN_S", 0.2)
    monkeypatch.setattr(scaling, "SETTLE_S", 0.1)
    path = scale.run(1, 0.5, tmp_path, lambda line: None)
    kept = msgspec.json.decode(path.read_bytes(), type=Report)
    (only,) = kept.rounds
    assert only.turns[1].messages > 0 and only.turns[1].workers_cpu_s > 0
    assert kept.workers[1].relative_cost.median == 1.0
    for name in FEEDS:
        assert only.fan_in[name].messages > 0
        assert only.fan_in[name].faults == []
        assert 0 < only.fan_in[name].least_share <= 1
    assert "| bulk, to nowhere |" in capsys.readouterr().out


def test_costs_are_over_those_of_one_worker_in_the_same_round() -> None:
    made = scale.make_report([make_round(1.0), make_round(1.2), make_round(1.1)], 6.0, "Nothing is pinned.")
    assert made.workers[2].relative_cost.median == pytest.approx(1.1)
    assert made.workers[1].aggregator_share.median == pytest.approx(1 / 9)
    assert made.fan_in["bulk, to a file"].workers.median == pytest.approx(9.0)
    table = scale.markdown(made)
    assert "| 1.10 x (1.00 to 1.20) | 5.3 % (5.3 to 5.3) |" in table
    assert "| bulk, to a file | 10.0 M (10.0 to 10.0) | 9.0 (9.0 to 9.0) | 0.90 (0.90 to 0.90) |" in table


def test_a_generator_at_its_limit_is_warned_of() -> None:
    assert scale.warnings([make_round(generator_load=0.99)]) == [
        "The generator was the limit of 2 workers in 1 of 1 rounds: "
        "their messages per CPU-second stand, their messages per second don't."
    ]


def test_there_are_always_two_workers_to_compare() -> None:
    assert scale.worker_counts()[:2] == [1, 2]
