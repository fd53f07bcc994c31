"""Dead letters on paper: everything needed to judge and to repeat the message."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.core.wire import DeadLetter
from scaleout.sinks import make_sink
from scaleout.supervisor.deadletters import DeadLetterFile
from scaleout.supervisor.writer import SinkWriter

Run = Callable[[Awaitable[Any]], Any]

LETTERS = [
    DeadLetter(
        slot=0, stage="decode", reason="bad", payload='{"\u20ac\n'.encode(), is_text=True, received_at=7
    ),
    DeadLetter(slot=1, stage="process", reason="x", payload=b"\xff\x00", is_text=False, received_at=8),
    DeadLetter(
        slot=1, stage="process", reason="y", payload=b"", is_text=False, received_at=9, traceback="a\nb\n"
    ),
]


@pytest.fixture
def lines(run: Run, tmp_path: Path) -> list[dict[str, object]]:
    """What is in the file after the letters were written."""
    path = tmp_path / "dead.jsonl"

    async def scenario() -> list[bool]:
        answers: list[bool] = []
        file = DeadLetterFile(SinkWriter(make_sink(str(path)), lambda: None), {0: 'a"b', 1: "b"})
        file.write(LETTERS[:1], answers.append)
        assert file.pending_bytes > 0
        file.write(LETTERS[1:], answers.append)
        await file.drain()
        assert file.pending_bytes == 0
        await file.close(10)
        return answers

    assert run(scenario()) == [True, True]
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_text_is_kept_as_it_is(lines: list[dict[str, object]]) -> None:
    assert lines[0] == {
        "endpoint": 'a"b',
        "stage": "decode",
        "reason": "bad",
        "payload": '{"\u20ac\n',
        "received_at": 7,
    }


def test_binary_is_kept_in_base64(lines: list[dict[str, object]]) -> None:
    assert (lines[1]["endpoint"], lines[1]["encoding"]) == ("b", "base64")
    assert base64.b64decode(str(lines[1]["payload"])) == b"\xff\x00"
    assert (lines[2]["payload"], lines[2]["traceback"]) == ("", "a\nb\n")
