"""The steps of the message path, timed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import parts
from bench.sides import parts as side

pytestmark = pytest.mark.alone


def test_each_step_is_timed_compiled_and_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    path = parts.run(1, 1.0, tmp_path, told.append)
    result = msgspec.json.decode(path.read_bytes(), type=parts.Report)
    assert path == tmp_path / "parts.json" and len(told) == len(result.rounds) == 1
    assert not result.rounds[0]["pure"].is_compiled
    for form in (result.compiled, result.pure):
        assert form.keys() == parts.STEPS.keys() == set(side.Parts.__struct_fields__) - {"is_compiled"}
        assert all(nanoseconds > 0 for nanoseconds in form.values())
    assert "| **all together**" in capsys.readouterr().out
