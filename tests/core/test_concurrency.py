"""Concurrency is as high as helps and no higher, seen on simulated servers with a clock of their own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.concurrency import FORGET_S, LONGEST_REST, REST_S, START, ConcurrencyLimit, Phase

Server = Callable[[float, int, Random], float]
"""When a call ends, by the time it begins at, and the number of calls there are then."""


class Load:
    """A queue that never ends, worked off by as many calls as the limit allows.

    Args:
        timeout_s: longer calls are given up.
    """

    def __init__(
        self, limit: ConcurrencyLimit, server: Server, seed: int = 1, timeout_s: float = float("inf")
    ) -> None:
        self.limit = limit
        self.server = server
        self.timeout_s = timeout_s
        self.now = 0.0
        self.begun = 0
        self.history = [(0.0, limit.limit)]
        self._rng = Random(seed)
        self._under_way: list[tuple[float, int, float]] = []

    def run(self, duration_s: float) -> float:
        """Go on for so long; calls that came to an end of their own, a second."""
        done, until = 0, self.now + duration_s
        while self.now < until:
            while len(self._under_way) < self.limit.limit:
                ends_at = self.server(self.now, len(self._under_way) + 1, self._rng)
                self.begun += 1
                ends_at = min(ends_at, self.now + self.timeout_s)
                heapq.heappush(self._under_way, (ends_at, self.begun, self.now))
            self.now = self._under_way[0][0]
            ended: list[float] = []
            given_up: list[float] = []
            while self._under_way and self._under_way[0][0] <= self.now:
                _, _, began = heapq.heappop(self._under_way)
                (given_up if self.now - began >= self.timeout_s else ended).append(began)
            done += len(ended)
            self.limit.observe(self.now, True, self.begun, ended, given_up)
            if self.limit.limit != self.history[-1][1]:
                self.history.append((self.now, self.limit.limit))
        return done / duration_s

    def rest(self, duration_s: float) -> None:
        """Let the calls under way end, and nothing wait, for so long."""
        self.now += duration_s
        ended = [began for _, _, began in self._under_way]
        self._under_way.clear()
        self.limit.observe(self.now, False, self.begun, ended)

    def mean_limit(self, since: float) -> float:
        """The mean limit from a time on."""
        steps = [*self.history, (self.now, 0)]
        total = 0.0
        for (start, limit), (stop, _) in pairwise(steps):
            total += limit * max(0.0, stop - max(start, since))
        return total / (self.now - since)


def scaling(latency_s: float) -> Server:
    return lambda now, calls, rng: now + latency_s


def scattered(latency_s: float) -> Server:
    """The same latency in the mean, but some calls take ten times as long."""
    return lambda now, calls, rng: now + latency_s * rng.lognormvariate(-0.5, 1)


def shared(latency_s: float, capacity: int) -> Server:
    """The latency is in proportion to the calls under way, above a capacity."""
    return lambda now, calls, rng: now + latency_s * max(1.0, calls / capacity)


def thrashing(latency_s: float) -> Server:
    """Ever slower: the throughput is largest at 22 calls."""
    return lambda now, calls, rng: now + latency_s * (1 + 0.02 * calls + 0.002 * calls * calls)


def slots(count: int, draw: Callable[[Random], float]) -> Server:
    """A server that does `count` calls at a time, and lets the others wait."""
    free_at = [0.0] * count

    def serve(now: float, calls: int, rng: Random) -> float:
        first = min(range(count), key=free_at.__getitem__)
        free_at[first] = max(now, free_at[first]) + draw(rng)
        return free_at[first]

    return serve


@pytest.mark.parametrize("maximum", [1, 3, START, 40, 100, 1000])
def test_calls_that_only_wait_reach_the_maximum_soon(maximum: int) -> None:
    load = Load(ConcurrencyLimit(maximum), scaling(0.05))
    load.run(0.5)
    assert load.limit.limit == maximum
    assert maximum > 100 or load.history[-1][0] <= 0.4
    assert load.run(60) >= 0.97 * maximum / 0.05


@pytest.mark.parametrize("seed", range(5))
def test_scattered_latencies_do_not_hold_it_back(seed: int) -> None:
    load = Load(ConcurrencyLimit(100), scattered(0.05), seed)
    load.run(10)
    assert load.run(50) >= 0.9 * 100 / 0.05
    assert load.mean_limit(10) > 90


@pytest.mark.parametrize(
    "make",
    [
        lambda: shared(0.05, 4),
        lambda: slots(4, lambda rng: 0.05),
        lambda: slots(4, lambda rng: rng.uniform(0.02, 0.08)),
        lambda: slots(4, lambda rng: rng.expovariate(20)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_server_of_four_slots_gets_few_more_calls(make: Callable[[], Server], seed: int) -> None:
    load = Load(ConcurrencyLimit(100), make(), seed)
    rate = load.run(60)
    assert rate >= 0.9 * 4 / 0.05
    assert 3 <= load.mean_limit(30) <= 12
    assert max(limit for at, limit in load.history if at > 30) <= 2 * START


def test_a_server_that_takes_one_call_at_a_time_gets_one() -> None:
    load = Load(ConcurrencyLimit(100), slots(1, lambda rng: 0.01))
    assert load.run(30) >= 0.99 / 0.01
    assert load.mean_limit(10) < 1.2


def test_a_larger_knee_is_found_too() -> None:
    load = Load(ConcurrencyLimit(100), shared(0.05, 40))
    assert load.run(30) >= 0.95 * 40 / 0.05
    assert 40 <= load.mean_limit(5) <= 60


def test_thrashing_is_avoided() -> None:
    load = Load(ConcurrencyLimit(100), thrashing(0.05))
    best = 22 / (0.05 * (1 + 0.02 * 22 + 0.002 * 22 * 22))
    assert load.run(30) >= 0.9 * best
    assert load.mean_limit(10) < 30


@pytest.mark.parametrize("server", [scaling(0.05), shared(0.05, 4), shared(0.05, 40)])
def test_it_does_not_oscillate(server: Server) -> None:
    load = Load(ConcurrencyLimit(100), server)
    load.run(20)
    changes = len(load.history)
    load.run(200)
    # A trial, and the way back, a few times a minute at the most.
    assert len(load.history) - changes <= 2 * 200 / (REST_S * LONGEST_REST) * 2


def test_it_follows_a_server_that_loses_and_regains_its_capacity() -> None:
    capacity = [100]
    load = Load(
        ConcurrencyLimit(100), lambda now, calls, rng: now + 0.05 * max(1.0, calls / capacity[0]), seed=1
    )
    load.run(10)
    assert load.limit.limit == 100
    capacity[0] = 4
    load.run(40)
    assert load.mean_limit(30) <= 8
    capacity[0] = 100
    assert load.run(60) >= 0.5 * 100 / 0.05
    assert load.limit.limit >= 75


@pytest.mark.parametrize("pause_s", [0.01, FORGET_S / 2, 10 * FORGET_S])
def test_idle_times_do_not_shrink_it(pause_s: float) -> None:
    load = Load(ConcurrencyLimit(100), scaling(0.05))
    load.run(5)
    assert load.limit.limit == 100
    for _ in range(20):
        load.rest(pause_s)
        load.run(0.2)
        assert load.limit.limit >= 75


def test_without_a_queue_nothing_changes() -> None:
    limit = ConcurrencyLimit(100)
    for step in range(1000):
        limit.observe(step * 0.01, False, step + 1, [step * 0.01 - 5.0])
    assert limit.limit == START


def test_quick_calls_are_not_held_back_by_what_they_cost_the_loop() -> None:
    load = Load(ConcurrencyLimit(100), lambda now, calls, rng: now + 20e-6 * calls)
    load.run(1)
    assert load.limit.limit == 100


def test_calls_that_are_given_up_are_no_throughput() -> None:
    load = Load(ConcurrencyLimit(100), slots(4, lambda rng: 0.05), timeout_s=0.3)
    rate = load.run(60)
    assert load.mean_limit(30) <= 20
    assert rate >= 0.9 * 4 / 0.05


def test_a_server_that_never_answers_does_not_get_more() -> None:
    load = Load(ConcurrencyLimit(100), scaling(1e9), timeout_s=1.0)
    load.run(100)
    assert load.limit.limit <= START


def test_it_says_what_it_is() -> None:
    limit = ConcurrencyLimit(100)
    assert limit.phase is Phase.CLIMBING
    assert repr(limit) == "<ConcurrencyLimit 10 of 100, climbing>"


@given(
    st.integers(1, 50),
    st.lists(
        st.tuples(
            st.floats(0, 20),
            st.booleans(),
            st.lists(st.floats(0, 10), max_size=30),
            st.lists(st.floats(0, 10), max_size=5),
        ),
        max_size=60,
    ),
)
def test_whatever_is_observed_it_stays_within_its_bounds(
    maximum: int, observations: list[tuple[float, bool, list[float], list[float]]]
) -> None:
    limit = ConcurrencyLimit(maximum)
    now, begun = 0.0, 0
    for pause_s, is_queuing, ended, given_up in observations:
        now += pause_s
        begun += len(ended) + len(given_up) + 1
        limit.observe(now, is_queuing, begun, [now - age for age in ended], [now - age for age in given_up])
        assert 1 <= limit.limit <= maximum
