"""Many servers on loopback in one thread of this process: simulators, and doors that open late or answer oddly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from scaleout.simulator import Attempt, ConnectionRecord, Simulator, SimulatorConfig

T = TypeVar("T")

Answer = Callable[[], bytes]


class Door:
    """A port of loopback in front of a simulator's endpoint: refuses, then answers for it, then leads to it.

    Attributes:
        uri: where it is; connections are refused until `open` is called.
        knocks: Unix times of the connections.
    """

    def __init__(self, servers: Servers, behind: str, answers: Sequence[Answer]) -> None:
        self._servers = servers
        self._target = urlsplit(behind)
        self._answers = list(answers)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.uri = f"ws://127.0.0.1:{self._socket.getsockname()[1]}{self._target.path}"
        self.knocks: list[float] = []
        self._is_open = False

    def open(self) -> None:
        """Listen from now on; opening it again does nothing."""
        if not self._is_open:
            self._is_open = True
            self._servers.call(self._listen())

    def close(self) -> None:
        """Let go of the port, open or not."""
        self._socket.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._handle, sock=self._socket)
        self._servers.stack.callback(server.close)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks.append(time.time())
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answers.pop(0)())
                await writer.drain()
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target.port)
            with contextlib.closing(inner_writer):
                await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


class Servers:
    """Runs them: `with Servers() as servers`."""

    def __init__(self) -> None:
        self.stack = contextlib.AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._doors: list[Door] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.call(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            for door in self._doors:
                door.close()

    async def _stop(self) -> None:
        await self.stack.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where the servers are."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def simulate(self, config: SimulatorConfig) -> Simulator:
        """Start a simulator, which runs until the end."""

        async def start() -> Simulator:
            return await self.stack.enter_async_context(Simulator(config))

        return self.call(start())

    def door(self, behind: str, *answers: Answer) -> Door:
        """A closed door in front of an endpoint; once open, the first connections get these answers."""
        self._doors.append(Door(self, behind, answers))
        return self._doors[-1]

    def connections(self, simulator: Simulator) -> list[ConnectionRecord]:
        """A simulator's connections, the first one first."""

        async def look() -> list[ConnectionRecord]:
            return sorted(simulator.connections, key=lambda record: record.opened_at)

        return self.call(look())

    def attempts(self, simulator: Simulator) -> list[Attempt]:
        """A simulator's handshakes, in order."""

        async def look() -> list[Attempt]:
            return simulator.attempts

        return self.call(look())
