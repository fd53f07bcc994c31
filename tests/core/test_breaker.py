"""The circuit breaker of an endpoint."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.breaker import Breaker


def test_it_opens_at_the_last_refusal_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    assert [(breaker.refused(), breaker.is_open) for _ in range(5)] == [
        (False, False),
        (False, False),
        (True, True),
        (False, True),
        (False, True),
    ]
    assert breaker.refusals == 5


def test_a_recovery_closes_it_and_starts_the_count_over() -> None:
    breaker = Breaker(after=2)
    breaker.refused()
    assert not breaker.recovered()
    assert not breaker.refused()
    assert breaker.refused()
    assert breaker.recovered()
    assert not breaker.is_open
    assert not breaker.refused()


def test_a_person_releases_it_with_all_its_tries() -> None:
    breaker = Breaker(after=2)
    breaker.refused()
    breaker.refused()
    breaker.refused()
    breaker.release()
    assert not breaker.is_open
    assert [breaker.refused(), breaker.refused()] == [False, True]


def test_probes_are_spread_around_their_delay() -> None:
    rng = Random(1)
    delays = [Breaker(probe_s=100).probe_delay(rng) for _ in range(2000)]
    assert 90 <= min(delays) < 91
    assert 109 < max(delays) <= 110


def test_its_repr_is_its_state() -> None:
    breaker = Breaker(after=1)
    assert repr(breaker) == "<Breaker closed: 0 of 1 refusals>"
    breaker.refused()
    assert repr(breaker) == "<Breaker open: 1 of 1 refusals>"


@given(st.integers(1, 5), st.lists(st.booleans()))
def test_it_is_open_exactly_after_so_many_refusals_since_the_last_good_session(
    after: int, refusals: list[bool]
) -> None:
    breaker, in_a_row = Breaker(after), 0
    for is_refusal in refusals:
        if is_refusal:
            in_a_row += 1
            breaker.refused()
        else:
            in_a_row = 0
            breaker.recovered()
        assert breaker.is_open == (in_a_row >= after)
