"""The planner on a run in miniature: counts with Poisson's noise, rates, plans, and moves that take two seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.board import Move, Subject
from scaleout.core.filling import place_all
from scaleout.core.placement import Limits, Planner
from scaleout.core.rates import Rates


def zipf(count: int, exponent: float = 1.2, total: float = 10_000.0) -> list[float]:
    weights = [rank**-exponent for rank in range(1, count + 1)]
    return [weight / sum(weights) * total for weight in weights]


def subjects_of(loads: Sequence[float], where: Sequence[int]) -> list[Subject]:
    return [
        Subject(slot, f"e{slot}", worker, load)
        for slot, (load, worker) in enumerate(zip(loads, where, strict=True))
    ]


def balanced(loads: Sequence[float], workers: int) -> list[int]:
    placement = place_all(subjects_of(loads, [0] * len(loads)), range(workers))
    return [placement[slot] for slot in range(len(loads))]


class Run:
    """A look and a plan every second."""

    MOVE_S = 2.0

    def __init__(
        self, where: Sequence[int], workers: int, seed: int = 0, limits: Limits | None = None
    ) -> None:
        self.rng = Random(seed)
        self.workers = range(workers)
        self.rates, self.planner = Rates(), Planner(limits)
        self.subjects = subjects_of([0.0] * len(where), where)
        self.counts = [0] * len(where)
        self.now = 0.0
        self.running: dict[int, tuple[Move, float]] = {}
        self.moves: list[tuple[float, Move]] = []

    def go(self, seconds: int, rates: Callable[[float], Sequence[float]]) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for slot, rate in enumerate(rates(self.now)):
                self.counts[slot] += max(round(self.rng.gauss(rate, math.sqrt(rate))), 0)
            self.rates.look(self.now, {slot: (count, 0, 0) for slot, count in enumerate(self.counts)})
            self.finish()
            for subject in self.subjects:
                subject.load = self.rates.load(subject.slot).messages
                subject.movable = subject.slot not in self.running
            for move in self.planner.plan(self.now, self.subjects, self.workers, len(self.running)):
                self.running[move.slot] = move, self.now + self.MOVE_S
                self.moves.append((self.now, move))

    def finish(self) -> None:
        for move, end in list(self.running.values()):
            if self.now >= end:
                del self.running[move.slot]
                self.subjects[move.slot].worker = move.target
                self.planner.note_moved(move.slot, self.now)

    def ratio(self, rates: Sequence[float]) -> float:
        loads = dict.fromkeys(self.workers, 0.0)
        for subject in self.subjects:
            loads[subject.worker] += rates[subject.slot]
        return max(loads.values()) / sum(rates) * len(loads)


def fewest_moves(loads: Sequence[float], where: Sequence[int], goal: float) -> int:
    """Of all plans for two workers, the one with the fewest moves."""
    heavy = sorted(range(len(loads)), key=lambda slot: -loads[slot])[:16]
    for count in range(len(heavy)):
        for moved in combinations(heavy, count):
            there = [1 - worker if slot in moved else worker for slot, worker in enumerate(where)]
            first = sum(load for load, worker in zip(loads, there, strict=True) if worker == 0)
            if max(first, sum(loads) - first) * 2 / sum(loads) <= goal:
                return count
    raise AssertionError


@pytest.mark.parametrize("hot", [4, 8, 24, 48])
def test_from_the_worst_start_it_balances_soon_with_few_moves_and_then_rests(hot: int) -> None:
    loads = zipf(48)
    where = [0 if slot < hot else 1 for slot in range(48)]
    run = Run(where, 2)
    run.go(15, lambda now: loads)
    assert run.ratio(loads) <= 1.10
    moved = len(run.moves)
    assert 0 < moved <= 2 * fewest_moves(loads, where, 1.10)
    run.go(300, lambda now: loads)
    assert len(run.moves) == moved


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_rates_moves_nothing(seed: int) -> None:
    loads = zipf(48, total=2_000.0)
    run = Run(balanced(loads, 4), 4, seed)
    run.go(600, lambda now: loads)
    assert run.moves == []


@pytest.mark.parametrize("seed", range(3))
def test_endpoints_that_jump_by_a_third_each_second_move_nothing(seed: int) -> None:
    loads, rng = zipf(48), Random(seed)
    run = Run(balanced(loads, 2), 2, seed)
    run.go(600, lambda now: [load * rng.uniform(0.7, 1.3) for load in loads])
    assert run.moves == []


@pytest.mark.parametrize("seed", range(3))
def test_endpoints_that_swing_by_a_third_within_a_minute_move_nothing(seed: int) -> None:
    loads, rng = zipf(48), Random(seed)
    waves = [(rng.uniform(5, 60), rng.uniform(0, math.tau)) for _ in loads]

    def rates(now: float) -> list[float]:
        return [
            load * (1 + 0.3 * math.sin(math.tau * now / period + phase))
            for load, (period, phase) in zip(loads, waves, strict=True)
        ]

    run = Run(balanced(loads, 2), 2, seed)
    run.go(600, rates)
    assert run.moves == []


def test_a_shift_is_followed_within_seconds() -> None:
    loads = zipf(48)
    run = Run(balanced(loads, 2), 2)
    run.go(120, lambda now: loads)
    shifted = [load * (6 if slot == 4 else 1) for slot, load in enumerate(loads)]
    assert run.ratio(shifted) > 1.15
    run.go(15, lambda now: shifted)
    assert run.ratio(shifted) <= 1.10
    run.go(285, lambda now: shifted)
    assert run.ratio(shifted) <= 1.05 and len(run.moves) <= 4


def test_an_endpoint_that_fills_a_worker_is_left_there_alone() -> None:
    loads = [10_000.0, *([300.0] * 10)]
    run = Run([0, *([0] * 5), *([1] * 5)], 3)
    run.go(300, lambda now: loads)
    assert all(move.slot != 0 for _, move in run.moves)
    assert [subject.slot for subject in run.subjects if subject.worker == 0] == [0]
    others = [subject.worker for subject in run.subjects if subject.worker != 0]
    assert sorted([others.count(1), others.count(2)]) == [5, 5]


def test_a_worker_with_nothing_light_to_give_gets_a_handful_for_a_heavy_one_once_it_has_had_too_much_for_long() -> (
    None
):
    light = [10.0 * (1 + part % 20) for part in range(80)]
    where = balanced(light, 5)
    share = sum(light) / 5
    loads = [*light, 0.56 * share, 0.56 * share]
    run = Run([*where, 5, 5], 6)
    run.go(60, lambda now: loads)
    assert not any(move.slot >= 80 for _, move in run.moves), "that costs too much for a moment"
    assert run.ratio(loads) > 1.05
    run.go(1_200, lambda now: loads)
    assert run.ratio(loads) <= 1.05
    moved = len(run.moves)
    run.go(600, lambda now: loads)
    assert len(run.moves) == moved


def test_two_that_would_each_fill_a_worker_part() -> None:
    loads = [5_000.0, 5_000.0, 10.0, 10.0]
    run = Run([0, 0, 1, 1], 2)
    run.go(60, lambda now: loads)
    assert run.subjects[0].worker != run.subjects[1].worker


LOADS = st.lists(st.floats(0.1, 1000.0), min_size=1, max_size=30)


@settings(max_examples=50)
@given(LOADS, st.integers(2, 6), st.integers(0, 2**32))
def test_steady_loads_come_to_rest_and_no_step_makes_it_worse(
    loads: list[float], workers: int, seed: int
) -> None:
    rng = Random(seed)
    subjects = subjects_of(loads, [rng.randrange(workers) for _ in loads])
    planner = Planner(Limits(cooldown_s=1.0, per_minute=10_000))
    at_rest = 0
    highest = max(worker_loads(subjects, workers))
    for now in range(2_000):
        moves = planner.plan(float(now), subjects, range(workers), 0)
        for move in moves:
            assert subjects[move.slot].worker == move.source != move.target
            subjects[move.slot].worker = move.target
            planner.note_moved(move.slot, float(now))
        assert max(worker_loads(subjects, workers)) <= highest * (1 + 1e-9)
        highest = max(worker_loads(subjects, workers))
        at_rest = 0 if moves else at_rest + 1
        if at_rest > 120:
            return
    raise AssertionError("it never comes to rest")


def worker_loads(subjects: Sequence[Subject], workers: int) -> list[float]:
    loads = [0.0] * workers
    for subject in subjects:
        loads[subject.worker] += subject.load
    return loads


def until_moves(
    planner: Planner, subjects: Sequence[Subject], workers: int, seconds: int = 120
) -> list[Move]:
    """The first moves of all looks at something that stays as it is."""
    for now in range(seconds):
        if moves := planner.plan(float(now), subjects, range(workers), 0):
            return moves
    return []


def test_a_move_says_why() -> None:
    subjects = [Subject(0, "btc", 0, 12_400.0), Subject(1, "eth", 0, 12_000.0), Subject(2, "ada", 1, 600.0)]
    assert [move.why for move in until_moves(Planner(), subjects, 2)] == [
        "eth (12,000 messages/s) from worker 0 to 1: worker 0 carries 1.95 of the mean, then 0.99"
    ]


def test_what_no_single_move_balances_is_exchanged() -> None:
    subjects = subjects_of([60.0, 60.0, 40.0, 40.0], [0, 0, 1, 1])
    there, back = until_moves(Planner(), subjects, 2)
    assert (there.source, there.target, back.source, back.target) == (0, 1, 1, 0)
    assert there.slot in (0, 1) and back.slot in (2, 3)
    assert "in exchange for" in back.why
    assert until_moves(Planner(Limits(at_once=1)), subjects, 2) == []


def test_pinned_endpoints_go_to_their_worker_and_stay() -> None:
    subjects = subjects_of([90.0, 80.0, 5.0, 5.0], [0, 0, 1, 1])
    subjects[0].pinned = subjects[1].pinned = 0
    subjects[2].pinned = 0
    planner = Planner()
    moves = until_moves(planner, subjects, 2)
    assert [(move.slot, move.target) for move in moves] == [(2, 0)]
    assert moves[0].why.endswith("it is pinned there")
    subjects[2].worker = 0
    assert until_moves(planner, subjects, 2) == []


@pytest.mark.parametrize("count", [6, 12, 48])
def test_what_is_no_longer_pinned_is_balanced_and_not_beyond(count: int) -> None:
    loads = zipf(count, 0.5)
    run = Run([0] * count, 2)
    for subject in run.subjects:
        subject.pinned = 0
    run.go(60, lambda now: loads)
    assert run.moves == []
    for subject in run.subjects:
        subject.pinned = None
    run.go(15, lambda now: loads)
    assert run.ratio(loads) <= 1.10
    assert len(run.moves) <= 2 * fewest_moves(loads, [0] * count, 1.10)


def test_a_pin_to_a_worker_that_is_not_there_has_no_effect() -> None:
    subjects = subjects_of([90.0, 80.0], [0, 0])
    subjects[0].pinned = subjects[1].pinned = 7
    assert len(until_moves(Planner(), subjects, 2)) == 1


def test_those_of_a_group_are_kept_apart() -> None:
    subjects = subjects_of([50.0, 50.0, 1.0], [0, 1, 0])
    subjects[0].apart = subjects[2].apart = "pair"
    moves = until_moves(Planner(), subjects, 2)
    assert [(move.slot, move.target) for move in moves] == [(2, 1)]
    assert moves[0].why.endswith("away from others of pair")
    heavy = subjects_of([50.0, 40.0, 10.0], [0, 0, 1])
    heavy[1].apart = heavy[2].apart = "pair"
    assert [move.slot for move in until_moves(Planner(), heavy, 2)] != [1]


def test_what_cannot_be_moved_is_not() -> None:
    subjects = subjects_of([50.0, 50.0], [0, 0])
    for subject in subjects:
        subject.movable = False
    assert until_moves(Planner(), subjects, 2) == []


def test_moves_are_bounded_at_once_and_by_the_minute() -> None:
    subjects = subjects_of([1.0] * 200, [0] * 200)
    planner = Planner(Limits(at_once=3, per_minute=10))
    made: list[int] = []
    for now in range(60):
        moves = planner.plan(float(now), subjects, range(2), 1)
        assert len(moves) <= 2
        made += [move.slot for move in moves]
        for move in moves:
            subjects[move.slot].worker = 1
            planner.note_moved(move.slot, float(now))
    assert len(made) == 10


def test_a_move_that_is_underway_counts_where_it_goes_to() -> None:
    subjects = subjects_of([50.0, 50.0], [0, 0])
    planner = Planner()
    assert len(until_moves(planner, subjects, 2)) == 1
    assert until_moves(planner, subjects, 2, seconds=50) == []


@pytest.mark.parametrize("note", [Planner.note_failed, Planner.note_uncertain])
def test_an_endpoint_that_does_not_move_well_is_tried_ever_more_rarely(
    note: Callable[[Planner, int, float], None],
) -> None:
    planner = Planner(Limits(cooldown_s=10.0, longest_cooldown_s=60.0))
    pauses = []
    for _ in range(5):
        note(planner, 0, 0.0)
        pauses.append(next(now for now in range(1_000) if not planner.is_cooling(0, float(now))))
    assert pauses == [20, 40, 60, 60, 60]
    planner.note_moved(0, 0.0)
    assert not planner.is_cooling(0, 10.0)


def test_hosts_decide_between_what_is_alike() -> None:
    subjects = subjects_of([10.0] * 6, [0, 0, 0, 0, 1, 2])
    for subject, host in zip(subjects, ["a", "a", "a", "b", "a", "b"], strict=True):
        subject.host = host
    moves = until_moves(Planner(), subjects, 3)
    assert moves[0].target == 2 and subjects[moves[0].slot].host == "a"


def test_nothing_to_plan() -> None:
    assert Planner().plan(0.0, [], [], 0) == []
    assert until_moves(Planner(), [], 3) == []
    assert until_moves(Planner(), subjects_of([0.0, 0.0], [0, 0]), 2) == []


def test_an_endpoint_stays_a_while_where_it_has_been_moved() -> None:
    subjects = subjects_of([50.0, 50.0], [0, 0])
    planner = Planner(Limits(cooldown_s=300.0))
    for subject in subjects:
        planner.note_moved(subject.slot, 0.0)
    moved = next(now for now in range(600) if planner.plan(float(now), subjects, range(2), 0))
    assert moved == 300


def test_what_little_is_left_after_a_move_has_to_last() -> None:
    subjects = subjects_of([100.0, 22.0, 4.0, 4.0, 80.0], [0, 0, 0, 0, 1])
    planner = Planner()
    assert [move.slot for move in until_moves(planner, subjects, 2)] == [1]
    subjects[1].worker = 1
    assert until_moves(planner, subjects, 2, seconds=5) == []


def test_what_went_wrong_is_forgiven_after_the_longest_cooldown() -> None:
    planner = Planner(Limits(cooldown_s=10.0, longest_cooldown_s=100.0))
    planner.note_failed(0, 0.0)
    planner.plan(119.0, [], [0], 0)
    planner.note_failed(0, 119.0)
    assert planner.is_cooling(0, 150.0) and not planner.is_cooling(0, 159.0)
    planner.plan(259.0, [], [0], 0)
    planner.note_failed(0, 260.0)
    assert planner.is_cooling(0, 279.0) and not planner.is_cooling(0, 280.0)
