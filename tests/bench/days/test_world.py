"""Synthetic days are as they are described, and the same again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.days.world import Settings, Swell, World, shares

SMALL = Settings(endpoints=300, workers=3, hours=1.0)
STILL = replace(
    SMALL,
    walk=0.0,
    swing=(0.0, 0.0),
    bursts_per_hour=0,
    crowds_per_hour=0,
    losses_per_hour=0,
    restarts_per_hour=0,
)


def rates_of(settings: Settings, ticks: int) -> list[list[float]]:
    world = World(settings)
    found = []
    for tick in range(1, ticks + 1):
        world.advance(tick * settings.tick_s)
        found.append(list(world.rates))
    return found


def test_shares_fall_like_zipfs_and_nothing_fills_a_worker() -> None:
    found = shares(10_000, 100, 1.0, 0.45)
    assert sum(found) == pytest.approx(1.0)
    assert found == sorted(found, reverse=True)
    assert 100 * found[0] == pytest.approx(0.45, rel=0.01)
    assert found[8_000] / found[4_000] == pytest.approx(0.5, rel=0.05)


def test_the_same_settings_make_the_same_day() -> None:
    assert rates_of(SMALL, 30) == rates_of(SMALL, 30)
    assert rates_of(SMALL, 30) != rates_of(replace(SMALL, seed=2), 30)


def test_without_events_nothing_changes() -> None:
    found = rates_of(STILL, 40)
    assert found[-1] == pytest.approx(found[0])
    assert sum(found[0]) == pytest.approx(STILL.messages_per_s)


def test_the_time_of_day_changes_every_rate() -> None:
    found = rates_of(replace(STILL, swing=(0.3, 0.5)), 180)
    assert all(before != after for before, after in zip(found[0], found[-1], strict=True))


def test_a_swell_grows_lasts_and_falls() -> None:
    swell = Swell([0], 3.0, begin_s=100.0, ramp_s=10.0, end_s=200.0)
    times = [99, 105, 110, 150, 200, 205, 210]
    assert [swell.at(time) for time in times] == pytest.approx([1.0, 2.0, 3.0, 3.0, 3.0, 2.0, 1.0])


def test_bursts_crowds_and_absences_come_as_often_as_asked_for() -> None:
    world = World(
        replace(
            STILL,
            hours=10.0,
            bursts_per_hour=50,
            crowds_per_hour=5,
            hosts=3,
            losses_per_hour=20,
            restarts_per_hour=30,
        )
    )
    bursts = [swell for swell in world._swells if len(swell.slots) == 1]
    assert 400 < len(bursts) < 600 and 20 < len(world._swells) - len(bursts) < 90
    lost = [absence for absence in world.absences if absence.is_lost]
    assert 130 < len(lost) < 270 and 220 < len(world.absences) - len(lost) < 380
    assert all(0 <= absence.worker < 3 and absence.end_s > absence.begin_s for absence in world.absences)


def test_a_burst_is_over_after_it() -> None:
    settings = replace(STILL, bursts_per_hour=10, sudden=1.0)
    found = rates_of(settings, 1_000)
    assert max(max(rates) for rates in found) > 1.5 * max(found[0]) or found[0] != found[20]
    assert found[-1] == pytest.approx(rates_of(STILL, 1)[0])
