"""The delay before a reconnect."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.config import Backoff
from scaleout.core.backoff import HEALTHY_AFTER_S, BackoffState


class Top(Random):
    """Draws the largest value there is."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


def bounds(policy: Backoff, count: int) -> list[float]:
    state = BackoffState(policy, Top())
    return [state.next_delay() for _ in range(count)]


def test_the_bound_grows_to_its_maximum() -> None:
    assert bounds(Backoff(), 9) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert bounds(Backoff(initial=1, factor=1), 3) == [1, 1, 1]
    assert bounds(Backoff(initial=9, maximum=2), 2) == [2, 2]


@pytest.mark.parametrize("factor", [2, 2.0, 1e300, 1.0001])
def test_any_number_of_attempts_is_possible(factor: float) -> None:
    state = BackoffState(Backoff(factor=factor), Top())
    delays = [state.next_delay() for _ in range(5000)]
    assert max(delays) <= 60
    assert delays == sorted(delays)


@given(
    st.integers(0, 2**32),
    st.floats(0, 100),
    st.floats(0, 1000),
    st.floats(1, 10),
    st.integers(1, 60),
)
def test_delays_are_within_the_bound(
    seed: int, initial: float, maximum: float, factor: float, attempts: int
) -> None:
    policy = Backoff(initial=initial, maximum=maximum, factor=factor)
    state = BackoffState(policy, Random(seed))
    for bound in bounds(policy, attempts):
        assert 0 <= state.next_delay() <= bound <= maximum


def test_the_jitter_is_full() -> None:
    rng = Random(1)
    delays = [BackoffState(Backoff(initial=10), rng).next_delay() for _ in range(2000)]
    tenths = [sum(tenth <= delay < tenth + 1 for delay in delays) for tenth in range(10)]
    assert min(tenths) > 140


@pytest.mark.parametrize(
    ("lived_s", "messages", "bound"),
    [(HEALTHY_AFTER_S, 1, 0.5), (HEALTHY_AFTER_S - 1, 1000, 4), (10_000, 0, 4), (0, 0, 4)],
)
def test_only_a_long_session_with_data_starts_the_bound_over(
    lived_s: float, messages: int, bound: float
) -> None:
    state = BackoffState(Backoff(), Top())
    for _ in range(3):
        state.next_delay()
    state.session_ended(lived_s, messages)
    assert state.next_delay() == bound
