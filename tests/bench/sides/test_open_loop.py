"""What the open loop sends, and when."""

from __future__ import annotations

import socket
import time
from itertools import pairwise

import msgspec
import pytest

from bench.sides import open_loop
from bench.sides.open_loop import Phase, bursts, frames, run_phase
from bench.timed import TimedTrade

NS = 1_000_000_000


def payloads(data: bytes) -> list[bytes]:
    """Of short frames."""
    found = []
    while data:
        size = int.from_bytes(data[2:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def test_at_low_rates_every_message_goes_by_itself() -> None:
    due = list(bursts(0, 10_000.0, 5))
    assert due == [[0], [100_000], [200_000], [300_000], [400_000]]


def test_at_high_rates_a_tick_is_sent_at_once_and_each_message_keeps_its_own_time() -> None:
    due = list(bursts(7, 500_000.0, 1_200))
    assert [len(burst) for burst in due] == [500, 500, 200]
    flat = [at for burst in due for at in burst]
    assert flat == [7 + 2_000 * number for number in range(1_200)]


def test_frames_say_when_they_were_due() -> None:
    at = time.time_ns()
    first, second = payloads(frames([at, at + 5]))
    assert msgspec.json.decode(first, type=TimedTrade).at == at
    assert msgspec.json.decode(second, type=TimedTrade).at == at + 5


def test_a_paced_phase_sends_all_of_it_in_order() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = run_phase(Phase(0.05, 1_000.0), [ours])
        ours.shutdown(socket.SHUT_WR)
        data = b""
        while block := theirs.recv(65536):
            data += block
    due = [msgspec.json.decode(payload, type=TimedTrade).at for payload in payloads(data)]
    assert len(due) == sent.messages == 50
    assert {second - first for first, second in pairwise(due)} == {NS // 1_000}


def test_messages_go_round_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "START_NS", 0)
    pairs = [socket.socketpair() for _ in range(3)]
    sent = run_phase(Phase(0.002, 50_000.0), [ours for ours, _ in pairs])
    counts = [len(payloads(theirs.recv(65536))) for _, theirs in pairs]
    for pair in pairs:
        for end in pair:
            end.close()
    assert sum(counts) == sent.messages == 100
    assert max(counts) - min(counts) <= 1
