"""Letters on their way through a live run, with a worker that does as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaleout.config import Config, Endpoint
from scaleout.control.messages import MAX_IDS, Retried, Retry
from scaleout.core.wire import Answer, Batch, TriedLetter, TryLetters
from scaleout.deadletters import Letter, NewLetter, Selection, Status, Store
from scaleout.errors import ControlError, SinkError
from scaleout.supervisor import retries
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions
from scaleout.supervisor.retries import Retries

Run = Callable[[Awaitable[Any]], Any]


class Bench:
    """Retries of a run with the endpoints a and b, and a worker that has both."""

    def __init__(self, directory: Path, *endpoints: str, secrets: tuple[str, ...] = ()) -> None:
        self.path = directory / "dead.db"
        with Store(self.path, create=True) as store:
            store.add([_letter(name, number) for number, name in enumerate(endpoints)], 1)
        config = Config(
            endpoints=tuple(Endpoint(uri="ws://h", name=name) for name in "ab"),
            dead_letters=str(self.path),
            secrets=secrets,
        )
        self.commands: asyncio.Queue[TryLetters] = asyncio.Queue()
        control = SimpleNamespace(send=self.commands.put_nowait)
        self.process: WorkerProcess | None = cast(WorkerProcess, SimpleNamespace(run=3, control=control))
        self.questions = Questions()
        self.retries = Retries(config, lambda: {"a": 0, "b": 1}, lambda slot: self.process, self.questions)

    def ask(self, *ids: int, **keys: Any) -> asyncio.Task[Retried]:
        return asyncio.ensure_future(self.retries.retry(Retry(ids=ids, **keys)))

    async def next_command(self) -> TryLetters:
        """What the worker is told next, which it accepts."""
        command = await self.commands.get()
        self.questions.take(Answer(command.request))
        return command

    def hand_in(self, *letters: TriedLetter, written: bool = True) -> None:
        """Let the worker's results come, and be written."""
        batch = Batch((), retried=letters)
        self.retries.note_returned(batch)
        if written:
            self.retries.note_written(batch)

    def letters(self) -> Sequence[Letter]:
        with Store(self.path) as store:
            return list(store.letters(Selection(statuses=())))

    @property
    def fates(self) -> list[tuple[str, int, str]]:
        return [(each.status.value, each.attempts, each.reason) for each in self.letters()]


def _letter(endpoint: str, number: int) -> NewLetter:
    return NewLetter(
        endpoint=endpoint,
        stage="process",
        reason="poison",
        payload=b"%d" % number,
        is_text=number % 2 == 0,
        received_at=number,
    )


def test_each_letter_has_its_fate(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a", "a", "a")
        asked = bench.ask(1, 2, 3)
        command = await bench.next_command()
        assert command.slot == 0
        assert [(each.id, each.payload, each.is_text, each.received_at) for each in command.letters] == [
            (1, b"0", True, 0),
            (2, b"1", False, 1),
            (3, b"2", True, 2),
        ]
        bench.hand_in(TriedLetter(1, results=2), TriedLetter(2))
        assert not asked.done()
        bench.hand_in(TriedLetter(3, "still poison", "trace", "decode"))
        assert await asked == Retried(retried=3, delivered=1, filtered=1, dead=1)
        assert bench.fates == [
            ("retried", 2, "poison"),
            ("retried", 2, "poison"),
            ("dead", 2, "still poison"),
        ]
        assert (bench.letters()[2].stage, bench.letters()[2].traceback) == ("decode", "trace")

    run(scenario())


def test_secrets_in_what_exceptions_say_are_blotted_out(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a", secrets=("s3cr3t",))
        asked = bench.ask(1)
        await bench.next_command()
        bench.hand_in(TriedLetter(1, "again: s3cr3t", "Traceback:\n  s3cr3t"))
        await asked
        (letter,) = bench.letters()
        assert (letter.reason, letter.traceback) == ("again: ***", "Traceback:\n  ***")

    run(scenario())


def test_what_is_not_written_is_not_marked(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a")
        asked = bench.ask(1)
        await bench.next_command()
        bench.hand_in(TriedLetter(1, results=1), written=False)
        bench.retries.forget_run(3, "killed")  # it had done its part
        await bench.retries.settled()
        assert bench.fates == [("dead", 1, "poison")]
        assert not asked.done()
        bench.hand_in(TriedLetter(1, results=1))
        assert await asked == Retried(retried=1, delivered=1)
        assert bench.fates == [("retried", 2, "poison")]

    run(scenario())


def test_letters_go_to_their_endpoints(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "b", "a", "c", "b")
        asked = bench.ask(4, 3, 2, 1, 1)
        first, second = await bench.next_command(), await bench.next_command()
        assert {each.slot: [letter.id for letter in each.letters] for each in (first, second)} == {
            0: [2],
            1: [1, 4],
        }
        bench.hand_in(TriedLetter(1), TriedLetter(2), TriedLetter(4))
        assert await asked == Retried(
            retried=3, filtered=3, left=1, problems=("1 letter: the run has no endpoint 'c'",)
        )

    run(scenario())


def test_edited_payloads_are_tried_and_kept(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a", "a")
        asked = bench.ask(1, 2, edited={2: b"better"})
        command = await bench.next_command()
        assert [letter.payload for letter in command.letters] == [b"0", b"better"]
        bench.hand_in(TriedLetter(1), TriedLetter(2, "still poison"))
        assert (await asked).dead == 1
        assert [(each.payload, each.edited) for each in bench.letters()] == [(b"0", None), (b"1", b"better")]
        asked = bench.ask(2)
        assert [letter.payload for letter in (await bench.next_command()).letters] == [b"better"]
        bench.hand_in(TriedLetter(2))
        assert (await asked).filtered == 1

    run(scenario())


def test_a_letter_is_tried_once_at_a_time(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a", "a")
        asked = bench.ask(1)
        await bench.next_command()
        assert await bench.ask(1) == Retried(left=1, problems=("1 letter: being tried already",))
        second = bench.ask(1, 2)
        assert [letter.id for letter in (await bench.next_command()).letters] == [2]
        bench.hand_in(TriedLetter(1), TriedLetter(2))
        assert await asked == Retried(retried=1, filtered=1)
        assert (await second).retried == 1
        assert await bench.ask(1) == Retried(left=1, problems=("1 letter: not there, or not dead any more",))

    run(scenario())


def test_two_who_ask_at_the_same_time(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a")
        asked = [bench.ask(1), bench.ask(1)]
        await bench.next_command()
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert bench.commands.empty()
        bench.hand_in(TriedLetter(1))
        assert sorted((each.retried, each.left) for each in await asyncio.gather(*asked)) == [(0, 1), (1, 0)]

    run(scenario())


def test_a_worker_that_dies(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a", "a")
        asked = bench.ask(1, 2)
        await bench.next_command()
        bench.hand_in(TriedLetter(1))
        bench.retries.forget_run(2, "somebody else")
        bench.retries.forget_run(3, "killed by SIGKILL")
        assert await asked == Retried(
            retried=1,
            filtered=1,
            left=1,
            problems=("1 letter: their worker ended before it was done with them (killed by SIGKILL)",),
        )
        assert [each.status for each in bench.letters()] == [Status.RETRIED, Status.DEAD]

    run(scenario())


def test_a_worker_that_refuses_or_is_not_there(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a")
        asked = bench.ask(1)
        command = await bench.commands.get()
        bench.questions.take(Answer(command.request, "its worker has not started it"))
        assert await asked == Retried(left=1, problems=("1 letter: its worker has not started it",))
        bench.process = None
        assert (await bench.ask(1)).problems == ("1 letter: the endpoint's worker is being restarted",)

    run(scenario())


def test_what_comes_late_is_marked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "OUTCOMES_WITHIN_S", 0.2)

    async def scenario() -> None:
        bench = Bench(tmp_path, "a", "a")
        asked = bench.ask(1, 2)
        await bench.next_command()
        bench.hand_in(TriedLetter(2))
        reply = await asked
        assert (reply.retried, reply.left) == (1, 1)
        assert reply.problems == ("not all have an outcome after 0.2 s; what comes later is marked, too",)
        assert (await bench.ask(1)).problems == ("1 letter: being tried already",)
        bench.hand_in(TriedLetter(1))
        await bench.retries.settled()
        assert bench.fates == [("retried", 2, "poison")] * 2

    run(scenario())


def test_a_store_that_can_not_be_read_or_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise SinkError("the disk is full")

    async def scenario() -> None:
        bench = Bench(tmp_path, "a")
        asked = bench.ask(1)
        await bench.next_command()
        with monkeypatch.context() as patched:
            patched.setattr(Store, "settle", refuse)
            bench.hand_in(TriedLetter(1, results=1))
            assert await asked == Retried(
                left=1, problems=("1 letter: tried, but it can't be noted: the disk is full",)
            )
        bench.path.unlink()
        assert "there is no file" in (await bench.ask(1)).problems[0]

    run(scenario())


def test_requests_that_make_no_sense(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "a")
        (tmp_path / "other.db").touch()
        for problem, ids, store in (
            ("no letters to try", (), None),
            ("at most 1,000 letters", range(MAX_IDS + 1), None),
            ("a positive number", (-1,), None),
            ("a positive number", (2**70,), None),
            ("another file", (1,), str(tmp_path / "other.db")),
            ("another file", (1,), "nowhere\0"),
        ):
            with pytest.raises(ControlError, match=problem):
                await bench.ask(*ids, store=store)
        (tmp_path / "link.db").symlink_to(bench.path)
        asked = bench.ask(1, store=str(tmp_path / "link.db"))
        await bench.next_command()
        bench.hand_in(TriedLetter(1))
        assert (await asked).retried == 1

    run(scenario())


def test_many_letters_go_in_pages(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAGE_LETTERS", 2)

    async def scenario() -> None:
        bench = Bench(tmp_path, *"aaaaa")
        asked = bench.ask(1, 2, 3, 4, 5)
        sizes: list[int] = []
        while sum(sizes) < 5:
            command = await bench.next_command()
            sizes.append(len(command.letters))
            bench.hand_in(*(TriedLetter(letter.id, results=1) for letter in command.letters))
        assert sizes == [2, 2, 1]
        assert await asked == Retried(retried=5, delivered=5)

    run(scenario())
