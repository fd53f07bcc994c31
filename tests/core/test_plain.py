"""Plain entries: the words of a batch add up to what entries would."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.plain import WORDS, Sum, Sums, entries_in, received_in

LARGEST = 2**32 - 1
NOTHING = Sum(0, 0, 0, 0)

COUNT = st.integers(0, 9) | st.sampled_from([LARGEST, LARGEST - 1, 2**31])
ENTRY = st.tuples(
    st.integers(0, 5) | st.sampled_from([100, 3000]), st.builds(Sum, COUNT, COUNT, COUNT, COUNT)
)
Entries = list[tuple[int, Sum]]
ENTRIES: st.SearchStrategy[Entries] = st.lists(ENTRY, max_size=6)


def words_of(entries: Entries) -> bytes:
    """As a worker says it."""
    return array("I", [word for slot, each in entries for word in (slot, *each)]).tobytes()


def added(sums: Sequence[Sum]) -> Sum:
    return Sum(*map(sum, zip(*sums, strict=True))) if sums else NOTHING


def test_the_words_of_an_entry() -> None:
    plain = words_of([(7, Sum(4, 3, 1, 90))])
    assert len(plain) == 4 * WORDS
    assert list(entries_in(plain)) == [(7, Sum(received=4, delivered=3, filtered=1, bytes=90))]


@given(ENTRIES)
def test_entries_are_read_as_they_were_written(entries: Entries) -> None:
    plain = words_of(entries)
    assert list(entries_in(plain)) == entries
    assert received_in(plain) == sum(each.received for _, each in entries)


@given(st.lists(st.tuples(ENTRIES, st.booleans(), st.booleans()), max_size=6))
def test_sums_are_of_all_that_was_added(added_ones: list[tuple[Entries, bool, bool]]) -> None:
    sums = Sums()
    expected: dict[int, Sum] = {}
    for entries, is_news, is_outcome in added_ones:
        sums.add(words_of(entries), is_news, is_outcome)
        for slot, each in entries:
            news = (each.received, 0, 0, each.bytes) if is_news else NOTHING
            outcome = (0, each.delivered, each.filtered, 0) if is_outcome else NOTHING
            expected[slot] = added([expected.get(slot, NOTHING), Sum(*news), Sum(*outcome)])
    assert sums.slots() == sorted(slot for slot, each in expected.items() if each != NOTHING)
    for slot, each in expected.items():
        assert sums.take(slot) == each
    assert sums.slots() == []


def test_a_sum_that_was_taken_begins_anew() -> None:
    sums = Sums()
    sums.add(words_of([(1, Sum(4, 3, 1, 90)), (2, Sum(1, 1, 0, 5))]), True, True)
    assert sums.take(1) == Sum(4, 3, 1, 90)
    assert sums.take(1) == NOTHING
    sums.add(words_of([(1, Sum(2, 0, 0, 9))]), True, True)
    assert [sums.take(1), sums.take(2)] == [Sum(2, 0, 0, 9), Sum(1, 1, 0, 5)]


def test_of_an_endpoint_that_nothing_is_known_of() -> None:
    sums = Sums()
    assert sums.take(0) == sums.take(10**6) == NOTHING
    sums.add(b"", True, True)
    assert sums.slots() == []


def test_sums_outgrow_a_word() -> None:
    sums = Sums()
    for _ in range(3):
        sums.add(words_of([(0, Sum(LARGEST, LARGEST, LARGEST, LARGEST))]), True, True)
    assert sums.take(0) == Sum(*[3 * LARGEST] * 4)
