"""Cycles of messages."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from bench.feed import FEEDS_VARIABLE, Feed, messages, missing_recording
from bench.workload import Trade
from scaleout.simulator.dialects import trade_message


@pytest.mark.parametrize("size_bytes", [60, 131, 1024, 16 * 1024])
def test_trades_have_their_size_and_number(size_bytes: int) -> None:
    cycle = messages(Feed(message_bytes=size_bytes))
    assert {len(message) for message in cycle} == {size_bytes}
    decoded = msgspec.json.Decoder(Trade).decode_lines(b"\n".join(cycle))
    assert [trade.seq for trade in decoded] == list(range(len(cycle)))


def test_trades_are_the_simulators() -> None:
    cycle = messages(Feed())
    assert all(cycle[number] == trade_message(0, number) for number in (0, 9, 999, 1_000, 12_345))


def test_a_cycle_is_longer_than_the_window_of_deflate() -> None:
    for size_bytes in (60, 131, 16 * 1024):
        assert sum(map(len, messages(Feed(message_bytes=size_bytes)))) > 32 * 1024


def test_a_recording_is_sent_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made.jsonl.gz").write_bytes(gzip.compress(b'{"a":1}\n{"a":2}\n'))
    feed = Feed(recording="made")
    monkeypatch.delenv(FEEDS_VARIABLE, raising=False)
    assert missing_recording(Feed()) is None
    assert missing_recording(feed) == "SCALEOUT_FEEDS names no folder of recorded feeds"
    monkeypatch.setenv(FEEDS_VARIABLE, str(tmp_path))
    assert missing_recording(feed) is None
    assert messages(feed) == [b'{"a":1}', b'{"a":2}']
    assert str(missing_recording(Feed(recording="other"))).startswith("there is no file ")
