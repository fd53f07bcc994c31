"""Both sides of the comparison: the library's own connection and the one under test, without sockets."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Coroutine
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Close
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from scaleout.core.frames import Kind
from scaleout.worker.connection import FeedConnection
from tests.worker.conformance.case import (
    BINARY,
    CLOSE,
    FIN,
    NO_CODE,
    PONG,
    RSV1,
    TEXT,
    Act,
    Ask,
    Deflate,
    Demand,
    Leave,
    Message,
    Say,
    Setting,
)
from tests.worker.conformance.reads import Turn


class Wire(asyncio.Transport):
    """A transport that keeps what is written; an empty one is the end of the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.written.append(b"")

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


class Outcome(NamedTuple):
    """All that can be seen of a connection once it is over."""

    messages: list[Message]
    written: list[tuple[int, bytes]]
    """First byte and unmasked payload of what the client sent."""
    answered: list[bytes]
    state_before_end: State
    state: State
    rcvd: Close | None
    sent: Close | None
    rcvd_then_sent: bool | None
    error: type[ConnectionClosed]
    text: str
    cause: str

    def without_reason(self) -> Outcome:
        """The outcome less the words for a fault, and where it was found."""
        written = [(first, part[:2] if first == FIN | CLOSE else part) for first, part in self.written]
        sent = Close(self.sent.code, "") if self.sent else None
        return self._replace(written=written, sent=sent, text="", cause="")


END = (0, b"")
"""Among what is written: the end of the stream."""


def unmask(written: bytes) -> tuple[int, bytes]:
    """First byte and payload of one frame of a client."""
    if not written:
        return END
    assert written[1] & 0x80, "a client must mask"
    size, start = written[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(written[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(written[2:10], "big"), 10
    key, payload = written[start : start + 4], written[start + 4 :]
    assert len(payload) == size
    whole = int.from_bytes(payload, "big")
    pad = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return written[0], (whole ^ pad).to_bytes(size, "big")


def seen_by_server(outcome: Outcome, setting: Setting) -> Demand:
    """The outcome in the terms of a case, read off the frames that the client wrote."""
    pongs: list[bytes] = []
    said: list[Message] = []
    close_sent = None
    inflater = Inflater(setting.deflate) if setting.deflate else None
    for first, payload in outcome.written:
        if first == FIN | PONG:
            pongs.append(payload)
        elif first == FIN | CLOSE:
            assert close_sent is None, "a second close frame"
            close_sent = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        elif first & 0x0F in (TEXT, BINARY):
            if first & RSV1:
                assert inflater is not None
                payload = inflater.inflate(payload)
            said.append(payload.decode() if first & 0x0F == TEXT else payload)
    received = outcome.rcvd.code if outcome.rcvd else None
    return Demand(
        tuple(outcome.messages), tuple(pongs), tuple(said), tuple(outcome.answered), close_sent, received
    )


class Inflater:
    """The server's side of what the client compresses."""

    def __init__(self, deflate: Deflate) -> None:
        self._deflate = deflate
        self._object = zlib.decompressobj(wbits=-deflate.client_max_window_bits)

    def inflate(self, payload: bytes) -> bytes:
        if self._deflate.client_no_context_takeover:
            self._object = zlib.decompressobj(wbits=-self._deflate.client_max_window_bits)
        return self._object.decompress(payload + b"\x00\x00\xff\xff")


def make_protocol(setting: Setting) -> ClientProtocol:
    extensions = [ClientPerMessageDeflateFactory()] if setting.deflate else None
    uri = parse_uri("ws://feed.test/")
    protocol = ClientProtocol(uri, extensions=extensions, max_size=setting.max_size)
    protocol.send_request(protocol.connect())
    protocol.data_to_send()
    return protocol


def response_for(protocol: ClientProtocol, setting: Setting) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(protocol.key)}",
    ]
    if setting.deflate:
        lines.append(f"Sec-WebSocket-Extensions: {setting.deflate}")
    return "\r\n".join([*lines, "", ""]).encode()


class Client:
    """A connection with its application; `create` says of which kind.

    The library's application asks for messages behind each read where `asks_at_once`, otherwise before it acts
    and in the end.
    """

    def __init__(self, create: type[ClientConnection], setting: Setting, asks_at_once: bool) -> None:
        self.protocol = make_protocol(setting)
        self.response = response_for(self.protocol, setting)
        self.connection = create(self.protocol, ping_interval=None, close_timeout=None, max_queue=None)
        self.wire = Wire()
        self.connection.connection_made(self.wire)
        self._asks_at_once = asks_at_once
        self.messages: list[Message] = []
        self.answered: list[bytes] = []
        self._doing: list[asyncio.Future[object]] = []
        if isinstance(self.connection, FeedConnection):
            self.connection.deliver_to(self._take)
        else:
            self._start(self._ask_for_messages())

    def _take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        self.messages += [
            payload.decode(errors="replace") if kind is Kind.TEXT else payload for payload in payloads
        ]

    async def _ask_for_messages(self) -> None:
        while True:
            self.messages.append(await self.connection.recv())

    def _start(self, doing: Coroutine[object, object, object]) -> None:
        self._doing.append(asyncio.ensure_future(doing))

    async def receive(self, data: bytes) -> None:
        """Take one read."""
        self.connection.data_received(data)
        if self._asks_at_once and len(self.connection.recv_messages.frames):
            await asyncio.sleep(0)

    async def act(self, act: Act) -> None:
        """Do as the case says, as far as that goes without the server."""
        await _settle()
        match act:
            case Say(message):
                self._start(self.connection.send(message))
            case Ask(payload):
                self._start(self._ask(payload))
            case Leave(code, reason):
                self._start(self.connection.close(code, reason))
        await _settle()

    async def _ask(self, payload: bytes) -> None:
        pong: Awaitable[float] = await self.connection.ping(payload)
        await pong
        self.answered.append(payload)

    async def end(self) -> Outcome:
        """Let the server end the TCP connection; returns what came of it all."""
        await _settle()
        before_end = self.protocol.state
        self.connection.eof_received()
        self.connection.connection_lost(None)
        done = await asyncio.wait_for(asyncio.gather(*self._doing, return_exceptions=True), 10)
        for result in done:
            if isinstance(result, BaseException) and not isinstance(
                result, ConnectionClosed | asyncio.CancelledError
            ):
                raise result
        error = self.connection.close_exc
        return Outcome(
            self.messages,
            [unmask(written) for written in self.wire.written],
            self.answered,
            before_end,
            self.protocol.state,
            self.protocol.close_rcvd,
            self.protocol.close_sent,
            self.protocol.close_rcvd_then_sent,
            type(error),
            str(error),
            repr(error.__cause__),
        )


async def _settle() -> None:
    for _ in range(2):
        await asyncio.sleep(0)


async def run(
    create: type[ClientConnection],
    setting: Setting,
    turns: list[Turn],
    *,
    asks_at_once: bool = False,
    behind_response: bool = False,
) -> Outcome:
    """What comes of a script; its first read may come together with the response to the handshake."""
    client = Client(create, setting, asks_at_once)
    await asyncio.sleep(0)
    carry = client.response
    if not (behind_response and turns and isinstance(turns[0], list)):
        await client.receive(carry)
        carry = b""
    for turn in turns:
        if isinstance(turn, list):
            for read in turn:
                await client.receive(carry + read)
                carry = b""
        else:
            await client.act(turn)
    return await client.end()
