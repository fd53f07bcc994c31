"""Holds very many connections and is silent, but for storms on command: the server of idle connections.

Runs alone as `python -m bench.sides.quiet_server`: prints the addresses it listens at, then obeys a
`Command` a line on its standard input. Connections to a path that begins with `/probe` are sent probes,
the others storms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Literal, cast

import msgspec
import uvloop
from websockets.frames import Opcode

from bench.handshake import answer
from scaleout.simulator.framing import encode_frame

ADDRESSES = 4
"""Of loopback: each has ephemeral ports of its own."""
BACKLOG = 4096
PATIENCE_S = 60.0

BEATS = {
    "ping": encode_frame(Opcode.PING, b"beat"),
    "text": encode_frame(Opcode.TEXT, b'{"op":"heartbeat"}'),
}
PROBE = encode_frame(Opcode.TEXT, b"lag")


class Expect(msgspec.Struct, frozen=True, tag=True):
    """Tell of the first connection, with an empty line, and once there are so many, with an `Arrived`."""

    connections: int


class ExpectProbes(msgspec.Struct, frozen=True, tag=True):
    """Wait until so many have asked for probes; answered with `null`."""

    connections: int


class Storm(msgspec.Struct, frozen=True, tag=True):
    """Send a heartbeat on all connections at once; answered with a `Stormed`, after all pongs to pings."""

    kind: Literal["ping", "text"]


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Send a message to those that have asked for probes; answered with an empty line."""


class Arrived(msgspec.Struct, frozen=True):
    """All connections are open."""

    seconds: float
    """Since the first one came."""


class Stormed(msgspec.Struct, frozen=True):
    """A storm is over."""

    written_s: float
    """How long it took to send."""
    answered_s: float | None
    """Until the last pong has come; None: there are none."""


Command = Expect | ExpectProbes | Storm | Probe


class Server:
    """The connections, and what is done with all of them."""

    def __init__(self) -> None:
        self.open: dict[QuietConnection, None] = {}
        self.probes: dict[QuietConnection, None] = {}
        self._changed = asyncio.Event()
        self._pongs = 0

    def add(self, connection: QuietConnection, path: bytes) -> None:
        """Its handshake is done."""
        (self.probes if path.startswith(b"/probe") else self.open)[connection] = None
        self._changed.set()

    def remove(self, connection: QuietConnection) -> None:
        """It is gone."""
        self.open.pop(connection, None)
        self.probes.pop(connection, None)

    def note_pong(self) -> None:
        """A client has answered a ping."""
        self._pongs += 1
        self._changed.set()

    async def obey(self, command: Command) -> str:
        """Do it; the answer."""
        match command:
            case Expect(connections):
                return await self._expect(connections)
            case ExpectProbes(connections):
                await self._wait(lambda: len(self.probes) >= connections)
                return "null"
            case Storm(kind):
                return await self._storm(kind)
            case Probe():
                for connection in self.probes:
                    connection.write(PROBE)
                return ""

    async def _expect(self, connections: int) -> str:
        await self._wait(lambda: len(self.open) > 0)
        began_s = time.perf_counter()
        print(flush=True)
        await self._wait(lambda: len(self.open) >= connections)
        return msgspec.json.encode(Arrived(time.perf_counter() - began_s)).decode()

    async def _storm(self, kind: Literal["ping", "text"]) -> str:
        self._pongs, beat = 0, BEATS[kind]
        expected = len(self.open)
        began_s = time.perf_counter()
        for connection in self.open:
            connection.write(beat)
        written_s = time.perf_counter() - began_s
        answered_s = None
        if kind == "ping":
            await self._wait(lambda: self._pongs >= expected)
            answered_s = time.perf_counter() - began_s
        return msgspec.json.encode(Stormed(written_s, answered_s)).decode()

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()


class QuietConnection(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_data", "_is_open", "_server", "_transport")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = b""
        self._is_open = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def write(self, data: bytes) -> None:
        """Send frames."""
        self._transport.write(data)

    def abort(self) -> None:
        """Drop it."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the handshake, then pings and the close."""
        self._data += data
        if self._is_open:
            self._data = self._data[self._take_frames(self._data) :]
        elif (response := answer(self._data)) is not None:
            self._transport.write(response)
            path = self._data.split(b" ", 2)[1]
            self._data, self._is_open = b"", True
            self._server.add(self, path)

    def _take_frames(self, data: bytes) -> int:
        """Take whole frames; the end of the last one. Clients send nothing but short masked frames here."""
        place = 0
        while len(data) >= place + 2 and len(data) >= (end := place + 6 + (data[place + 1] & 0x7F)):
            self._take(Opcode(data[place] & 0x0F), data[place + 2 : end])
            place = end
        return place

    def _take(self, opcode: Opcode, masked: bytes) -> None:
        if opcode is Opcode.PONG:
            self._server.note_pong()
        elif opcode in (Opcode.PING, Opcode.CLOSE):
            mask = masked[:4] * (len(masked) // 4)
            payload = bytes(byte ^ key for byte, key in zip(masked[4:], mask, strict=False))
            self._transport.write(
                encode_frame(Opcode.PONG if opcode is Opcode.PING else Opcode.CLOSE, payload)
            )
        if opcode is Opcode.CLOSE:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._server.remove(self)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = Server()
    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for number in range(1, ADDRESSES + 1):
            listening = await loop.create_server(
                lambda: QuietConnection(server), f"127.0.0.{number}", 0, backlog=BACKLOG
            )
            await stack.enter_async_context(listening)
            host, port = listening.sockets[0].getsockname()
            addresses.append(f"ws://{host}:{port}")
        print(msgspec.json.encode(addresses).decode(), flush=True)
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            print(await server.obey(msgspec.json.decode(line, type=Command)), flush=True)
        for connection in (*server.open, *server.probes):
            connection.abort()


def main() -> None:
    """Serve, and obey."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    raise_file_limit()
    uvloop.run(_serve())


def raise_file_limit() -> None:
    """Allow this process, and its children, as many descriptors as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
