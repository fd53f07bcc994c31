"""How many processors an endpoint gets, by its rate and by what a message takes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.spreading import ADD_AFTER_S, GIVE_BACK_AFTER_S, Spreading

STEP_S = 0.5
MESSAGE_S = 50e-6


class Day:
    """A feed whose messages are processed by as many processors as there should be at each moment."""

    def __init__(self, most: int = 8, message_s: float = MESSAGE_S) -> None:
        self.spreading = Spreading(most)
        self.message_s = message_s
        self.now = 0.0
        self.numbers = [0]
        """How many processors there were, each number that followed another."""
        self.changed_at: list[float] = []
        self.spreading.observe(self.now, 0, 0.0)

    def pass_by(self, seconds: float, rate: float | Callable[[float], float]) -> None:
        """Let time pass; what can't be processed is held back."""
        ends_at = self.now + seconds
        while self.now < ends_at:
            self.now += STEP_S
            wanted = rate if isinstance(rate, float | int) else rate(self.now)
            processed = min(wanted, max(1, self.spreading.processors) / self.message_s)
            messages = round(processed * STEP_S)
            if self.spreading.observe(self.now, messages, messages * self.message_s):
                self.numbers.append(self.spreading.processors)
                self.changed_at.append(self.now)


@pytest.mark.parametrize(
    ("rate", "processors"),
    [
        (0, 0),
        (1_000, 0),
        (11_500, 0),
        (13_000, 1),
        (14_500, 1),
        (16_000, 2),
        (29_000, 2),
        (31_000, 3),
        (59_000, 4),
    ],
)
def test_a_steady_rate_gets_what_it_asks_for(rate: int, processors: int) -> None:
    day = Day()
    day.pass_by(60, rate)
    assert day.spreading.processors == processors
    assert day.numbers == sorted(day.numbers)
    numbers = list(day.numbers)
    day.pass_by(600, rate)
    assert day.numbers == numbers


def test_never_more_than_there_may_be() -> None:
    day = Day(most=2)
    day.pass_by(120, 1_000_000)
    assert day.numbers == [0, 2]


def test_a_burst_adds_nothing() -> None:
    day = Day()
    day.pass_by(30, 1_000)
    day.pass_by(ADD_AFTER_S - 1, 20_000)
    day.pass_by(30, 1_000)
    assert day.numbers == [0]


def test_they_follow_a_rate_that_rises_and_falls() -> None:
    day = Day()
    day.pass_by(20, 2_000)
    day.pass_by(20, 29_000)
    assert day.spreading.processors == 2
    assert day.changed_at[-1] - 20 < 2 * ADD_AFTER_S
    day.pass_by(GIVE_BACK_AFTER_S - 2, 2_000)
    assert day.spreading.processors == 2
    day.pass_by(GIVE_BACK_AFTER_S + 10, 2_000)
    assert day.spreading.processors == 0


def test_a_lull_gives_nothing_back() -> None:
    day = Day()
    day.pass_by(30, 20_000)
    numbers = list(day.numbers)
    day.pass_by(GIVE_BACK_AFTER_S - 3, 1_000)
    day.pass_by(30, 20_000)
    assert day.numbers == numbers


def test_what_the_highest_load_of_the_time_needs_is_kept() -> None:
    day = Day()
    day.pass_by(30, 59_000)
    assert day.spreading.processors == 4
    day.pass_by(GIVE_BACK_AFTER_S + 10, lambda now: 20_000 if now % 10 < 5 else 2_000)
    assert day.spreading.processors == 2


@given(st.floats(0, 4), st.integers(0, 2**32))
@settings(max_examples=30)
def test_noise_makes_no_changes_back_and_forth(load: float, seed: int) -> None:
    day = Day(message_s=1e-4)
    rng = Random(seed)
    day.pass_by(300, lambda now: load * 1e4 * rng.uniform(0.9, 1.1))
    assert day.numbers == sorted(day.numbers)


def test_what_a_message_takes_is_measured() -> None:
    day = Day(message_s=2e-3)
    day.pass_by(30, 100)
    assert day.spreading.processors == 0
    assert (
        day.spreading.explain() == "no processors, the worker itself has time for 100 messages/s at 2 ms each"
    )
    day.pass_by(30, 420)
    assert day.spreading.explain() == "2 processors, for 420 messages/s at 2 ms each"


@pytest.mark.parametrize(
    ("message_s", "words"),
    [(52.04e-6, "52 µs"), (0.4e-6, "0.4 µs"), (1.5, "1.5 s"), (999.96e-6, "1 ms"), (0.0, "0 µs")],
)
def test_times_in_words(message_s: float, words: str) -> None:
    spreading = Spreading(2)
    spreading.observe(0, 0, 0)
    spreading.observe(1, 10, 10 * message_s)
    assert spreading.explain().endswith(f"10 messages/s at {words} each")


def test_the_first_measurement_counts_in_full() -> None:
    spreading = Spreading(2)
    spreading.observe(0, 0, 0)
    spreading.observe(0.1, 100, 0.05)
    assert spreading.messages_per_s == pytest.approx(1_000)
    assert spreading.load == pytest.approx(0.5)
    assert spreading.observe(0.1, 100, 0.05) is False
