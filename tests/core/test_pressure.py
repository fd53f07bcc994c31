"""Too much for too long: what adds up, what is let be."""

from __future__ import annotations

import math
from random import Random

from scaleout.core.pressure import Pressure


def pressure() -> Pressure:
    return Pressure(allowance=0.03, swings=2.0, patience=0.2)


def until_pressed(watched: Pressure, excess: float, seconds: int = 1_000) -> int | None:
    return next((now for now in range(seconds) if watched.look(float(now), [5], [excess], [0])), None)


def test_the_more_it_is_the_sooner_it_is_acted_on() -> None:
    times = [until_pressed(pressure(), excess) for excess in (1.0, 0.3, 0.1, 0.04)]
    assert all(time is not None for time in times)
    assert times == sorted(times, key=lambda time: time or 0)
    assert times[0] == 1 and (times[-1] or 0) > 10
    assert until_pressed(pressure(), 0.029) is None


def test_what_swings_is_let_be_and_what_rises_beyond_is_not() -> None:
    watched = pressure()
    excesses = [0.1 * math.sin(now / 5) for now in range(1_000)]
    pressed = [now for now, excess in enumerate(excesses) if watched.look(float(now), [0], [excess], [0])]
    assert all(now < 60 for now in pressed)
    assert any(watched.look(1_000.0 + now, [0], [0.5], [0]) for now in range(5))


def test_noise_is_let_be() -> None:
    rng, watched = Random(1), pressure()
    assert not any(watched.look(float(now), [0], [rng.gauss(0.0, 0.05)], [0]) for now in range(5_000))


def test_what_only_rises_is_expected_to_go_on() -> None:
    watched = pressure()
    for now in range(120):
        watched.look(float(now), [0], [0.0], [0])
    assert watched.ahead(0) == 0.0
    for now in range(20):
        watched.look(120.0 + now, [0], [0.01 * now], [0])
    assert watched.ahead(0) > 0.02
    assert watched.ahead(99) == 0.0


def test_other_endpoints_are_no_swing() -> None:
    steady, changed = pressure(), pressure()
    for now in range(200):
        part = now // 20 % 2
        steady.look(float(now), [0], [-0.4 * part], [0])
        changed.look(float(now), [0], [-0.4 * part], [part])
    assert until_beyond(changed) < until_beyond(steady)


def until_beyond(watched: Pressure) -> int:
    return next(now for now in range(1_000) if watched.look(200.0 + now, [0], [0.25], [2]))


def test_what_has_been_relieved_begins_anew() -> None:
    watched = pressure()
    assert not watched.look(0.0, [0], [0.5], [0])
    assert watched.look(1.0, [0], [0.5], [0]) == [0]
    watched.calm(0)
    watched.moved(0, 0.0, 1)
    assert watched.look(2.0, [0], [0.0], [1]) == []


def test_workers_that_come_and_go_are_watched_by_their_ids() -> None:
    watched = pressure()
    watched.look(0.0, [3, 7], [0.5, 0.0], [0, 0])
    assert watched.look(1.0, [7, 3], [0.0, 0.5], [0, 0]) == [1]
    assert watched.look(2.0, [7], [0.0], [0]) == []
    assert watched.look(3.0, [7, 3], [0.0, 0.5], [0, 0]) == []
