"""What relieves a worker for the least: a move, an exchange, a handful for one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.board import Board, Subject
from scaleout.core.choosing import HANDFUL, Choice, Costs, choose

FREE = Costs(each=0.0, load=0.0, exchange=0.0)


def board_of(*workers: Sequence[float], apart: str | None = None) -> Board:
    loads = [(worker, load) for worker, its in enumerate(workers) for load in its]
    subjects = [
        Subject(slot, f"e{slot}", worker, load, apart=apart if worker else None)
        for slot, (worker, load) in enumerate(loads)
    ]
    return Board(subjects, range(len(workers)))


def loads_of(choice: Choice | None) -> tuple[float, list[float]]:
    assert choice is not None
    return choice.subject.load, [each.load for each in choice.back]


def test_what_fits_is_moved() -> None:
    assert loads_of(choose(board_of([60, 30, 20, 10], [80]), 0, Costs())) == (20, [])


def test_where_nothing_fits_two_are_exchanged() -> None:
    assert loads_of(choose(board_of([60, 60], [45, 45, 5]), 0, Costs(load=0.01))) == (60, [45])
    assert choose(board_of([60, 60], [45, 45, 5]), 0, Costs(load=0.01), back=0) is None


def test_a_handful_comes_back_where_it_may() -> None:
    board = board_of([60, 60], [10, 11, 12, 13, 50, 4])
    assert loads_of(choose(board, 0, Costs().over(8.0), back=7)) == (60, [50])
    board = board_of([60, 60], [10, 11, 12, 13, 9, 8, 7, 20])
    assert choose(board, 0, Costs().over(8.0), back=1) is None
    heavy, back = loads_of(choose(board, 0, Costs().over(8.0), back=7))
    assert heavy == 60 and 40 <= sum(back) < 60 and len(back) > 1


def test_a_handful_has_none_of_a_group() -> None:
    board = board_of([60, 60], [10, 11, 12, 13, 9, 8, 7, 20], apart="group")
    assert choose(board, 0, Costs().over(8.0), back=7) is None


def test_what_lasts_may_cost_more() -> None:
    board = board_of([60, 60], [58, 30, 27])
    assert choose(board, 0, Costs()) is None
    assert choose(board, 0, Costs().over(8.0)) is not None


LOADS = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=20)


@settings(max_examples=200)
@given(st.lists(LOADS, min_size=2, max_size=5), st.integers(0, HANDFUL), st.floats(0.0, 0.2))
def test_a_choice_relieves_its_worker_and_makes_no_other_one_worse_off(
    workers: list[list[float]], back: int, ahead: float
) -> None:
    board = board_of(*workers)
    source = max(range(len(workers)), key=board.excess)
    choice = choose(board, source, FREE, ahead, back=back)
    if choice is None:
        return
    assert len(choice.back) <= back
    assert len({each.slot for each in choice.back}) == len(choice.back)
    before = board.excess(source) + ahead
    board.move(choice.subject, source, choice.target)
    for each in choice.back:
        assert each.worker == choice.target
        board.move(each, choice.target, source)
    assert board.excess(source) + ahead < before
    assert board.excess(choice.target) < before
