"""What happens all the time is told once in a while, and counted."""

from __future__ import annotations

import asyncio

import pytest

from scaleout.worker.telling import Telling


class Clock:
    """Stands in the place of a loop."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_the_first_is_told_at_once_and_then_one_after_each_cooldown(clock: Clock) -> None:
    telling = Telling(60)
    assert telling.count() == 1
    clock.now = 59.0
    assert [telling.count(), telling.count()] == [0, 0]
    clock.now = 60.0
    assert [telling.count(), telling.count()] == [3, 0]
    clock.now = 500.0
    assert telling.count() == 2


def test_what_to_add_to_a_line(clock: Clock) -> None:
    telling = Telling()
    assert [telling.more(), telling.more(), telling.more()] == ["", None, None]
    clock.now = 10.0
    assert telling.more() == " (and 2 more since the last one told)"
    clock.now = 20.0
    assert telling.more() == ""
