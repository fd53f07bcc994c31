"""Commands that are answered, late, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaleout.core.wire import Answer, Resume
from scaleout.supervisor import questions
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions

Run = Callable[[Awaitable[Any]], Any]


def worker(run: int, sent: list[Resume]) -> WorkerProcess:
    """Stands in the place of a process, and keeps what it is sent."""
    return cast(WorkerProcess, SimpleNamespace(run=run, control=SimpleNamespace(send=sent.append)))


def test_each_question_has_its_answer(run: Run) -> None:
    async def scenario() -> None:
        asked, sent = Questions(), list[Resume]()
        process = worker(7, sent)
        waiting = [asyncio.ensure_future(asked.ask(process, lambda n: Resume(n, 0))) for _ in range(3)]
        await asyncio.sleep(0)
        for command, problem in zip(reversed(sent), ("third", None, "first"), strict=True):
            asked.take(Answer(command.request, problem))
        assert await asyncio.gather(*waiting) == ["first", None, "third"]
        asked.take(Answer(sent[0].request, "again"))
        asked.take(Answer(99))

    run(scenario())


def test_a_worker_that_dies_answers_nothing(run: Run) -> None:
    async def scenario() -> None:
        asked, sent = Questions(), list[Resume]()
        dead = asyncio.ensure_future(asked.ask(worker(1, sent), lambda n: Resume(n, 0)))
        alive = asyncio.ensure_future(asked.ask(worker(2, sent), lambda n: Resume(n, 0)))
        await asyncio.sleep(0)
        asked.forget_run(1, "killed by SIGKILL")
        asked.forget_run(1, "twice")
        assert await dead == "its worker died before it answered (killed by SIGKILL)"
        assert not alive.done()
        asked.take(Answer(sent[1].request))
        assert await alive is None

    run(scenario())


def test_a_worker_that_is_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "ANSWER_WITHIN_S", 0.01)

    async def scenario() -> None:
        asked, sent = Questions(), list[Resume]()
        assert await asked.ask(worker(1, sent), lambda n: Resume(n, 0)) == (
            "its worker gave no answer within 0.01 s"
        )
        asked.take(Answer(sent[0].request))
        asked.forget_run(1, "late")

    run(scenario())
