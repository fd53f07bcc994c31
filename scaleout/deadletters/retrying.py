"""What retries of dead letters have in common: which letters are tried, with what payload, and the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from scaleout.deadletters.editing import NotEditedError
from scaleout.deadletters.letters import Letter, Selection
from scaleout.deadletters.store import Store

PAGE_LETTERS = 100
"""Letters that are tried and marked together."""

Edit = Callable[[Letter], bytes]
"""Makes another payload of a letter's; raises `NotEditedError` where there is nothing to try."""

Tell = Callable[[Letter, str], None]
"""Told of each letter that isn't done with, and why."""


class RetryCounts(Struct, kw_only=True):
    """What retries have come to, in letters; `results` in lines."""

    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    results: int = 0
    left: int = 0
    """Not tried: the person in the editor left them as they are."""

    @property
    def retried(self) -> int:
        """All that were tried."""
        return self.delivered + self.filtered + self.dead

    @property
    def is_all_well(self) -> bool:
        """Whether none of them is dead still."""
        return not (self.dead or self.left)

    def equation(self) -> str:
        """The books, in words."""
        sums = f"{self.delivered:,} delivered + {self.filtered:,} filtered + {self.dead:,} dead again"
        return f"{self.retried:,} retried = {sums}"


class Retrying:
    """Retries letters of a store; subclasses say how.

    Args:
        store: where the letters are.
        tell: told of letters that aren't done with.
        edit: changes payloads before they are tried; None: they are tried as they are.
    """

    def __init__(self, store: Store, tell: Tell, edit: Edit | None = None) -> None:
        self.counts = RetryCounts()
        """So far: letters that are marked."""
        self._store = store
        self._tell = tell
        self._edit = edit

    def retry(self, selection: Selection) -> None:
        """Retry the letters that are meant, oldest first; not those that come meanwhile."""
        raise NotImplementedError

    def _pages(self, selection: Selection) -> Iterator[list[Letter]]:
        after, last = 0, self._store.last_id()
        while page := self._store.page(selection, after=after, count=PAGE_LETTERS):
            after = page[-1].id
            yield [letter for letter in page if letter.id <= last]
            if after > last:
                break

    def _to_try(self, page: Sequence[Letter]) -> list[tuple[Letter, bytes | None]]:
        """The letters that are to be tried, and what a person has made of their payloads."""
        if self._edit is None:
            return [(letter, None) for letter in page]
        letters: list[tuple[Letter, bytes | None]] = []
        for letter in page:
            try:
                letters.append((letter, self._edit(letter)))
            except NotEditedError as exc:
                self.counts.left += 1
                self._tell(letter, f"{exc}: not retried")
        return letters
