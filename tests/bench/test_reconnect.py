"""Reconnects counted for a moment, and the table of made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import reconnect
from bench.measure import BenchError
from bench.reconnect import CHAINS, Report, Round

pytestmark = pytest.mark.alone


def test_full_and_resumed_handshakes_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    path = reconnect.run(2, 3 / reconnect.PER_S, tmp_path, told.append)
    assert path == tmp_path / "reconnect.json"
    kept = msgspec.json.decode(path.read_bytes(), type=Report)
    assert kept.reconnects == 3 and list(kept.rounds) == list(kept.figures) == list(CHAINS)
    for rounds in kept.rounds.values():
        assert len(rounds) == 2
        assert all(each.full_ms > 0 and each.resumed_ms > 0 for each in rounds)
    assert len(told) == len(CHAINS)
    printed = capsys.readouterr().out
    assert all(f"| {what} |" in printed for what in CHAINS.values())


def test_a_server_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    monkeypatch.setattr(reconnect, "_make_certificates", lambda *_: (garbage, garbage))
    with pytest.raises(BenchError, match="the TLS server failed"):
        reconnect.measure("single", 1, 1, None)


def test_ratios_are_by_the_round() -> None:
    rounds = [Round(2.0, 1.0), Round(9.0, 3.0), Round(4.0, 4.0)]
    made = reconnect.make_report({"single": rounds}, 10, "Nothing is pinned.")
    ratio = made.figures["single"].ratio
    assert (ratio.median, ratio.smallest, ratio.largest) == (2.0, 1.0, 3.0)
    table = reconnect.markdown(made)
    assert "| 4.00 ms (2.00 to 9.00) | 3.00 ms (1.00 to 4.00) | **2.00 x** (1.00 to 3.00) |" in table
    assert "Nothing is pinned." in table
