"""The number of workers follows the load: it comes to rest, and no load makes it swing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scaleout.config import Scaling
from scaleout.core.scaling import Autoscaler, Decision, WorkerLoad

Demand = Callable[[float], float]
"""How many cores the work would take at a time."""


class Fleet:
    """Workers that share a demand evenly, each up to a whole core, and change in number as they are told.

    Args:
        workers: at the beginning.
        scaling: how they change.
        cores: of the machine.
        endpoints: how many there are.
        change_s: how long a change takes; meanwhile nobody looks.
    """

    def __init__(
        self, workers: int, scaling: Scaling, cores: int = 64, endpoints: int = 1000, change_s: float = 0.0
    ) -> None:
        self.workers = workers
        self.scaler = Autoscaler(scaling, cores)
        self.endpoints = endpoints
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []
        self.decisions: list[Decision] = []
        self._change_s = change_s

    def run(self, demand: Demand, duration_s: float, every_s: float = 1.0) -> list[int]:
        """Go on for so long; the numbers of workers that there were one after the other."""
        until = self.now + duration_s
        while self.now < until:
            self.now += every_s
            share = min(1.0, demand(self.now) / self.workers)
            decision = self.scaler.look(self.now, [WorkerLoad(share)] * self.workers, self.endpoints)
            if decision is not None:
                assert decision.workers != self.workers
                self.workers = decision.workers
                self.changes.append((self.now, self.workers))
                self.decisions.append(decision)
                self.now += self._change_s
        return [workers for _, workers in self.changes]


def constant(cores: float) -> Demand:
    return lambda now: cores


def steps(*levels: tuple[float, float]) -> Demand:
    """From these times on, so many cores."""
    return lambda now: max((at, cores) for at, cores in levels if at <= now)[1]


def swings(sizes: Sequence[int]) -> int:
    """How often the direction of change turned."""
    ups = [after > before for before, after in pairwise(sizes)]
    return sum(one != other for one, other in pairwise(ups))


scalings = st.builds(
    lambda down, gap, least, more: Scaling(
        min=least, max=least + more, down_at=down, up_at=min(1.0, down + gap)
    ),
    st.floats(0.05, 0.9),
    st.floats(0.02, 0.9),
    st.integers(1, 4),
    st.integers(0, 20),
)
demands = st.floats(0, 30)


def test_a_worker_is_added_when_the_load_stays_high() -> None:
    fleet = Fleet(1, Scaling())
    assert fleet.run(constant(0.9), 60) == [2]
    ((at, _),) = fleet.changes
    assert at == 11  # five seconds of waiting, five of high load
    assert fleet.decisions[0].why == "1 worker uses 0.90 of a core: adding 1"


def test_several_are_added_at_once_far_above() -> None:
    fleet = Fleet(4, Scaling())
    assert fleet.run(constant(100), 12) == [8]
    assert fleet.decisions[0].why == "4 workers use 1.00 of a core each: adding 4"


def test_some_are_retired_when_the_load_stays_low() -> None:
    fleet = Fleet(8, Scaling())
    assert fleet.run(constant(0.8), 300) == [4, 2]
    (first, _), (second, _) = fleet.changes
    assert (first, second) == (36, 36 + 36)
    assert fleet.decisions[0].why == "8 workers use 0.10 of a core each: retiring 4"


def test_none_is_retired_where_fewer_would_be_nearly_full() -> None:
    assert Fleet(2, Scaling(up_at=0.5, down_at=0.3)).run(constant(0.46), 300) == []
    assert Fleet(2, Scaling(up_at=0.5, down_at=0.3)).run(constant(0.44), 300) == [1]


def test_a_tenfold_rise_and_fall_is_followed() -> None:
    fleet = Fleet(1, Scaling(max=8), change_s=2.0)
    demand = steps((0, 0.5), (60, 5.0), (160, 0.5))
    assert fleet.run(demand, 60) == []
    assert fleet.run(demand, 100) == [2, 4, 8]
    assert fleet.now - fleet.changes[-1][0] > 60, "it took longer than half a minute"
    assert fleet.run(demand, 200)[3:] == [5, 2, 1]


@given(scalings, st.integers(1, 24), demands)
def test_a_steady_load_comes_to_rest(scaling: Scaling, workers: int, cores: float) -> None:
    fleet = Fleet(workers, scaling)
    sizes = fleet.run(constant(cores), 600)
    assert fleet.now - max((at for at, _ in fleet.changes), default=0) > 200
    inside = sizes[1:] if not scaling.min <= workers <= (scaling.max or 0) else sizes
    assert swings(inside) <= 1
    assert scaling.min <= fleet.workers <= (scaling.max or 0)


@given(scalings, st.integers(1, 24), demands, demands)
def test_more_load_never_rests_with_fewer_workers(
    scaling: Scaling, workers: int, one: float, other: float
) -> None:
    rests = []
    for cores in sorted((one, other)):
        fleet = Fleet(workers, scaling)
        fleet.run(constant(cores), 600)
        rests.append(fleet.workers)
    assert rests == sorted(rests)


@given(
    scalings,
    st.integers(1, 24),
    st.lists(st.tuples(st.integers(1, 10), demands), min_size=1, max_size=3),
)
def test_a_load_that_repeats_comes_to_rest(
    scaling: Scaling, workers: int, cycle: list[tuple[int, float]]
) -> None:
    period = sum(length for length, _ in cycle)

    def demand(now: float) -> float:
        phase = now % period
        for length, cores in cycle:
            if phase < length:
                return cores
            phase -= length
        return cycle[-1][1]

    assume(period < scaling.down_after - 5)
    fleet = Fleet(workers, scaling)
    fleet.run(demand, 600)
    before = len(fleet.changes)
    fleet.run(demand, 600)
    assert len(fleet.changes) == before, fleet.changes
    assert swings([workers for _, workers in fleet.changes]) <= 2


@given(st.integers(1, 12), st.floats(0.5, 3.5), st.floats(2, 27), st.floats(0, 2), st.floats(0, 0.5))
def test_a_wave_shorter_than_the_patience_adds_none(
    workers: int, high_s: float, low_s: float, high: float, low: float
) -> None:
    fleet = Fleet(workers, Scaling(max=64))
    period = high_s + low_s
    sizes = fleet.run(lambda now: workers * (high if now % period < high_s else low), 300)
    assert sizes == sorted(sizes, reverse=True)
    assert not sizes or sizes[0] < workers


@given(st.integers(1, 8), st.integers(), st.floats(0.45, 0.6))
def test_noise_changes_nothing(workers: int, seed: int, level: float) -> None:
    random = Random(seed)
    fleet = Fleet(workers, Scaling(max=64))
    assert fleet.run(lambda now: workers * (level + random.uniform(-0.2, 0.2)), 600) == []


@given(st.integers(), st.floats(0, 0.3))
def test_a_noisy_load_that_is_too_high_is_followed_once(seed: int, noise: float) -> None:
    random = Random(seed)
    sizes = Fleet(2, Scaling(max=64)).run(lambda now: 1.9 * (1 + random.gauss(0, noise)), 900)
    assert sizes[0] in (3, 4)
    assert sizes == sorted(sizes) and len(sizes) <= 2


@given(st.floats(0.5, 20), st.lists(st.floats(0, 0.3), max_size=30))
def test_a_hot_endpoint_adds_no_workers_without_end(hot: float, others: list[float]) -> None:
    workers, weights = 1, [hot, *others]
    scaler = Autoscaler(Scaling(), cores=64)
    for now in range(600):
        loads = [0.0] * workers
        for weight in sorted(weights, reverse=True):
            loads[loads.index(min(loads))] += weight
        decision = scaler.look(now, [WorkerLoad(min(1.0, load)) for load in loads], len(weights))
        workers = decision.workers if decision is not None else workers
    assert workers <= min(len(weights), ceil((1.0 + sum(others)) / 0.55))


def test_more_workers_than_endpoints_are_not_wanted() -> None:
    fleet = Fleet(1, Scaling(), endpoints=3)
    assert fleet.run(constant(50), 300) == [2, 3]
    fleet.endpoints = 2
    assert fleet.run(constant(50), 30)[2:] == [2]
    assert fleet.decisions[-1].why == (
        "there are 2 endpoints, so that there are to be 2 at the most: retiring 1"
    )


def test_the_bounds_hold() -> None:
    assert Fleet(1, Scaling(min=3), endpoints=1).run(constant(0), 60) == [3]
    assert Fleet(1, Scaling(), cores=2).run(constant(50), 300) == [2]
    assert Fleet(1, Scaling(max=3), cores=2).run(constant(50), 300) == [2, 3]
    assert Fleet(5, Scaling(max=3)).run(constant(3), 300) == [3]


def test_a_loop_that_is_late_is_a_full_one() -> None:
    scaler = Autoscaler(Scaling(), cores=8)
    decisions = [scaler.look(now, [WorkerLoad(0.1, lag_s=0.6)], 5) for now in range(20)]
    (decision,) = filter(None, decisions)
    assert decision.workers == 2
    assert decision.why == "1 worker uses 1.00 of a core, late loops counted as busy ones: adding 1"


def test_a_lag_that_hardly_counts_is_not_told() -> None:
    scaler = Autoscaler(Scaling(), cores=8)
    decisions = [scaler.look(now, [WorkerLoad(0.9, 0.2), WorkerLoad(0.8, 0.45)], 5) for now in range(20)]
    (decision,) = filter(None, decisions)
    assert decision.why == "2 workers use 0.90 of a core each: adding 2"


def test_a_short_lag_is_nothing() -> None:
    fleet = Autoscaler(Scaling(), cores=8)
    for now in range(300):
        lag_s = 3.0 if now % 20 < 2 else 0.0
        assert fleet.look(now, [WorkerLoad(0.4, lag_s), WorkerLoad(0.4)], 5) is None


def test_nothing_is_concluded_from_a_time_in_which_nobody_looked() -> None:
    scaler = Autoscaler(Scaling(), cores=8)
    for now in (*range(9), *range(100, 109), *range(200, 209)):
        assert scaler.look(now, [WorkerLoad(1.0)], 5) is None
    assert [scaler.look(now, [WorkerLoad(1.0)], 5) for now in range(209, 212)][1] is not None


def test_a_change_that_was_not_made_is_wanted_again_after_a_pause() -> None:
    scaler = Autoscaler(Scaling(), cores=8)
    wanted = [now for now in range(60) if scaler.look(now, [WorkerLoad(1.0)], 5) is not None]
    assert wanted == [10, 20, 30, 40, 50]


def test_a_change_by_somebody_else_is_waited_out() -> None:
    scaler = Autoscaler(Scaling(), cores=8)
    for now in range(10):
        assert scaler.look(now, [WorkerLoad(1.0)], 5) is None
    assert [now for now in range(10, 40) if scaler.look(now, [WorkerLoad(1.0)] * 2, 5)] == [20, 30]


def test_times_are_as_configured() -> None:
    quick = Fleet(1, Scaling(up_after=0.5, down_after=2.0))
    quick.run(steps((0, 0.9), (5, 0.1)), 10, every_s=0.1)
    (up_at, up), (down_at, down) = quick.changes
    assert (up, down) == (2, 1)
    assert up_at == pytest.approx(1.1, abs=0.15)
    assert down_at == pytest.approx(7.1, abs=0.3)


def test_it_says_where_it_stands() -> None:
    fleet = Fleet(2, Scaling())
    fleet.run(constant(1.0), 3)
    assert repr(fleet.scaler) == "<Autoscaler: 1.00 cores, 2 workers>"
