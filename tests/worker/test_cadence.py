"""Turns of the loop that last while many reads bring little."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scaleout.worker.cadence import LONGEST_TURN_S, MANY_READS, SHARE, Cadence


class Loop:
    """A loop on a clock that only goes on when somebody sleeps, or is busy."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._next: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> object:
        self._next.append(callback)
        return None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def turn(self, busy_s: float = 0.0) -> None:
        """What was to be called soon; then the sockets are looked at, which takes so long."""
        callbacks, self._next = self._next, []
        for callback in callbacks:
            callback()
        self.now += busy_s

    @property
    def is_idle(self) -> bool:
        return not self._next


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def cadence(loop: Loop) -> Cadence:
    made = Cadence(loop, loop.sleep)
    made.follow(0, 0.005)
    return made


def test_a_turn_lasts_a_part_of_the_linger_while_many_reads_come(loop: Loop, cadence: Cadence) -> None:
    cadence.note(MANY_READS)
    for _ in range(SHARE):
        loop.turn()
    assert loop.slept == pytest.approx([0.001] * SHARE)


def test_it_ends_by_itself_when_no_more_come(loop: Loop, cadence: Cadence) -> None:
    cadence.note(MANY_READS)
    for _ in range(SHARE + 1):
        loop.turn()
    assert loop.is_idle and len(loop.slept) == SHARE


def test_it_goes_on_as_long_as_they_come(loop: Loop, cadence: Cadence) -> None:
    for _ in range(10):
        cadence.note(MANY_READS)
        for _ in range(SHARE):
            loop.turn()
    assert len(loop.slept) == 10 * SHARE


def test_a_loop_that_is_busy_never_waits(loop: Loop, cadence: Cadence) -> None:
    cadence.note(MANY_READS)
    loop.now += 0.002
    for _ in range(SHARE):
        loop.turn(busy_s=0.0015)
    assert loop.slept == []


def test_what_is_done_in_a_turn_counts(loop: Loop, cadence: Cadence) -> None:
    cadence.note(MANY_READS)
    loop.turn(busy_s=0.0004)
    loop.turn()
    assert loop.slept == pytest.approx([0.001, 0.0006])


def test_few_reads_are_read_at_once(loop: Loop, cadence: Cadence) -> None:
    cadence.note(MANY_READS - 1)
    assert loop.is_idle


def test_the_shortest_linger_counts(loop: Loop, cadence: Cadence) -> None:
    cadence.follow(1, 0.0)
    cadence.note(MANY_READS)
    assert loop.is_idle, "an endpoint's results may not wait at all"
    cadence.forget(1)
    cadence.note(MANY_READS)
    loop.turn()
    assert loop.slept == pytest.approx([0.001])


def test_a_long_linger_makes_no_long_turns(loop: Loop) -> None:
    cadence = Cadence(loop, loop.sleep)
    cadence.follow(0, 60.0)
    cadence.note(MANY_READS)
    loop.turn()
    assert loop.slept == pytest.approx([LONGEST_TURN_S])


def test_without_endpoints_nothing_waits(loop: Loop) -> None:
    cadence = Cadence(loop, loop.sleep)
    cadence.note(MANY_READS)
    assert loop.is_idle
