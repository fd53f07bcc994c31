"""Dead letters that are tried again in the live run: read from the store, sent to workers, marked when written.

The results of a letter are in every sink before it is marked. A run that is killed in between leaves it dead
with its results written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from scaleout.config import Config
from scaleout.control.messages import MAX_IDS, Retried, Retry
from scaleout.core.wire import Batch, LetterToTry, TriedLetter, TryLetters
from scaleout.deadletters import Letter, Selection, Settlement, Status, Store
from scaleout.errors import ControlError, SinkError
from scaleout.hints import did_you_mean
from scaleout.monitor.text import plural
from scaleout.secrets import Redactor
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions

OUTCOMES_WITHIN_S = 60.0
"""How long a request waits; what comes later is written and marked all the same."""
PAGE_LETTERS = 100
"""Letters that are tried together."""

_log = logging.getLogger("scaleout.deadletters")

Outcome = TriedLetter | str
"""What a trial has come to; in words, why it has come to nothing."""


class _Trial:
    """A letter that is being tried.

    Args:
        run: of the worker that tries it.
        edited: the payload that is tried, where a person has changed it.
    """

    __slots__ = ("edited", "has_returned", "outcome", "run")

    def __init__(self, run: int, edited: bytes | None) -> None:
        self.run = run
        self.edited = edited
        self.has_returned = False
        """Its results have come; they are still to be written."""
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Retries:
    """Has letters tried again.

    Args:
        config: of the run.
        slots: the slot of each endpoint there is, by name.
        process_of: the process that has an endpoint by its slot, None while it is being restarted.
        questions: the way to ask workers.
    """

    def __init__(
        self,
        config: Config,
        slots: Callable[[], Mapping[str, int]],
        process_of: Callable[[int], WorkerProcess | None],
        questions: Questions,
    ) -> None:
        self._path = None if config.dead_letters is None else Path(config.dead_letters)
        self._slots = slots
        self._redact = Redactor(config.secrets)
        self._process_of = process_of
        self._questions = questions
        self._trials: dict[int, _Trial] = {}
        """By letter."""
        self._claimed: set[int] = set()
        """Letters of requests that go on."""
        self._marking: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    # Asking

    async def retry(self, request: Retry) -> Retried:
        """Try letters again, and wait for what comes of it.

        Raises:
            ControlError: none of them can be tried.
        """
        path = self._checked(request)
        ids = tuple(dict.fromkeys(request.ids))
        books = _Books()
        try:
            async with asyncio.timeout(OUTCOMES_WITHIN_S):
                await self._retry(path, ids, request.edited, books)
        except TimeoutError:
            books.note(
                f"not all have an outcome after {OUTCOMES_WITHIN_S:g} s; what comes later is marked, too"
            )
        except SinkError as exc:
            books.note(str(exc))
        return books.reply(len(ids))

    def _checked(self, request: Retry) -> Path:
        if self._path is None:
            raise ControlError("this run keeps no dead letters (dead_letters, or --dead-letters FILE)")
        if request.store is not None and not _is_same(self._path, request.store):
            raise ControlError(f"this run keeps its dead letters in another file: {self._path.absolute()}")
        if not request.ids:
            raise ControlError("no letters to try")
        if len(request.ids) > MAX_IDS:
            raise ControlError(f"at most {MAX_IDS:,} letters in a request, not {len(request.ids):,}")
        if any(not 0 <= each < 2**63 for each in request.ids):
            raise ControlError("a letter's id is a positive number")
        return self._path

    async def _retry(
        self, path: Path, ids: Sequence[int], edited: Mapping[int, bytes], books: _Books
    ) -> None:
        # Claimed before they are read: whoever reads a letter as dead is the one who tries it.
        free = tuple(each for each in ids if each not in self._trials and each not in self._claimed)
        books.leave("being tried already", len(ids) - len(free))
        self._claimed.update(free)
        try:
            found = after = 0
            while found < len(free) and (page := await asyncio.to_thread(_read, path, free, after)):
                found, after = found + len(page), page[-1].id
                await self._try(page, edited, books)
            books.leave("not there, or not dead any more", len(free) - found)
        finally:
            self._claimed.difference_update(free)

    async def _try(self, letters: Sequence[Letter], edited: Mapping[int, bytes], books: _Books) -> None:
        slots = self._slots()
        by_endpoint: dict[str, list[Letter]] = {}
        for letter in letters:
            by_endpoint.setdefault(letter.endpoint, []).append(letter)
        async with asyncio.TaskGroup() as tasks:
            for name, group in by_endpoint.items():
                if name in slots:
                    tasks.create_task(self._try_at(slots[name], group, edited, books))
                else:
                    hint = did_you_mean(name, slots)
                    books.leave(f"the run has no endpoint {name!r}{hint}", len(group))

    async def _try_at(
        self, slot: int, letters: Sequence[Letter], edited: Mapping[int, bytes], books: _Books
    ) -> None:
        """Have letters of one endpoint tried by the worker that has it."""
        process = self._process_of(slot)
        if process is None:
            books.leave("the endpoint's worker is being restarted", len(letters))
            return
        trials = {letter.id: _Trial(process.run, edited.get(letter.id)) for letter in letters}
        self._trials |= trials
        command = tuple(_to_try(letter, edited.get(letter.id)) for letter in letters)
        problem = await self._questions.ask(process, lambda number: TryLetters(number, slot, command))
        if problem is not None:
            self._give_up(trials, problem)
        for trial in trials.values():
            trial.outcome.add_done_callback(lambda outcome: books.take(outcome.result()))
        await asyncio.wait([trial.outcome for trial in trials.values()])

    def _give_up(self, ids: Iterable[int], problem: str) -> None:
        """Nothing will come of those that haven't returned."""
        for number in tuple(ids):
            trial = self._trials.get(number)
            if trial is not None and not trial.has_returned:
                del self._trials[number]
                trial.outcome.set_result(problem)

    # What comes of it

    def note_returned(self, batch: Batch) -> None:
        """A batch has come; from now on its letters don't depend on its worker."""
        for retried in batch.retried:
            if retried.id in self._trials:
                self._trials[retried.id].has_returned = True

    def note_written(self, batch: Batch) -> None:
        """A batch is in all sinks: mark its letters."""
        if batch.retried:
            task = asyncio.ensure_future(self._mark(batch.retried))
            self._marking.add(task)
            task.add_done_callback(self._marking.discard)

    async def _mark(self, letters: Sequence[TriedLetter]) -> None:
        assert self._path is not None
        problem = None
        settlements = [self._settlement(retried) for retried in letters]
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(_settle, self._path, settlements)
            except SinkError as exc:
                problem = f"tried, but it can't be noted: {exc}"
                _log.error("letters %s were %s", ", ".join(str(each.id) for each in letters), problem)
        for retried in letters:
            trial = self._trials.pop(retried.id, None)
            if trial is not None:
                trial.outcome.set_result(retried if problem is None else problem)

    def _settlement(self, retried: TriedLetter) -> Settlement:
        trial = self._trials.get(retried.id)
        edited = None if trial is None else trial.edited
        if retried.reason is None:
            return Settlement(id=retried.id, edited=edited)
        return Settlement(
            id=retried.id,
            failed_in=retried.stage,
            reason=self._redact(retried.reason),
            traceback=self._redact.optional(retried.traceback),
            edited=edited,
        )

    def forget_run(self, run: int, reason: str) -> None:
        """A worker is gone, and all that it had sent has come: its other letters are as they were."""
        ids = [number for number, trial in self._trials.items() if trial.run == run]
        self._give_up(ids, f"their worker ended before it was done with them ({reason})")

    async def settled(self) -> None:
        """Wait until all that is written is marked."""
        while self._marking:
            await asyncio.wait(self._marking)


class _Books:
    """What a request has come to, so far."""

    def __init__(self) -> None:
        self._delivered = self._filtered = self._dead = 0
        self._problems: dict[str, int] = {}
        """And of how many letters; 0: of the request."""

    def take(self, outcome: Outcome) -> None:
        """Count a trial."""
        if isinstance(outcome, str):
            self.leave(outcome, 1)
        elif outcome.reason is not None:
            self._dead += 1
        elif outcome.results:
            self._delivered += 1
        else:
            self._filtered += 1

    def leave(self, problem: str, letters: int) -> None:
        """Note why so many letters are as they were."""
        if letters:
            self._problems[problem] = self._problems.get(problem, 0) + letters

    def note(self, problem: str) -> None:
        """Note what is wrong with the request as a whole."""
        self._problems[problem] = 0

    def reply(self, asked: int) -> Retried:
        """The books, of so many letters that were asked for."""
        retried = self._delivered + self._filtered + self._dead
        return Retried(
            retried=retried,
            delivered=self._delivered,
            filtered=self._filtered,
            dead=self._dead,
            left=asked - retried,
            problems=tuple(
                f"{plural(letters, 'letter')}: {problem}" if letters else problem
                for problem, letters in self._problems.items()
            ),
        )


def _to_try(letter: Letter, edited: bytes | None) -> LetterToTry:
    payload = letter.current if edited is None else edited
    return LetterToTry(letter.id, payload, letter.is_text, letter.received_at)


def _read(path: Path, ids: Sequence[int], after: int) -> list[Letter]:
    with Store(path) as store:
        selection = Selection(ids=tuple(ids), statuses=(Status.DEAD,))
        return store.page(selection, after=after, count=PAGE_LETTERS)


def _settle(path: Path, settlements: Sequence[Settlement]) -> None:
    with Store(path) as store:
        store.settle(settlements, time.time_ns())


def _is_same(path: Path, other: str) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False
