"""A short day with all policies, and what is noted about it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.days.policies import POLICIES
from bench.days.simulation import Day, live
from bench.days.world import Settings, World

SHORT = Settings(
    endpoints=600,
    workers=6,
    hours=0.5,
    messages_per_s=30_000,
    losses_per_hour=8,
    restarts_per_hour=8,
    bursts_per_hour=2,
)


class Fixed:
    def __init__(self, where: list[int]) -> None:
        self.where = where
        self.planning_s: list[float] = []

    def plan(self, *_: object) -> None:
        raise AssertionError


def test_the_ratio_is_of_the_most_loaded_worker_to_the_mean_of_those_that_are_there() -> None:
    day = Day(Fixed([0, 0, 1, 2]))
    day.note_loads([1.0, 2.0, 1.0, 4.0], [0, 1], 3)
    assert day.ratios == [3.0 / 2.0]
    assert day.over_least == [3.0 / 2.0]
    day.note_loads([1.0, 8.0, 1.0, 4.0], [0, 1], 3)
    assert day.over_least[1] == 9.0 / 8.0


def test_what_is_moved_is_a_part_of_the_traffic() -> None:
    day = Day(Fixed([0, 1, 1]))
    day.note_moves([0, 0, 1], [5.0, 2.0, 3.0])
    day.note_moves([0, 1, 1], [5.0, 2.0, 3.0])
    assert day.moves == 1 and day.moved == pytest.approx(0.2)


def test_all_live_through_the_same_day() -> None:
    hours: list[int] = []
    together = live(SHORT, list(POLICIES), hours.append)
    alone = live(SHORT, ["round-robin"], hours.append)
    assert alone["round-robin"] == together["round-robin"]
    assert hours == []
    ours, greedy, static = (together[name] for name in ("scaleout", "greedy", "round-robin"))
    assert ours.median < static.median and ours.within > static.within
    assert 0 < ours.moved_per_hour < greedy.moved_per_hour / 10
    assert ours.planning_worst_s is not None and static.planning_worst_s is None
    for figures in together.values():
        assert (
            1.0
            <= figures.median
            <= figures.most
            <= figures.worst
            == max(hour.worst for hour in figures.hours)
        )
    assert static.moves_per_hour > 0 < together["rendezvous"].moves_per_hour


def test_a_steady_day_is_left_alone() -> None:
    steady = replace(
        SHORT,
        walk=0.0,
        swing=(0.0, 0.0),
        bursts_per_hour=0,
        crowds_per_hour=0,
        losses_per_hour=0,
        restarts_per_hour=0,
    )
    figures = live(steady, ["scaleout"], lambda hour: None)["scaleout"]
    assert figures.moves_per_hour == 0 and figures.within == 1.0


@pytest.mark.parametrize("name", POLICIES)
def test_the_endpoints_of_a_lost_worker_go_elsewhere(name: str) -> None:
    world = World(SHORT)
    policy = POLICIES[name](world)
    mine = {slot for slot, worker in enumerate(policy.where) if worker == 4}
    before = list(policy.where)
    policy.plan(20.0, [0] * SHORT.endpoints, [0, 1, 2, 3, 5], frozenset(mine))
    assert mine and 4 not in policy.where
    if name != "greedy":
        assert all(before[slot] == worker for slot, worker in enumerate(policy.where) if slot not in mine)
