"""The windows of two connections: what leaves them, and what is known of it after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.frames import Kind
from scaleout.worker.handover import shadow as module
from scaleout.worker.handover.shadow import CONTEXT, Shadow, Tail
from scaleout.worker.identity import hashes_of


def messages(first: int, last: int) -> list[bytes]:
    return [b"message %d" % number for number in range(first, last)]


def hashes(first: int, last: int) -> list[int]:
    return hashes_of(messages(first, last))


def filled(count: int) -> Shadow:
    shadow = Shadow()
    for number in range(count):
        shadow.add(messages(number, number + 1), Kind.TEXT, number, float(number))
    return shadow


def left(shadow: Shadow) -> list[bytes]:
    assert shadow.bytes == sum(len(payload) for payload, _, _ in shadow.messages)
    own = list(shadow.hashes)[shadow.context :]
    payloads = [payload for payload, _, _ in shadow.messages]
    assert own == hashes_of(payloads)
    return payloads


def test_what_is_taken_leaves_context_behind() -> None:
    shadow = filled(100)
    assert shadow.take(10) == messages(0, 10)
    assert (shadow.context, left(shadow)) == (10, messages(10, 100))
    assert shadow.take(10) == []
    assert shadow.take(90) == messages(10, 90)
    assert (shadow.context, left(shadow)) == (CONTEXT, messages(90, 100))
    assert list(shadow.hashes) == hashes(90 - CONTEXT, 100)
    assert shadow.take_all() == messages(90, 100)
    assert shadow.take_all() == []
    assert shadow.total == 100


def test_single_messages_are_taken_out() -> None:
    shadow = filled(10)
    shadow.take(2)
    assert shadow.take_out([0, 3]) == [b"message 2", b"message 5"]
    assert left(shadow) == [b"message %d" % number for number in (3, 4, 6, 7, 8, 9)]
    assert shadow.context == 0
    assert shadow.take_older(7.0) == [b"message 3", b"message 4", b"message 6"]


@given(st.lists(st.sampled_from(["add", "take", "half", "out", "older"]), max_size=30), st.data())
def test_whatever_is_taken_nothing_is_forgotten_or_given_twice(steps: list[str], data: st.DataObject) -> None:
    shadow = Shadow()
    count, out = 0, []
    for step in steps:
        if step == "add":
            shadow.add(messages(count, count + 3), Kind.TEXT, 0, float(count))
            count += 3
        elif step == "take":
            out += shadow.take(data.draw(st.integers(0, len(shadow.hashes))))
        elif step == "half":
            before = len(shadow.messages)
            out += shadow.take_half()
            assert len(shadow.messages) == before // 2
        elif step == "out":
            indexes = st.sets(st.integers(0, len(shadow.messages) - 1)) if shadow.messages else st.just(set())
            out += shadow.take_out(sorted(data.draw(indexes)))
        else:
            than = data.draw(st.integers(0, 100))
            out += shadow.take_older(than)
            assert all(int(each.split()[1]) // 3 * 3 >= than for each in left(shadow))
    assert sorted([*out, *left(shadow)]) == sorted(messages(0, count))
    assert shadow.total == count


def test_a_shadow_knows_when_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHADOW", 5)
    shadow = filled(5)
    assert not shadow.is_too_large
    shadow.add(messages(5, 6), Kind.TEXT, 0, 0.0)
    assert shadow.is_too_large
    shadow.take_half()
    assert not shadow.is_too_large
    monkeypatch.setattr(module, "MAX_SHADOW_BYTES", 20)
    assert shadow.is_too_large


def test_a_tail_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TAIL", 10)
    tail = Tail()
    for number in range(50):
        tail.add(messages(number, number + 1), float(number))
        assert len(tail) == min(10, number + 1)
        assert list(tail.hashes) == hashes(max(0, number - 9), number + 1)


def test_a_tail_forgets() -> None:
    tail = Tail()
    for number in range(10):
        tail.add(messages(number, number + 1), float(number))
    tail.forget(2)
    tail.leave_out([0, 2])
    assert list(tail.hashes) == [hashes(0, 10)[index] for index in (3, 5, 6, 7, 8, 9)]
    tail.forget_older(6.0)
    assert list(tail.hashes) == hashes(6, 10)
    tail.forget(0)
    assert len(tail) == 4


def test_a_cut_is_short_and_holds_no_more_than_a_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHADOW_BYTES", 10)
    cut = module.Cut(100.0)
    cut.hold([b"12345", b"1234"], b"12345\n1234", Kind.TEXT, 1)
    assert not cut.is_over(100.0)
    assert cut.is_over(100.0 + module.LONGEST_CUT_S)
    cut.hold([b"1"], b"1", Kind.TEXT, 2)
    assert cut.is_over(100.0)
    assert [payloads for payloads, _, _, _ in cut.reads] == [[b"12345", b"1234"], [b"1"]]
