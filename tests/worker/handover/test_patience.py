"""How long two connections are compared."""

from __future__ import annotations

from scaleout.worker.handover.overlap import ENOUGH
from scaleout.worker.handover.patience import ORPHAN_PATIENCE_S, PATIENCE_S, SILENT_S, SLOW_FEED_S, Patience


def opened(now: float = 100.0) -> Patience:
    patience = Patience(now)
    patience.begin(now)
    return patience


def test_the_clock_stands_still_while_connections_are_held_back() -> None:
    patience = opened()
    patience.pass_time(103.0, is_held=False)
    patience.pass_time(109.0, is_held=True)
    patience.pass_time(110.0, is_held=False)
    assert patience.clock_s == 4.0


def test_on_a_slow_feed_what_comes_in_a_second_is_enough() -> None:
    patience = opened()
    assert patience.minimum(100.0 + SLOW_FEED_S / 2, 3) == ENOUGH
    assert patience.minimum(110.0, 50) == 5
    assert patience.minimum(110.0, 0) == 1
    assert patience.minimum(110.0, 100_000) == ENOUGH


def test_a_slow_feed_that_begins_with_a_burst_is_a_slow_feed() -> None:
    patience = opened()
    seen = [patience.minimum(now, 40 + int(now - 100.0)) for now in map(float, range(102, 112))]
    assert seen[0] == ENOUGH
    assert seen[-1] == 1, "one a second, lately"


def test_a_feed_that_was_slow_at_first_is_not_slow() -> None:
    patience = opened()
    seen = [patience.minimum(now, 20 * int(now - 106.0)) for now in map(float, range(106, 118))]
    assert seen[-1] == min(ENOUGH, 20 * 11 // 17 + 1), "by the average over all of the time"


def test_a_connection_that_never_follows_the_old_one_is_stuck() -> None:
    patience = opened()
    patience.hear_old(100.0)
    patience.pass_time(100.0 + SILENT_S, is_held=False)
    assert patience.next_may_be_stuck
    assert not patience.is_next_stuck
    patience.pass_time(100.0 + PATIENCE_S, is_held=False)
    assert patience.is_next_stuck
    patience.hear_next(110.0)
    assert not patience.next_may_be_stuck
    assert not patience.is_next_stuck


def test_silence_is_that_of_both_and_counts_from_the_opening() -> None:
    patience = opened()
    assert not patience.are_silent(100.0 + SILENT_S - 0.1)
    assert patience.are_silent(100.0 + SILENT_S)
    patience.hear_old(105.0)
    assert not patience.are_silent(105.0 + SILENT_S - 0.1)
    patience.hear_next(106.0)
    assert not patience.are_silent(105.0 + SILENT_S)


def test_an_orphan_waits_less() -> None:
    patience = opened()
    patience.want()
    patience.pass_time(100.0 + ORPHAN_PATIENCE_S, is_held=False)
    assert patience.is_over(is_orphan=True, is_known=True)
    assert not patience.is_over(is_orphan=False, is_known=True)
    patience.pass_time(100.0 + PATIENCE_S, is_held=False)
    assert patience.is_over(is_orphan=False, is_known=True)


def test_patience_begins_with_the_first_wish() -> None:
    patience = opened()
    patience.pass_time(105.0, is_held=False)
    patience.want()
    patience.pass_time(105.0 + PATIENCE_S - 0.1, is_held=False)
    patience.want()
    assert not patience.is_over(is_orphan=False, is_known=True)
    patience.pass_time(105.0 + PATIENCE_S, is_held=False)
    assert patience.is_over(is_orphan=False, is_known=True)


def test_what_was_compared_for_long_in_vain_needs_no_more_time() -> None:
    patience = opened()
    patience.pass_time(100.0 + PATIENCE_S, is_held=False)
    patience.want()
    assert patience.is_over(is_orphan=False, is_known=False)
    assert not patience.is_over(is_orphan=False, is_known=True)


def test_another_connection_begins_anew() -> None:
    patience = opened()
    patience.want()
    patience.hear_old(100.0)
    patience.pass_time(120.0, is_held=False)
    patience.begin(120.0)
    assert not patience.is_next_stuck
    assert not patience.is_time_to_recognize
    patience.want()
    assert not patience.is_over(is_orphan=True, is_known=False)


def test_while_the_old_connection_is_silent_the_horizon_waits_for_it() -> None:
    patience = Patience(0.0)
    for now in range(1, 21):
        patience.pass_time(float(now), False)
        patience.hear_old(float(now))
    assert patience.horizon_s == 10.0
    patience.pass_time(24.0, False)
    assert patience.horizon_s == 14.0
    patience.pass_time(60.0, False)
    assert patience.horizon_s == 10.0  # what came since may be on the next connection alone
