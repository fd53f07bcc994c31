"""What scaleout is measured against: the greedy rule."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bench.days.policies import place

WEIGHTS = st.dictionaries(st.integers(0, 500), st.floats(0.001, 1000), max_size=60)
WORKERS = st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True)


def loads(weights: dict[int, float], placement: dict[int, int], workers: list[int]) -> list[float]:
    return [sum(weights[slot] for slot, at in placement.items() if at == worker) for worker in workers]


@given(WEIGHTS, WORKERS)
def test_every_slot_has_one_of_the_workers(weights: dict[int, float], workers: list[int]) -> None:
    placement = place(weights, workers)
    assert placement.keys() == weights.keys()
    assert set(placement.values()) <= set(workers)


@given(WEIGHTS, WORKERS, st.randoms())
def test_the_order_of_the_input_does_not_matter(
    weights: dict[int, float], workers: list[int], rng: Random
) -> None:
    slots = list(weights)
    rng.shuffle(slots)
    assert place({slot: weights[slot] for slot in slots}, workers[::-1]) == place(weights, workers)


@given(st.integers(0, 200), st.floats(0.001, 1000), WORKERS)
def test_equal_weights_are_spread_evenly(count: int, weight: float, workers: list[int]) -> None:
    placement = place(dict.fromkeys(range(count), weight), workers)
    counts = Counter(placement.values())
    sizes = [counts[worker] for worker in workers]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(1, 20), min_size=1, max_size=7), st.integers(1, 3))
def test_the_largest_load_is_at_most_a_third_above_the_best_possible(sizes: list[int], count: int) -> None:
    weights = {slot: float(size) for slot, size in enumerate(sizes)}
    workers = list(range(count))
    best = min(
        max(loads(weights, dict(enumerate(placed)), workers))
        for placed in product(workers, repeat=len(sizes))
    )
    assert max(loads(weights, place(weights, workers), workers)) <= best * (4 / 3 - 1 / (3 * count)) + 1e-9


@given(WEIGHTS, WORKERS)
def test_workers_differ_by_no_more_than_one_endpoint(weights: dict[int, float], workers: list[int]) -> None:
    if weights:
        sizes = loads(weights, place(weights, workers), workers)
        assert max(sizes) - min(sizes) <= max(weights.values()) * (1 + 1e-9)


def test_heavy_endpoints_get_workers_of_their_own() -> None:
    assert place({0: 1, 1: 1, 2: 10, 3: 1, 4: 10}, [0, 1]) == {2: 0, 4: 1, 0: 0, 1: 1, 3: 0}


def test_nothing_to_place() -> None:
    assert place({}, [0]) == {}
