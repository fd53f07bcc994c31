"""What is said on the run's control socket: a JSON object a line, and nothing that comes in does any harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from scaleout.control.messages import MAX_REQUEST_BYTES, AnyReply, AnyRequest, Refused
from scaleout.errors import ConfigError, ControlError

MAX_CONNECTIONS = 200
"""Descriptors are for the feeds: of more, the one that has been idle for longest is let go."""
IDLE_S = 300.0
"""Who asks nothing for so long is let go."""
TAKE_S = 10.0
"""How long a client may take for a reply."""
LAST_ANSWERS_S = 0.5
"""At the end of the run everything is decided, and what is still to be said takes no time."""

_log = logging.getLogger("scaleout.control")

Answer = Callable[[AnyRequest], Awaitable[AnyReply]]
"""Does what is asked; raises `ControlError`, or `ConfigError`, where that can't be done."""


@contextlib.asynccontextmanager
async def serving(listener: socket.socket | None, answer: Answer) -> AsyncIterator[None]:
    """Answer what is asked on a socket, meanwhile; without one nothing is done."""
    if listener is None:
        yield
        return
    clients = _Clients(answer)
    server = await asyncio.start_unix_server(clients.serve, sock=listener, limit=MAX_REQUEST_BYTES)
    try:
        yield
    finally:
        server.close()
        await clients.dismiss()


class _Clients:
    """Those who are connected."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._decoder: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
        self._encoder = msgspec.json.Encoder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: dict[asyncio.Task[None], None] = {}
        """Those that ask nothing, the one that has asked nothing for longest first."""
        self._is_closed = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stay with a client until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._is_closed:
                return
            if len(self._tasks) > MAX_CONNECTIONS and not self._make_room():
                await self._reply(writer, Refused(problem="too many clients at once: try again"))
                return
            while not self._is_closed:
                self._idle[task] = None
                line = await _next_line(reader)
                self._idle.pop(task, None)
                if line is None:
                    return
                await self._reply(writer, await self._reply_to(line))
                await asyncio.sleep(0)  # what has come already is no reason to keep the loop
        except (OSError, TimeoutError):
            pass  # it has left, or doesn't read
        except asyncio.CancelledError:
            pass  # the run ends, or others want the room
        except Exception:
            _log.exception("internal error on the control socket; that client is let go")
        finally:
            self._tasks.discard(task)
            self._idle.pop(task, None)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def _make_room(self) -> bool:
        """Let somebody go who asks nothing; whether there was one."""
        for task in self._idle:
            del self._idle[task]
            task.cancel()
            return True
        return False

    async def _reply(self, writer: asyncio.StreamWriter, reply: AnyReply) -> None:
        writer.write(self._encoder.encode(reply) + b"\n")
        async with asyncio.timeout(TAKE_S):
            await writer.drain()

    async def _reply_to(self, line: bytes) -> AnyReply:
        if len(line) > MAX_REQUEST_BYTES:
            return Refused(problem=f"a request has at most {MAX_REQUEST_BYTES} bytes")
        try:
            request = self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return Refused(problem=f"this is no request: {exc}")
        try:
            return await self._answer(request)
        except ControlError as exc:
            return Refused(problem=str(exc))
        except ConfigError as exc:
            return Refused(problem=str(exc.faults[0]), faults=exc.faults)
        except Exception as exc:
            _log.exception("internal error while a request was answered")
            return Refused(problem=f"internal error: {type(exc).__name__}")

    async def dismiss(self) -> None:
        """Let all of them go; those who wait for an answer get it, if it comes at once."""
        self._is_closed = True
        busy = self._tasks - self._idle.keys()
        for task in self._idle:
            task.cancel()
        if busy:
            await asyncio.wait(busy, timeout=LAST_ANSWERS_S)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next_line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line; of one that is too long, its beginning alone; None at the end.

    Raises:
        TimeoutError: nothing comes.
    """
    beginning = b""
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                rest = await reader.readuntil(b"\n")
            return beginning or rest
        except asyncio.LimitOverrunError as exc:
            part = await reader.readexactly(exc.consumed)
            beginning = beginning or part
        except asyncio.IncompleteReadError as exc:
            return beginning or exc.partial.strip() or None
