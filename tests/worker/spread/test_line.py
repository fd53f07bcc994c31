"""The order of messages on their way through helpers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.ledger import Entry
from scaleout.core.spreadwire import Outcome, Portion
from scaleout.worker.spread.line import MAX_DEATHS, Batch, Line

SLOT = 4


def portion(*numbers: int) -> Portion:
    return Portion([b"%d" % number for number in numbers], True, 17)


def numbers_of(batch: Batch) -> list[int]:
    return [int(payload) for segment in batch.segments for each in segment for payload in each.payloads]


def answer(batch: Batch) -> None:
    for index, segment in enumerate(batch.segments):
        lines = b"".join(b"%b\n" % payload for each in segment for payload in each.payloads)
        batch.outcomes.append((Outcome(index, Entry(SLOT), len(lines)), (lines,)))
    batch.is_done = True


def book(line: Line, booked: list[object]) -> None:
    while (batch := line.done) is not None:
        for index, (_, lines) in enumerate(batch.outcomes):
            booked.extend(int(number) for part in lines for number in bytes(part).split())
            for action in batch.actions[index]:
                action()
        line.drop_first()


def form(line: Line, size: int) -> Batch:
    batch = line.form(size)
    assert batch is not None
    return batch


def test_reads_are_divided_where_that_is_allowed() -> None:
    line = Line(SLOT, are_portions_whole=False)
    line.add(portion(1, 2, 3, 4, 5))
    line.add(portion(6))
    assert [numbers_of(form(line, 2)) for _ in range(3)] == [[1, 2], [3, 4], [5, 6]]
    assert line.form(2) is None
    assert (line.messages, line.waiting, line.size_bytes) == (6, 0, 6)


def test_reads_stay_whole_for_a_batch_processor() -> None:
    line = Line(SLOT, are_portions_whole=True)
    for each in (portion(1, 2, 3), portion(4), portion(5, 6)):
        line.add(each)
    assert [numbers_of(form(line, 2)) for _ in range(2)] == [[1, 2, 3], [4, 5, 6]]


def test_nothing_is_booked_before_what_came_earlier() -> None:
    line = Line(SLOT, are_portions_whole=False)
    booked: list[object] = []
    line.add(portion(1, 2, 3))
    batches = [form(line, 1) for _ in range(3)]
    answer(batches[2])
    answer(batches[1])
    book(line, booked)
    assert booked == []
    answer(batches[0])
    book(line, booked)
    assert booked == [1, 2, 3]
    assert line.is_empty
    assert (line.messages, line.size_bytes) == (0, 0)


def test_a_batch_whose_process_died_is_given_again_message_by_message() -> None:
    line = Line(SLOT, are_portions_whole=False)
    line.add(portion(*range(6)))
    first, second = form(line, 4), form(line, 2)
    first.outcomes.append((Outcome(0, Entry(SLOT)), ()))
    line.give_back([first, second], "killed by SIGKILL")
    again = [form(line, 10) for _ in range(5)]
    assert list(map(numbers_of, again)) == [[0], [1], [2], [3], [4, 5]]
    assert [batch.deaths for batch in again] == [1, 1, 1, 1, 0]
    assert all(batch.outcomes == [] for batch in again)
    assert line.form(1) is None


def test_what_a_process_had_said_of_a_message_on_which_it_died_is_forgotten() -> None:
    line = Line(SLOT, are_portions_whole=False)
    booked: list[object] = []
    line.add(portion(1))
    batch = form(line, 1)
    batch.outcomes.append((Outcome(0, Entry(SLOT), 2), (b"1\n",)))
    line.give_back([batch], "killed by SIGKILL")
    answer(form(line, 1))
    book(line, booked)
    assert booked == [1]


def test_a_message_on_which_processes_die_again_and_again_is_a_dead_letter_alone() -> None:
    line = Line(SLOT, are_portions_whole=False)
    booked: list[object] = []
    line.add(portion(1, 2, 3))
    batch = form(line, 3)
    line.add_action(lambda: booked.append("behind"))
    line.give_back([batch], "exit code 1")
    one, two, three = (form(line, 3) for _ in range(3))
    answer(one)
    line.give_back([two, three], "exit code 1")
    assert line.form(1) is two
    line.give_back([two], "killed by SIGSEGV")
    assert line.form(1) is three
    assert line.form(1) is None
    answer(three)
    ((outcome, lines),) = two.outcomes
    (letter,) = outcome.dead_letters
    assert letter.payload == b"2"
    assert letter.reason == f"{MAX_DEATHS} processes died while they processed it: killed by SIGSEGV"
    assert (letter.slot, letter.stage, letter.is_text, letter.received_at) == (SLOT, "process", True, 17)
    assert (outcome.entry, lines) == (Entry(SLOT, dead_lettered=1), ())
    book(line, booked)
    assert booked == [1, 3, "behind"]
    assert line.is_empty


def test_a_whole_read_is_given_up_whole() -> None:
    line = Line(SLOT, are_portions_whole=True)
    line.add(portion(1, 2))
    for _ in range(MAX_DEATHS):
        line.give_back([form(line, 9)], "exit code 1")
    assert line.form(9) is None
    batch = line.done
    assert batch is not None
    assert [letter.payload for letter in batch.outcomes[0][0].dead_letters] == [b"1", b"2"]


def test_what_is_cut_off_is_dead() -> None:
    line = Line(SLOT, are_portions_whole=False)
    booked: list[object] = []
    line.add(portion(1, 2, 3, 4))
    batches = [form(line, 1), form(line, 1)]
    line.add_action(lambda: booked.append("last"))
    answer(batches[1])
    line.give_up("too late")
    dead = []
    while (batch := line.done) is not None:
        dead += [letter.payload for outcome, _ in batch.outcomes for letter in outcome.dead_letters]
        for actions in batch.actions:
            for action in actions:
                action()
        line.drop_first()
    assert dead == [b"1", b"3", b"4"]
    assert booked == ["last"]
    assert line.is_empty


def test_what_waits_can_be_taken_back_in_order() -> None:
    line = Line(SLOT, are_portions_whole=False)
    done: list[str] = []
    line.add(portion(1, 2))
    line.add_action(lambda: done.append("between"))
    line.add(portion(3))
    found: list[Any] = list(line.take_waiting())
    assert [found[0].payloads, found[2].payloads] == [[b"1", b"2"], [b"3"]]
    found[1]()
    assert done == ["between"]
    assert (line.messages, line.waiting, line.size_bytes, line.is_empty) == (0, 0, 0, True)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("act"), st.just(0)),
        st.tuples(st.just("form"), st.integers(1, 6)),
        st.tuples(st.just("answer"), st.integers(0, 9)),
        st.tuples(st.just("die"), st.integers(0, 9)),
    ),
    max_size=60,
)


@given(STEPS, st.booleans())
@settings(max_examples=300)
def test_everything_is_booked_once_and_in_order(steps: list[tuple[str, int]], whole: bool) -> None:
    line = Line(SLOT, are_portions_whole=whole)
    came: list[object] = []
    booked: list[object] = []
    given: list[Batch] = []
    marks = iter(range(-1, -1000, -1))
    numbers = iter(range(1_000_000))

    def mark(value: int) -> Callable[[], None]:
        return lambda: booked.append(value)

    for step, size in [*steps, *[("form", 9), ("answer", 0)] * 200]:
        if step == "add":
            chosen = [next(numbers) for _ in range(size)]
            came += chosen
            line.add(portion(*chosen))
        elif step == "act" and not line.is_empty:
            came.append(next(marks))
            line.add_action(mark(came[-1]))  # type: ignore[arg-type]
        elif step == "form" and (batch := line.form(size)) is not None:
            given.append(batch)
        elif step == "answer" and given:
            answer(given.pop(size % len(given)))
        elif step == "die" and given and given[size % len(given)].deaths < MAX_DEATHS - 1:
            line.give_back([given.pop(size % len(given))], "killed")
        book(line, booked)
    assert booked == came
    assert line.is_empty
    assert (line.messages, line.size_bytes, line.waiting) == (0, 0, 0)


@pytest.mark.parametrize("whole", [True, False])
def test_actions_divide_a_batch_into_segments(whole: bool) -> None:
    line = Line(SLOT, are_portions_whole=whole)
    booked: list[object] = []
    line.add(portion(1))
    line.add(portion(2))
    line.add_action(lambda: booked.append("a"))
    line.add_action(lambda: booked.append("b"))
    line.add(portion(3))
    line.add_action(lambda: booked.append("c"))
    batch = form(line, 10)
    line.add_action(lambda: booked.append("d"))
    assert [[each.payloads for each in segment] for segment in batch.work(0).segments] == [
        [[b"1"], [b"2"]],
        [[b"3"]],
    ]
    answer(batch)
    book(line, booked)
    assert booked == [1, 2, "a", "b", 3, "c", "d"]
