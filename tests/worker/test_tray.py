"""Trays: what was done for an endpoint is said once and in full, in a few words where these are enough."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.ledger import Entry
from scaleout.core.marks import CursorMark
from scaleout.core.wire import Batch
from scaleout.worker.tray import Tray, take_all

FIELDS = Entry.__struct_fields__[1:]
LARGEST_WORD = 2**32 - 1
COUNTS = st.dictionaries(
    st.sampled_from(FIELDS), st.integers(0, 3) | st.sampled_from([LARGEST_WORD, LARGEST_WORD + 1]), max_size=5
)


def tray_of(slot: int, counts: dict[str, int]) -> Tray:
    return Tray(slot, **counts)


def said(trays: list[Tray]) -> list[Entry]:
    """What a batch with these trays says."""
    plain, entries = take_all(trays)
    return sorted(Batch(entries, plain=plain).all_entries, key=lambda entry: entry.slot)


@given(st.lists(COUNTS, max_size=6))
def test_all_that_is_in_the_trays_is_said_once(counts: list[dict[str, int]]) -> None:
    trays = [tray_of(slot, each) for slot, each in enumerate(counts)]
    assert said(trays) == [Entry(slot, **each) for slot, each in enumerate(counts)]
    assert said(trays) == [Entry(slot) for slot in range(len(counts))]


def test_a_few_words_are_enough_for_most() -> None:
    plain, entries = take_all(
        [Tray(3, 10, 7, 2, results=7, bytes=90), Tray(4), Tray(5, LARGEST_WORD, bytes=LARGEST_WORD)]
    )
    assert plain and entries == ()


@pytest.mark.parametrize(
    "counts",
    [
        *({field: 1} for field in FIELDS if field not in ("received", "filtered", "bytes")),
        {"delivered": 1, "results": 2},
        *(
            {field: LARGEST_WORD + 1, **({"results": LARGEST_WORD + 1} if field == "delivered" else {})}
            for field in ("received", "delivered", "filtered", "bytes")
        ),
    ],
    ids=str,
)
def test_what_they_do_not_say_has_an_entry(counts: dict[str, int]) -> None:
    plain, entries = take_all([tray_of(2, counts)])
    assert (plain, entries) == (b"", (Entry(2, **counts),))


def test_noting_and_settling() -> None:
    tray = Tray(1)
    tray.note(3, 100)
    tray.note(2, 50)
    tray.settle(4, 3)
    assert said([tray]) == [Entry(1, received=5, delivered=3, filtered=1, results=3, bytes=150)]


def take_entry(tray: Tray) -> None:
    tray.take()


def take_words(tray: Tray) -> None:
    take_all([tray])


@pytest.mark.parametrize("take", [take_entry, take_words])
def test_an_emptied_tray_is_closed_and_keeps_what_it_is_asked_for(take: Any) -> None:
    tray = Tray(1, received=1)
    tray.cursor = CursorMark(1, 7)
    tray.is_open = True
    tray.numbers = tray.tails = lambda: None
    take(tray)
    assert repr((tray.cursor, tray.is_open)) == "(None, False)"
    assert tray.numbers is not None and tray.tails is not None
    assert tray.slot == 1
