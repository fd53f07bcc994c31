"""Why no data comes, told by looks at a connection: only the server's silence counts, never this side's own."""

from __future__ import annotations

import math

import pytest

from scaleout.core.lifecycle import Stall
from scaleout.worker.links.stalls import QUIET_S, StallWatch, look_every_s

SILENT, HEARTBEATS, LAG, HELD = Stall.SILENT, Stall.HEARTBEATS, Stall.LAG, Stall.BACKPRESSURE
TICK_S = 0.5


class Bench:
    """A connection that is looked at every half a second."""

    def __init__(self, stale_after_s: float | None) -> None:
        self.last_read_at = 1
        self.is_held = False
        self.resumed_at = -math.inf
        self.now = 1_000.0
        self.messages = 0
        self.is_awaited = True
        self.watch = StallWatch(self, stale_after_s, self.now)

    def read(self, messages: int = 0) -> None:
        """Something is read; the system's clock may jump."""
        self.last_read_at = -self.last_read_at * 3
        self.messages += messages

    def look(self, lag_s: float = 0.0) -> Stall | None:
        self.now += TICK_S + lag_s
        return self.watch.look(self.now, lag_s, self.messages, self.is_awaited)

    def look_for(self, seconds: float) -> Stall | None:
        """The last answer, after so long."""
        stall = None
        end = self.now + seconds
        while self.now < end:
            stall = self.look()
        return stall


def test_silence_is_stale_within_two_looks() -> None:
    bench = Bench(10.0)
    bench.read(5)
    bench.look()
    assert bench.look_for(4.5) is None
    assert bench.look() is SILENT
    assert bench.look_for(4.5) is SILENT and not bench.watch.is_stale
    assert bench.look_for(1.0) is SILENT and bench.watch.is_stale


def test_data_keeps_it_alive_and_heartbeats_do_not() -> None:
    bench = Bench(2.0)
    for _ in range(50):
        bench.read(1)
        assert bench.look_for(1.5) in (None, SILENT)
        assert not bench.watch.is_stale
    for _ in range(4):
        bench.read()
        stall = bench.look_for(0.5)
    assert stall is HEARTBEATS
    bench.read()
    assert bench.look() is HEARTBEATS and bench.watch.is_stale


def test_without_a_limit_it_is_quiet_after_a_while_and_never_stale() -> None:
    bench = Bench(None)
    assert bench.look_for(QUIET_S - 0.5) is None
    assert bench.look_for(0.5) is SILENT
    bench.read()
    assert bench.look() is HEARTBEATS
    assert bench.look_for(QUIET_S) is SILENT, "the heartbeats have stopped, too"
    bench.read(1)
    assert bench.look() is None
    bench.look_for(100_000)
    assert not bench.watch.is_stale


@pytest.mark.parametrize(("lag_s", "expected"), [(0.0, HELD), (2.0, HELD)])
def test_time_held_back_does_not_count(lag_s: float, expected: Stall) -> None:
    bench = Bench(2.0)
    bench.look_for(1.0)
    bench.is_held = True
    for _ in range(100):
        assert bench.look(lag_s) is expected
    bench.is_held, bench.resumed_at = False, bench.now + 0.4
    assert bench.look() is None and not bench.watch.is_stale
    assert bench.look() is SILENT and not bench.watch.is_stale
    assert bench.look_for(1.0) is SILENT and bench.watch.is_stale


def test_a_hold_between_two_looks_is_seen() -> None:
    bench = Bench(1.0)
    for _ in range(100):
        bench.resumed_at = bench.now + 0.4
        bench.look()
        assert not bench.watch.is_stale


@pytest.mark.parametrize("lag_s", [0.7, 1.0, 5.0, 1_000.0])
def test_after_a_lag_the_loop_first_reads_what_is_there(lag_s: float) -> None:
    bench = Bench(1.0)
    for _ in range(20):
        bench.read(1)
        bench.look()
        stall = bench.look(lag_s)  # and nothing could be read meanwhile
        assert stall is (LAG if lag_s >= 1 else SILENT)
        assert not bench.watch.is_stale


def test_a_loop_that_is_always_a_little_late_still_sees_silence() -> None:
    bench = Bench(5.0)
    for _ in range(8):
        bench.look(0.3)
    assert bench.watch.is_stale


def test_time_before_the_subscription_does_not_count() -> None:
    bench = Bench(2.0)
    bench.is_awaited = False
    assert bench.look_for(60.0) is None
    bench.is_awaited = True
    assert bench.look_for(1.5) is SILENT and not bench.watch.is_stale
    bench.look_for(1.0)
    assert bench.watch.is_stale


@pytest.mark.parametrize(("stale_after_s", "every_s"), [(None, 3.0), (1.0, 0.05), (60.0, 3.0), (3600.0, 5.0)])
def test_a_connection_is_looked_at_as_often_as_it_matters(
    stale_after_s: float | None, every_s: float
) -> None:
    assert look_every_s(stale_after_s) == pytest.approx(every_s)
