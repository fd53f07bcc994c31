"""Retrying dead letters in a live run: its processors, its sinks, its books."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.control.client import Control
from scaleout.control.messages import Retried
from scaleout.deadletters.letters import Letter, Selection, Status
from scaleout.deadletters.retrying import Edit, Retrying, Tell
from scaleout.deadletters.store import Store


class InLiveRun(Retrying):
    """Asks a live run to retry.

    Args:
        store: where the letters are; the run's own.
        control: the run.
        tell: told of letters that aren't done with.
        edit: changes payloads before they are tried; None: they are tried as they are.
    """

    def __init__(self, store: Store, control: Control, tell: Tell, edit: Edit | None = None) -> None:
        super().__init__(store, tell, edit)
        self._control = control

    def retry(self, selection: Selection) -> None:
        """Retry the letters that are meant, oldest first; not those that come meanwhile.

        Raises:
            ControlError: the run can't be reached, or refuses.
        """
        for page in self._pages(selection):
            letters = self._to_try(page)
            # Payloads of any size: each on its own way.
            for some in [letters] if self._edit is None else [[each] for each in letters]:
                if some:
                    self._ask(some)

    def _ask(self, letters: Sequence[tuple[Letter, bytes | None]]) -> None:
        edited = {letter.id: payload for letter, payload in letters if payload is not None}
        reply = self._control.retry([letter.id for letter, _ in letters], edited, self._store.path)
        self.counts.delivered += reply.delivered
        self.counts.filtered += reply.filtered
        self.counts.dead += reply.dead
        self.counts.left += reply.left
        if reply.dead or reply.left:
            self._explain([letter for letter, _ in letters], reply)

    def _explain(self, letters: Sequence[Letter], reply: Retried) -> None:
        """Tell of those that are dead still, and why."""
        attempts = {letter.id: letter.attempts for letter in letters}
        selection = Selection(ids=tuple(attempts), statuses=(Status.DEAD,))
        for letter in self._store.letters(selection, payload_bytes=0):
            if letter.attempts > attempts[letter.id]:
                self._tell(letter, f"dead again: {letter.reason}")
            else:
                self._tell(letter, f"left as it was ({'; '.join(reply.problems)})")
