"""The share of invalid messages of late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.validity import BUCKETS, MIN_MESSAGES, InvalidShare


@pytest.mark.parametrize(
    ("valid", "invalid", "is_exceeded"),
    [
        (95, 5, False),
        (94, 5, True),
        (0, 19, False),
        (0, 20, True),
        (18, 2, True),
        (19, 1, False),
        (0, 0, False),
    ],
)
def test_the_share_counts_from_twenty_messages_on(valid: int, invalid: int, is_exceeded: bool) -> None:
    assert InvalidShare(0.05, 30).note(0, valid, invalid) == is_exceeded


def test_many_notes_add_up() -> None:
    share = InvalidShare(0.1, 30)
    assert not any(share.note(now, 9, 1) for now in range(20))
    assert share.note(20, 0, 1)


def test_old_messages_are_forgotten() -> None:
    share = InvalidShare(0.5, 30)
    assert share.note(100, 0, 50)
    assert share.note(126, 40, 0)
    assert not share.note(130, 0, 0)
    assert not share.note(1000, 0, 19)
    assert share.note(1000, 0, 1)


def test_none_may_be_invalid_and_all_may() -> None:
    assert InvalidShare(0, 30).note(0, 10**6, 1)
    assert not InvalidShare(1, 30).note(0, 0, 10**6)


def test_a_reset_forgets_all() -> None:
    share = InvalidShare(0.5, 30)
    assert share.note(0, 0, 100)
    share.reset()
    assert not share.note(0, 0, 19)
    assert repr(share) == "<InvalidShare 19 of 19, limit 0.5>"


def test_memory_stays_bounded() -> None:
    share = InvalidShare(0.5, 1)
    for tick in range(10_000):
        share.note(tick / 100, 1, 1)
        assert len(share._buckets) <= BUCKETS


NOTES = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=60
)


@given(NOTES, st.sampled_from([0.0, 0.05, 0.25, 0.5]))
def test_it_says_what_a_log_of_the_same_steps_says(notes: list[tuple[int, int, int]], limit: float) -> None:
    """Times are in tenths of a step: a log of all messages, cut where a step begins, is the truth."""
    share = InvalidShare(limit, window_s=100)
    log: list[tuple[int, int, int]] = []
    now = 0
    for pause, valid, invalid in notes:
        now += pause
        log.append((now, valid, invalid))
        begin = (now // 10 - BUCKETS + 1) * 10
        messages = sum(ok + bad for at, ok, bad in log if at >= begin)
        bad_ones = sum(bad for at, _, bad in log if at >= begin)
        expected = messages >= MIN_MESSAGES and bad_ones > limit * messages
        assert share.note(now, valid, invalid) == expected
