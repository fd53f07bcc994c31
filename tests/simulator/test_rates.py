"""Rates over endpoints and over time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.simulator.rates import PacedByRate, PacedByTimes, RateChange, RateTable, zipf_rates


@given(total=st.floats(0, 1e6), count=st.integers(1, 300), exponent=st.floats(0, 3))
def test_zipf_rates_sum_to_the_total_and_fall(total: float, count: int, exponent: float) -> None:
    rates = zipf_rates(total, count, exponent)
    assert sum(rates) == pytest.approx(total)
    assert rates == sorted(rates, reverse=True)


def test_zipf_rates_follow_the_exponent() -> None:
    assert zipf_rates(100.0, 4, 0.0) == [25.0] * 4
    rates = zipf_rates(1000.0, 10, 1.0)
    assert rates[0] / rates[4] == pytest.approx(5.0)


def test_a_change_applies_from_its_time_on_to_its_endpoint() -> None:
    table = RateTable([100.0, 10.0], [RateChange(5.0, 3.0), RateChange(2.0, 0.0, endpoint=1)])
    assert [table.rate(0, at_s) for at_s in (0.0, 2.0, 4.9, 5.0)] == [100.0, 100.0, 100.0, 300.0]
    assert [table.rate(1, at_s) for at_s in (0.0, 2.0, 4.9, 5.0)] == [10.0, 0.0, 0.0, 30.0]
    assert [table.next_change(at_s) for at_s in (0.0, 2.0, 5.0)] == [2.0, 5.0, float("inf")]


def test_a_shuffle_deals_the_same_rates_anew_and_alike_for_a_seed() -> None:
    rates = zipf_rates(1000.0, 20, 1.2)
    table, again = (RateTable(rates, shuffle_every_s=10.0, seed=7) for _ in range(2))
    dealt = [table.rate(endpoint, 10.0) for endpoint in range(20)]
    assert dealt != rates
    assert sorted(dealt, reverse=True) == rates
    assert dealt == [again.rate(endpoint, 19.9) for endpoint in range(20)]
    assert dealt != [table.rate(endpoint, 20.0) for endpoint in range(20)]
    assert [table.rate(endpoint, 9.9) for endpoint in range(20)] == rates
    assert table.next_change(10.0) == 20.0


@given(steps=st.lists(st.floats(0.001, 3.0), min_size=1, max_size=30))
def test_what_is_due_does_not_depend_on_how_often_one_asks(steps: list[float]) -> None:
    table = RateTable([100.0], [RateChange(1.0, 5.0), RateChange(2.5, 0.5)])
    often, end_s = PacedByRate(table, 0), 0.0
    for step in steps:
        end_s += step
        often.due(end_s)
    assert abs(often.due(end_s) - PacedByRate(table, 0).due(end_s)) <= 1


def test_due_counts_across_changes() -> None:
    pace = PacedByRate(RateTable([100.0], [RateChange(1.0, 5.0), RateChange(2.0, 0.0)]), 0)
    assert [pace.due(at_s) for at_s in (0.0, 0.5, 1.5, 3.0, 9.0)] == [0, 50, 350, 600, 600]


def test_a_pace_counts_from_its_start() -> None:
    pace = PacedByRate(RateTable([100.0]), 0, start_s=7.0)
    assert pace.due(7.5) == 50


def test_recorded_times_are_kept_and_scaled() -> None:
    times_us = [0, 500_000, 500_000, 2_000_000]
    normal = PacedByTimes(times_us, start_s=1.0)
    assert [normal.due(at_s) for at_s in (1.0, 1.4, 1.5, 2.9, 3.0, 9.0)] == [1, 1, 3, 3, 4, 4]
    fast = PacedByTimes(times_us, speed=10.0, start_s=1.0)
    assert [fast.due(at_s) for at_s in (1.0, 1.051, 1.21)] == [1, 3, 4]
