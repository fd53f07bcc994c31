"""The connection against a real socket does as the library's own connection does."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import NamedTuple

import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.utils import accept_key

from scaleout.core.frames import Kind
from scaleout.worker.connection import FeedConnection
from scaleout.worker.polling import IS_AVAILABLE, Poller

needs_epoll = pytest.mark.skipif(not IS_AVAILABLE, reason="this system has no epoll")

LIMIT = 100_000


def frame(first: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    return struct.pack("!BBH", first, 126, size) + payload


def close(code: int) -> bytes:
    return frame(0x88, struct.pack("!H", code) + b"bye")


def deflated(payload: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


class RawServer:
    """Answers the handshake and sends its script at once; then takes what the client says until it ends."""

    def __init__(self, script: bytes, stays: bool) -> None:
        self._script = script
        self._stays = stays
        self.said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            headers = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
            response = (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(headers[b'Sec-WebSocket-Key'].decode())}\r\n"
            ).encode()
            if b"Sec-WebSocket-Extensions" in headers:
                response += b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            writer.write(response + b"\r\n" + self._script)
            said = b""
            if self._stays:
                said = await reader.readexactly(6)
            writer.write_eof()
            self.said.set_result(said + await reader.read())
        except Exception as exc:
            self.said.set_exception(exc)
        finally:
            writer.close()


class Seen(NamedTuple):
    """What came of a connection, on both sides."""

    messages: list[str | bytes]
    rcvd: Close | None
    sent: Close | None
    said: list[tuple[int, bytes]]


def unmask_all(said: bytes) -> list[tuple[int, bytes]]:
    frames: list[tuple[int, bytes]] = []
    while said:
        size = said[1] & 0x7F
        key, payload, rest = said[2:6], said[6 : 6 + size], said[6 + size :]
        frames.append((said[0], bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))))
        said = rest
    return frames


async def take_by_library(connection: ClientConnection) -> list[str | bytes]:
    messages: list[str | bytes] = []
    try:
        while True:
            messages.append(await connection.recv())
    except ConnectionClosed:
        return messages


async def take_by_feed(connection: ClientConnection) -> list[str | bytes]:
    messages: list[str | bytes] = []
    assert isinstance(connection, FeedConnection)

    def receive(payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        messages.extend(payload.decode() if kind is Kind.TEXT else payload for payload in payloads)

    connection.deliver_to(receive)
    await connection.wait_closed()
    return messages


async def see(
    script: bytes,
    stays: bool,
    create: type[ClientConnection],
    compression: str | None,
    poller: Poller | None = None,
) -> Seen:
    handler = RawServer(script, stays)
    server = await asyncio.start_server(handler, "127.0.0.1", 0, family=socket.AF_INET)
    async with server, asyncio.timeout(10):
        port = server.sockets[0].getsockname()[1]
        connection = await connect(
            f"ws://127.0.0.1:{port}/",
            create_connection=create,
            proxy=None,
            compression=compression,
            max_size=LIMIT,
            max_queue=None,
            ping_interval=None,
        )
        if poller is not None:
            assert isinstance(connection, FeedConnection)
            connection.read_by(poller)
        take = take_by_feed if create is FeedConnection else take_by_library
        messages = await take(connection)
        await connection.wait_closed()
        protocol = connection.protocol
        return Seen(messages, protocol.close_rcvd, protocol.close_sent, unmask_all(await handler.said))


MESSAGES = frame(0x81, b"a") + frame(0x82, b"\xff") + frame(0x81, "ü".encode()) + frame(0x81)

CASES: dict[str, bytes] = {
    "messages, then a close": MESSAGES + close(1000),
    "a close without a code": MESSAGES + frame(0x88),
    "a close of the application's": close(4321),
    "no close": MESSAGES,
    "half a frame": MESSAGES + frame(0x81, b"abc")[:-1],
    "half a header": MESSAGES + frame(0x81, b"x" * 300)[:3],
    "many messages": frame(0x81, b"x" * 200) * 20_000 + close(1001),
    "fragments and a ping": frame(1, b"\xc3")
    + frame(0x89, b"p")
    + frame(0)
    + frame(0x80, b"\xbc")
    + close(1000),
    "pings": frame(0x89, b"1") + MESSAGES + frame(0x89, b"2") + frame(0x8A, b"3") + close(1000),
    "bad text": MESSAGES + frame(0x81, b"\xff"),
    "bad text in fragments": MESSAGES + frame(1, b"\xc3") + frame(0x80, b"\xc3"),
    "too large": MESSAGES + b"\x81\x7f" + (LIMIT + 1).to_bytes(8, "big"),
    "just not too large": b"\x82\x7f" + LIMIT.to_bytes(8, "big") + b"x" * LIMIT + close(1000),
    "masked": MESSAGES + b"\x81\x81\0\0\0\0a",
    "reserved bit": MESSAGES + frame(0xA1, b"a"),
    "bad opcode": MESSAGES + frame(0x83, b"a"),
    "unexpected continuation": MESSAGES + frame(0x80, b"a"),
    "unfinished fragments": frame(1, b"a") + frame(0x81, b"b"),
    "large ping": MESSAGES + frame(0x89, b"p" * 126),
    "bad close code": MESSAGES + close(1005),
    "bad close reason": MESSAGES + frame(0x88, b"\x03\xe8\xff"),
    "data after the close": close(1000) + MESSAGES,
    "garbage": bytes(range(255, -1, -1)),
    "compressed frame that was not agreed on": frame(0xC1, deflated(b"a")),
}
STAYING = {name for name in CASES if name not in ("no close", "half a frame", "half a header")}


async def see_polled(script: bytes, stays: bool, compression: str | None = None) -> Seen:
    poller = Poller(asyncio.get_running_loop())
    try:
        return await see(script, stays, FeedConnection, compression, poller)
    finally:
        poller.close()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("is_polled", [False, pytest.param(True, marks=needs_epoll)])
def test_does_as_the_library_does(
    name: str, loop_factory: type[asyncio.AbstractEventLoop], is_polled: bool
) -> None:
    script, stays = CASES[name], name in STAYING
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        library = runner.run(see(script, stays, ClientConnection, None))
        seeing = see_polled(script, stays) if is_polled else see(script, stays, FeedConnection, None)
        feed = runner.run(seeing)
    if library.sent is not None and library.sent.code == 1007 and feed.sent is not None:
        # The library finds bad text when it is asked for it, and says where it is.
        assert feed.sent.code == 1007
        library, feed = (
            seen._replace(sent=None, said=[(first, payload[:2]) for first, payload in seen.said])
            for seen in (library, feed)
        )
    assert feed == library


def test_compressed_messages_between_others_are_as_in_the_library() -> None:
    deflate = zlib.compressobj(wbits=-15)
    parts = []
    for index in range(200):
        payload = b'{"price": %d}' % index
        if index % 3:
            packed = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
            parts.append(frame(0xC1, packed))
        else:
            parts.append(frame(0x81, payload))
    script = b"".join(parts) + close(1000)
    library = asyncio.run(see(script, True, ClientConnection, "deflate"))
    feed = asyncio.run(see(script, True, FeedConnection, "deflate"))
    assert feed == library
    if IS_AVAILABLE:
        assert asyncio.run(see_polled(script, True, "deflate")) == library
    assert feed.messages == [f'{{"price": {index}}}' for index in range(200)]


def test_a_peer_that_pings_and_reads_no_pong_is_left() -> None:
    """Its pongs must not fill the memory."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: "
            + accept_key(headers[b"Sec-WebSocket-Key"].decode()).encode()
            + b"\r\n\r\n"
        )
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        pings = frame(0x89, b"p" * 125) * 1_000
        try:
            while True:
                writer.write(pings)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def main() -> ConnectionClosed:
        async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await connect(f"ws://127.0.0.1:{port}/", create_connection=FeedConnection)
            assert isinstance(connection, FeedConnection)
            connection.deliver_to(lambda *batch: None)
            await asyncio.wait_for(connection.wait_closed(), 60)
            return connection.close_exc

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        closed = runner.run(main())
    assert closed.sent == Close(1008, "pings without reading the pongs")
    assert closed.rcvd is None
