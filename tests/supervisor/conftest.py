"""What the supervisor's tests share: a sink that does as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from scaleout.sinks import Chunk, Encoding


class ScriptedSink:
    """Keeps what it is given, and before that raises what it is told to; waits while `gate` is shut."""

    uri = "scripted"
    encoding = Encoding.NDJSON

    def __init__(self, *faults: BaseException | None, open_fault: BaseException | None = None) -> None:
        self.faults = list(faults)
        self.open_fault = open_fault
        self.close_fault: BaseException | None = None
        self.writes: list[bytes] = []
        self.opened = 0
        self.is_closed = False
        self.gate = threading.Event()
        self.gate.set()
        self.attempts = 0
        self.thread: threading.Thread | None = None

    def open(self) -> None:
        self.opened += 1
        self.thread = threading.current_thread()
        fault, self.open_fault = self.open_fault, None
        if fault is not None:
            raise fault

    def write(self, chunks: Sequence[Chunk]) -> None:
        self.gate.wait()
        self.attempts += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.writes.append(b"".join(chunks))

    def close(self) -> None:
        self.is_closed = True
        if self.close_fault is not None:
            raise self.close_fault


@pytest.fixture
def scripted_sink() -> type[ScriptedSink]:
    """Makes a sink that does as it is told."""
    return ScriptedSink


@pytest.fixture(scope="session")
def run() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end, but no longer than 30 s."""

    async def bounded(awaitable: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(awaitable, 30)

    return lambda awaitable: asyncio.run(bounded(awaitable))


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that fails is tried again at once."""
    monkeypatch.setattr("scaleout.supervisor.writer.RETRY_FIRST_S", 0.001)
