"""Outgoing messages of one connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.pacing import Pace


def send(pace: Pace, now: float, count: int) -> None:
    for _ in range(count):
        pace.sent(now)


def test_so_many_go_at_once_and_the_next_after_the_period() -> None:
    pace = Pace(3, 1.0)
    for _ in range(3):
        assert pace.delay(10) == 0
        pace.sent(10)
    assert pace.delay(10) == 1
    assert pace.delay(10.75) == 0.25
    assert pace.delay(11) == 0
    assert pace.delay(1000) == 0


def test_the_period_slides() -> None:
    pace = Pace(2, 10)
    pace.sent(0)
    pace.sent(6)
    assert pace.delay(6) == 4
    pace.sent(10)
    assert pace.delay(10) == 6


def test_messages_that_did_not_ask_delay_those_that_do() -> None:
    pace = Pace(5, 1.0)
    send(pace, 0, 4)
    assert pace.delay(0) == 0
    send(pace, 0, 100)
    pace.sent(0.5)
    assert pace.delay(0.5) == 0.5
    send(pace, 1, 4)
    assert pace.delay(1) == 0.5


PINGS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=20)


@given(st.integers(1, 6), st.integers(1, 30), st.lists(st.integers(0, 20), max_size=60), PINGS)
def test_no_message_goes_while_the_period_before_it_is_full(
    count: int, period: int, pauses: list[int], pings: list[tuple[int, int]]
) -> None:
    """Messages wait as they are told; pings go when they like. Times are whole, so that nothing is rounded."""
    pace = Pace(count, period)
    pinged_at = iter(sorted((sum(pause for pause, _ in pings[: i + 1]), n) for i, (_, n) in enumerate(pings)))
    ping = next(pinged_at, None)
    log: list[int] = []
    now = 0
    for pause in pauses:
        now += pause
        while True:
            while ping is not None and ping[0] <= now:
                send(pace, *ping)
                log += [ping[0]] * ping[1]
                ping = next(pinged_at, None)
            delay = int(pace.delay(now))
            in_period = sum(at > now - period for at in log)
            assert (delay == 0) == (in_period < count)
            if not delay:
                break
            # No sooner, either: a moment earlier the period is still full.
            assert sum(at > now + delay - 1 - period for at in log) >= count
            now += delay
        pace.sent(now)
        log.append(now)


@given(st.integers(1, 6), st.integers(1, 30), st.lists(st.integers(0, 20), max_size=60))
def test_without_pings_no_period_has_more_than_its_count(count: int, period: int, pauses: list[int]) -> None:
    pace = Pace(count, period)
    log: list[int] = []
    now = 0
    for pause in pauses:
        now += pause
        now += int(pace.delay(now))
        pace.sent(now)
        log.append(now)
    assert all(later - earlier >= period for earlier, later in zip(log, log[count:], strict=False))
