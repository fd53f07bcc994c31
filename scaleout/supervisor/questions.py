"""Commands to workers that are answered, each within a deadline."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from scaleout.core.wire import Answer, Command
from scaleout.supervisor.process import WorkerProcess

ANSWER_WITHIN_S = 5.0


class Questions:
    """Those that are open."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[int, asyncio.Future[str | None]]] = {}
        """The worker's run, and what waits for its answer."""

    async def ask(self, process: WorkerProcess, command: Callable[[int], Command]) -> str | None:
        """Send a command and wait for the answer.

        Args:
            process: of the worker.
            command: makes the command, from the request's number.

        Returns:
            What is wrong, in words; None: it is done.
        """
        number = next(self._numbers)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._open[number] = process.run, answer
        try:
            process.control.send(command(number))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            return f"its worker gave no answer within {ANSWER_WITHIN_S:g} s"
        finally:
            del self._open[number]

    def take(self, answer: Answer) -> None:
        """Take a worker's answer; nobody may wait for it any more."""
        waiting = self._open.get(answer.request)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(answer.problem)

    def forget_run(self, run: int, reason: str) -> None:
        """The worker is gone."""
        for of_run, answer in self._open.values():
            if of_run == run and not answer.done():
                answer.set_result(f"its worker died before it answered ({reason})")
