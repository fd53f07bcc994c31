"""`python -m bench days`, and its table."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.days import report
from bench.days.command import scaled
from bench.days.simulation import Figures, Hour
from bench.days.world import Settings


def test_a_small_day_is_simulated_shown_and_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = [
        "--endpoints",
        "200",
        "--workers",
        "4",
        "--hours",
        "0.1",
        "--seed",
        "3",
        "--results",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as ended:
        main(["days", "--quick", *options])
    assert not ended.value.code
    kept = msgspec.json.decode((tmp_path / "days.json").read_bytes(), type=report.Report)
    assert list(kept.figures) == list(report.WHAT)
    assert (kept.settings.endpoints, kept.settings.workers, kept.settings.seed) == (200, 4, 3)
    printed = capfd.readouterr().out
    assert all(f"| {what} |" in printed for what in report.WHAT.values())


@pytest.mark.parametrize("options", [["--endpoints", "0"], ["--hours", "-1"], ["--tick", "nan"], ["--what"]])
def test_wrong_options_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["days", *options])
    assert ended.value.code == 2


def test_a_smaller_day_has_as_much_for_each() -> None:
    small, whole = scaled(1_000, 10, 1.0, 1, 20.0), Settings()
    assert small.messages_per_s / small.workers == whole.messages_per_s / whole.workers
    assert small.bursts_per_hour / small.endpoints == pytest.approx(whole.bursts_per_hour / whole.endpoints)
    assert small.losses_per_hour / small.workers == pytest.approx(whole.losses_per_hour / whole.workers)


def test_the_table_has_a_row_for_each_policy() -> None:
    figures = Figures(1.02, 1.04, 1.035, 1.5, 0.995, 12.0, 0.0061, 0.05, 0.2, [Hour(1.02, 1.5)])
    table = report.markdown(report.make_report(Settings(), {"scaleout": figures, "round-robin": figures}))
    row = "| scaleout | 1.020 | **1.040** | 1.035 | 1.500 | 99.5 % | 12 | **0.61 %** | 50 ms | 200 ms |"
    assert row in table.splitlines()
    assert "100,000 endpoints, 1,000 workers, 24 hours" in table
