"""How soon a dead worker is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.restarts import RestartPolicy


def test_restarts_within_the_intensity_come_at_once_and_further_ones_ever_later() -> None:
    policy = RestartPolicy(intensity=3, period_s=60, first_delay_s=1, longest_delay_s=30)
    delays = [policy.delay_after_death(now) for now in range(10)]
    assert delays == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]


def test_old_deaths_are_forgotten() -> None:
    policy = RestartPolicy(intensity=1, period_s=60)
    assert policy.delay_after_death(100) == 0
    assert policy.delay_after_death(160) == 1
    assert policy.delay_after_death(161) == 1
    assert policy.delay_after_death(222) == 0


def test_the_delay_stays_bounded_after_any_number_of_deaths() -> None:
    policy = RestartPolicy(intensity=0)
    assert [policy.delay_after_death(1.0) for _ in range(5000)][-1] == 30


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=60),
    st.integers(0, 5),
    st.floats(1, 100),
)
def test_a_restart_is_at_once_exactly_when_the_window_has_room(
    pauses: list[float], intensity: int, period_s: float
) -> None:
    policy = RestartPolicy(intensity, period_s)
    now, deaths = 0.0, []
    for pause in pauses:
        now += pause
        deaths.append(now)
        recent = sum(now - death <= period_s for death in deaths)
        delay = policy.delay_after_death(now)
        assert (delay == 0) == (recent <= intensity)
        assert 0 <= delay <= 30
