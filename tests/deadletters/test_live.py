"""Letters that a live run is asked to retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from scaleout.control.client import Control
from scaleout.control.messages import Retried
from scaleout.deadletters import Letter, NewLetter, Selection, Settlement, Store, retrying
from scaleout.deadletters.editing import NotEditedError
from scaleout.deadletters.live import InLiveRun


class FakeRun:
    """Stands in the place of a live run: marks letters in the store, but for those that it doesn't know."""

    def __init__(self, store: Store, dead: Sequence[int] = (), unknown: Sequence[int] = ()) -> None:
        self.store = store
        self.dead = dead
        self.unknown = unknown
        self.asked: list[tuple[list[int], dict[int, bytes], object]] = []

    def retry(self, ids: Sequence[int], edited: Mapping[int, bytes], store: Path) -> Retried:
        self.asked.append((list(ids), dict(edited), store))
        tried = [each for each in ids if each not in self.unknown]
        dead = [each for each in tried if each in self.dead]
        settlements = [
            Settlement(id=each, failed_in="process", reason="still poison")
            if each in dead
            else Settlement(id=each)
            for each in tried
        ]
        self.store.settle(settlements, 9)
        left = len(ids) - len(tried)
        return Retried(
            retried=len(tried),
            delivered=len(tried) - len(dead),
            dead=len(dead),
            left=left,
            problems=(f"{left} letters: no such endpoint",) if left else (),
        )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With five letters."""
    made = Store(tmp_path / "dead.db", create=True)
    made.add(
        [
            NewLetter(
                endpoint="a", stage="process", reason="poison", payload=b"%d" % n, is_text=True, received_at=n
            )
            for n in range(5)
        ],
        1,
    )
    return made


class Told:
    """What people were told of letters."""

    def __init__(self) -> None:
        self.letters: list[tuple[int, str]] = []

    def tell(self, letter: Letter, what: str) -> None:
        self.letters.append((letter.id, what))


def test_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAGE_LETTERS", 2)
    run, told = FakeRun(store), Told()
    live = InLiveRun(store, cast(Control, run), told.tell)
    live.retry(Selection())
    assert run.asked == [([1, 2], {}, store.path), ([3, 4], {}, store.path), ([5], {}, store.path)]
    assert (live.counts.delivered, live.counts.retried, live.counts.is_all_well) == (5, 5, True)
    assert told.letters == []


def test_those_that_are_dead_still_are_named(store: Store) -> None:
    run, told = FakeRun(store, dead=(2,), unknown=(3, 4)), Told()
    live = InLiveRun(store, cast(Control, run), told.tell)
    live.retry(Selection(ids=(1, 2, 3, 4)))
    assert told.letters == [
        (2, "dead again: still poison"),
        (3, "left as it was (2 letters: no such endpoint)"),
        (4, "left as it was (2 letters: no such endpoint)"),
    ]
    counts = live.counts
    assert (counts.delivered, counts.dead, counts.left, counts.is_all_well) == (1, 1, 2, False)


def test_edited_ones_go_one_by_one(store: Store) -> None:
    def edit(letter: Letter) -> bytes:
        if letter.id == 2:
            raise NotEditedError("unchanged")
        return letter.payload + b"!"

    run, told = FakeRun(store), Told()
    live = InLiveRun(store, cast(Control, run), told.tell, edit)
    live.retry(Selection(ids=(1, 2, 3)))
    assert run.asked == [([1], {1: b"0!"}, store.path), ([3], {3: b"2!"}, store.path)]
    assert (live.counts.delivered, live.counts.left) == (2, 1)
    assert told.letters == [(2, "unchanged: not retried")]
