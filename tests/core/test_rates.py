"""Averages of running counts: unbiased from the start, right at irregular times."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.rates import Load, Measure, Rates, say_load

STEPS = st.lists(st.floats(0.01, 30.0), min_size=1, max_size=40)


def counts(messages: float, slot: int = 0) -> dict[int, tuple[int, int, int]]:
    return {slot: (round(messages), round(messages) * 100, round(messages) * 5_000)}


def test_nothing_is_known_before_the_second_look() -> None:
    rates = Rates()
    assert not rates.is_known(0) and rates.load(0) == Load()
    rates.look(5.0, counts(1_000))
    assert not rates.is_known(0) and rates.load(0) == Load()
    rates.look(6.0, counts(1_200))
    assert rates.is_known(0)
    assert rates.load(0).messages == pytest.approx(200.0)


def test_all_three_are_per_second() -> None:
    rates = Rates()
    rates.look(0.0, {0: (0, 0, 0)})
    rates.look(2.0, {0: (100, 5_000, 1_000_000_000)})
    load = rates.load(0)
    assert (load.messages, load.bytes, load.cpu) == pytest.approx((50.0, 2_500.0, 0.5))
    assert [load.by("messages"), load.by("bytes"), load.by("cpu")] == [load.messages, load.bytes, load.cpu]
    for measure in get_args(Measure):
        assert dict(rates.known(measure)) == {0: load.by(measure)}


def test_the_first_looks_are_averaged() -> None:
    rates = Rates(half_life_s=1_000.0)
    rates.look(0.0, counts(0))
    rates.look(1.0, counts(100))
    rates.look(2.0, counts(400))
    assert rates.load(0).messages == pytest.approx(200.0, rel=0.01)


@given(STEPS)
def test_a_steady_rate_is_measured_at_any_times(steps: list[float]) -> None:
    rates, now = Rates(), 0.0
    rates.look(now, counts(0))
    for step in steps:
        now += step
        rates.look(now, counts(now * 10_000))
        assert rates.load(0).messages == pytest.approx(10_000, rel=0.02)


@given(st.integers(1, 40))
def test_after_a_half_life_half_is_forgotten_however_often_one_looks(looks: int) -> None:
    rates = Rates(half_life_s=10.0)
    rates.restore(0, Load(messages=1_000.0))
    rates.look(0.0, counts(0))
    for look in range(1, looks + 1):
        rates.look(10.0 * look / looks, counts(0))
    assert rates.load(0).messages == pytest.approx(500.0)


def test_what_was_restored_holds_until_it_is_measured() -> None:
    rates = Rates()
    rates.restore(3, Load(7.0, 8.0, 0.9))
    assert rates.is_known(3) and rates.load(3) == Load(7.0, 8.0, 0.9)
    rates.look(0.0, counts(0, slot=3))
    assert rates.load(3) == Load(7.0, 8.0, 0.9)
    for now in range(1, 200):
        rates.look(now, counts(now * 50, slot=3))
    assert rates.load(3).messages == pytest.approx(50.0, rel=1e-3)


def test_a_count_that_falls_begins_from_nothing() -> None:
    rates = Rates(half_life_s=0.001)
    rates.look(0.0, counts(5_000))
    rates.look(1.0, counts(6_000))
    rates.look(2.0, counts(300))
    assert rates.load(0).messages == pytest.approx(300.0)
    rates.look(3.0, counts(500))
    assert rates.load(0).messages == pytest.approx(200.0)


def test_a_slot_that_vanishes_is_forgotten() -> None:
    rates = Rates()
    for now in range(3):
        rates.look(now, {**counts(now * 10, 0), **counts(now * 20, 1)})
    rates.look(3.0, counts(30, 0))
    assert rates.is_known(0) and not rates.is_known(1)
    rates.look(4.0, {**counts(40, 0), **counts(1_000_000, 1)})
    assert not rates.is_known(1)
    rates.forget(0)
    assert not rates.is_known(0)


def test_what_is_held_keeps_its_average_and_goes_on_from_its_last_count() -> None:
    rates = Rates()
    for now in range(10):
        rates.look(now, counts(now * 100))
    for now in range(10, 100):
        rates.look(now, counts(0), held={0})
    assert rates.load(0).messages == pytest.approx(100.0)
    rates.look(100.0, counts(100))
    assert rates.load(0).messages == pytest.approx(100.0)


def test_a_look_at_the_same_time_changes_nothing() -> None:
    rates = Rates()
    rates.look(0.0, counts(0))
    rates.look(1.0, counts(10))
    rates.look(1.0, counts(99))
    rates.look(2.0, counts(20))
    assert rates.load(0).messages == pytest.approx(10.0)


def test_many_are_looked_at_quickly() -> None:
    rates = Rates()
    rates.look(0.0, dict.fromkeys(range(100000), (0, 0, 0)))
    following = {slot: (slot, slot, slot) for slot in range(100_000)}
    begun = time.process_time()
    rates.look(1.0, following)
    assert time.process_time() - begun < 1.0
    assert rates.load(99_999).messages == 99_999.0


def test_loads_for_people() -> None:
    assert say_load(12_400, "messages") == "12,400 messages/s"
    assert say_load(0.25, "messages") == "0.2 messages/s"
    assert say_load(3_140_000, "bytes") == "3.14 MB/s"
    assert say_load(12e9, "bytes") == "12 GB/s"
    assert say_load(0.421, "cpu") == "42.1 % of a core"
