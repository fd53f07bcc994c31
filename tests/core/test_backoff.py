"""The delay before a reconnect."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.config import Backoff
from scaleout.core.backoff import HEALTHY_AFTER_S, SPREAD, BackoffState


class Top(Random):
    """Draws the largest value there is."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Bottom(Random):
    """Draws the smallest value there is."""

    def uniform(self, a: float, b: float) -> float:
        return a


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


def test_the_least_delay_is_none() -> None:
    state = BackoffState(Backoff(), Bottom())
    assert [state.next_delay() for _ in range(9)] == [0] * 9


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


def test_a_slow_retry_is_three_attempts_ahead_and_in_the_upper_half() -> None:
    upper, lower = BackoffState(Backoff(), Top()), BackoffState(Backoff(), Bottom())
    assert [upper.next_delay(slow=True) for _ in range(6)] == [4, 8, 16, 32, 60, 60]
    assert [lower.next_delay(slow=True) for _ in range(6)] == [2, 4, 8, 16, 30, 30]


def test_plain_and_slow_retries_count_the_same_attempts() -> None:
    state = BackoffState(Backoff(), Top())
    assert [state.next_delay(slow=slow) for slow in (False, True, False, True)] == [0.5, 8, 2, 32]


def test_what_the_server_asks_to_wait_is_spread_over_a_tenth() -> None:
    assert BackoffState(Backoff(), Bottom()).next_delay(at_least_s=1000) == 1000
    assert BackoffState(Backoff(), Top()).next_delay(at_least_s=1000) == pytest.approx(1100)
    rng = Random(1)
    delays = [BackoffState(Backoff(), rng).next_delay(at_least_s=1000) for _ in range(2000)]
    tenths = [sum(tenth <= (delay - 1000) / 10 < tenth + 1 for delay in delays) for tenth in range(10)]
    assert min(tenths) > 140


def test_a_server_that_asks_for_little_does_not_shorten_the_backoff() -> None:
    state = BackoffState(Backoff(), Top())
    assert [state.next_delay(at_least_s=0.1) for _ in range(9)] == bounds(Backoff(), 9)


@given(st.integers(0, 2**32), st.booleans(), st.floats(0, 3 * 86400), st.integers(1, 12))
def test_a_delay_is_never_less_than_what_the_server_asked_for(
    seed: int, slow: bool, at_least_s: float, attempts: int
) -> None:
    state = BackoffState(Backoff(), Random(seed))
    for _ in range(attempts):
        assert at_least_s <= state.next_delay(slow, at_least_s) <= max(60, at_least_s * (1 + SPREAD))
