"""Endpoints placed all at once: by load, with pins, groups and hosts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench.days.policies import place
from scaleout.core.board import Subject
from scaleout.core.filling import evacuate, place_all

WORKERS = st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True)


@st.composite
def some_subjects(draw: st.DrawFn, count: int = 40) -> list[Subject]:
    loads = draw(st.lists(st.floats(0.0, 1000.0), max_size=count))
    return [
        Subject(
            slot,
            f"e{slot}",
            draw(st.integers(0, 20)),
            load,
            host=draw(st.sampled_from(["", "a", "b"])),
            pinned=draw(st.sampled_from([None, None, None, 0, 3])),
            apart=draw(st.sampled_from([None, None, "x", "y"])),
        )
        for slot, load in enumerate(loads)
    ]


@given(some_subjects(), WORKERS)
def test_everyone_has_a_worker_and_pins_hold(subjects: list[Subject], workers: list[int]) -> None:
    placement = place_all(subjects, workers)
    assert placement.keys() == {each.slot for each in subjects}
    assert set(placement.values()) <= set(workers)
    assert all(placement[each.slot] == each.pinned for each in subjects if each.pinned in workers)


@given(some_subjects(), WORKERS)
def test_groups_are_as_far_apart_as_workers_allow(subjects: list[Subject], workers: list[int]) -> None:
    for each in subjects:
        each.pinned = None
    placement = place_all(subjects, workers)
    for group in ("x", "y"):
        members = [each.slot for each in subjects if each.apart == group]
        counts = Counter(placement[slot] for slot in members)
        assert max(counts.values(), default=0) <= -(-len(members) // len(workers))


@given(some_subjects(), WORKERS)
def test_hosts_cost_no_more_than_the_slack(subjects: list[Subject], workers: list[int]) -> None:
    for each in subjects:
        each.pinned = each.apart = None
    total = sum(each.load for each in subjects)
    largest = max((each.load for each in subjects), default=0.0)
    loads = dict.fromkeys(workers, 0.0)
    for slot, worker in place_all(subjects, workers).items():
        loads[worker] += subjects[slot].load
    spread = max(loads.values()) - min(loads.values())
    assert spread <= largest + 0.01 * total / len(workers) + 1e-6


@given(some_subjects(), WORKERS)
def test_without_hosts_pins_and_groups_it_is_the_greedy_rule(
    subjects: list[Subject], workers: list[int]
) -> None:
    for each in subjects:
        each.host, each.pinned, each.apart = "", None, None
    assert place_all(subjects, workers) == place({each.slot: each.load for each in subjects}, workers)


def test_endpoints_of_a_host_are_spread() -> None:
    subjects = [Subject(slot, "", 0, 1.0, host="ab"[slot // 4]) for slot in range(8)]
    placement = place_all(subjects, range(2))
    for host in "ab":
        counts = Counter(placement[each.slot] for each in subjects if each.host == host)
        assert counts == {0: 2, 1: 2}


def test_where_loads_are_nearly_alike_the_hosts_decide() -> None:
    subjects = [
        Subject(0, "", 0, 100.2, host="a"),
        Subject(1, "", 0, 100.0, host="b"),
        Subject(2, "", 0, 1.0, host="b"),
        Subject(3, "", 0, 90.0, host="b"),
    ]
    assert place_all(subjects[:3], range(2)) == {0: 0, 1: 1, 2: 0}
    assert place_all(subjects, range(2))[3] == 0


@given(some_subjects(), WORKERS, st.integers(0, 20))
def test_a_worker_that_retires_gives_all_away(
    subjects: list[Subject], workers: list[int], retiring: int
) -> None:
    moves = evacuate(subjects, retiring, workers)
    others = set(workers) - {retiring}
    mine = {each.slot for each in subjects if each.worker == retiring}
    assert {move.slot for move in moves} == (mine if others else set())
    for move in moves:
        assert move.source == retiring and move.target in others
        pin = subjects[move.slot].pinned
        assert pin not in others or move.target == pin
        assert "retires" in move.why


def test_what_is_given_away_goes_to_where_the_least_is() -> None:
    subjects = [
        Subject(0, "a", 0, 50.0),
        Subject(1, "b", 0, 10.0),
        Subject(2, "c", 1, 60.0),
        Subject(3, "d", 2, 20.0),
    ]
    assert [(move.slot, move.target) for move in evacuate(subjects, 0, [0, 1, 2])] == [(0, 2), (1, 1)]


def test_what_is_on_its_way_is_counted_where_it_goes_to() -> None:
    subjects = [Subject(0, "a", 0, 50.0, target=1), Subject(1, "b", 0, 10.0), Subject(2, "c", 2, 20.0)]
    assert [(move.slot, move.target) for move in evacuate(subjects, 0, [0, 1, 2])] == [(1, 2)]
    back = [Subject(0, "a", 1, 50.0, target=0)]
    assert evacuate(back, 0, [0, 1, 2]) == []
