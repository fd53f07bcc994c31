"""How many messages a batch has."""

from __future__ import annotations

import pytest

from scaleout.worker.spread.sizing import BATCH_S, FIRST_GUESS_S, MAX_BATCH, Sizing


@pytest.mark.parametrize(
    ("message_s", "size"),
    [(50e-6, 60), (1e-3, 3), (10e-3, 1), (60.0, 1), (1e-6, MAX_BATCH), (0.0, MAX_BATCH)],
)
def test_a_batch_takes_some_milliseconds(message_s: float, size: int) -> None:
    sizing = Sizing()
    for _ in range(100):
        sizing.note(10, 10 * message_s)
    assert sizing.size(1_000) == pytest.approx(size, abs=1)


def test_the_first_ones_are_small_and_one_that_was_slow_is_no_reason_for_small_ones() -> None:
    sizing = Sizing()
    assert sizing.size(1_000) == int(BATCH_S / FIRST_GUESS_S)
    for _ in range(100):
        sizing.note(60, 60 * 50e-6)
    sizing.note(60, 60 * 100e-6)
    assert sizing.size(1_000) >= 45


def test_no_more_than_there_may_be_and_one_at_the_least() -> None:
    sizing = Sizing()
    assert [sizing.size(most) for most in (2, 1, 0)] == [2, 1, 1]
