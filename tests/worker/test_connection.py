"""The connection past the library's parser agrees with it on anything: messages, answers, close codes."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import BINARY, CONT, TEXT, Close, Frame
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from scaleout.core.frames import Kind
from scaleout.worker.connection import MAX_FRAGMENTS, FeedConnection
from tests.worker.peers import FastLoop

INVALID_TEXT = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
"""Greek, then half of a surrogate pair."""

Message = tuple[Kind, bytes]


# Both sides of the comparison


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and knows whether it is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_reading_now = True
        self.resumes = 0
        self.aborted_at: float | None = None
        self.on_write: Callable[[bytes], None] = lambda data: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self.on_write(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.written.append(b"")

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True
        self.resumes += 1

    def is_closing(self) -> bool:
        return self.aborted_at is not None

    def abort(self) -> None:
        self.aborted_at = asyncio.get_running_loop().time()


class Setting(NamedTuple):
    """How the connection is set up."""

    limit: int | None = 1000
    is_compressed: bool = False
    takes_context_over: bool = True
    window_bits: int = 15

    @property
    def is_busy(self) -> bool:
        """Whether it pays to send many messages."""
        return self.limit is None or self.limit > 2000


DEFAULTS = Setting()


class Outcome(NamedTuple):
    """All that can be seen of a connection."""

    messages: list[Message]
    written: list[tuple[int, bytes] | None]
    state: State
    close_rcvd: Close | None
    close_sent: Close | None
    close_rcvd_then_sent: bool | None
    error: str


def make_protocol(setting: Setting) -> ClientProtocol:
    extensions = [ClientPerMessageDeflateFactory()] if setting.is_compressed else None
    uri = parse_uri("ws://feed.test/")
    protocol = ClientProtocol(uri, extensions=extensions, max_size=setting.limit)
    protocol.send_request(protocol.connect())
    protocol.data_to_send()
    return protocol


def response_for(protocol: ClientProtocol, setting: Setting) -> bytes:
    headers = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(protocol.key)}",
    ]
    if setting.is_compressed:
        parameters = "" if setting.takes_context_over else "; server_no_context_takeover"
        if setting.window_bits < 15:
            parameters += f"; server_max_window_bits={setting.window_bits}"
        headers.append(f"Sec-WebSocket-Extensions: permessage-deflate{parameters}")
    return "\r\n".join([*headers, "", ""]).encode()


def unmask(data: bytes) -> tuple[int, bytes] | None:
    """First byte and payload of a control frame that the client wrote; None for the end of the stream."""
    if not data:
        return None
    key, payload = data[2:6], data[6:]
    assert data[1] == 0x80 | len(payload)
    return data[0], bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def outcome_of(protocol: ClientProtocol, messages: list[Message], written: list[bytes]) -> Outcome:
    return Outcome(
        list(messages),
        [unmask(data) for data in written],
        protocol.state,
        protocol.close_rcvd,
        protocol.close_sent,
        protocol.close_rcvd_then_sent,
        repr(protocol.parser_exc),
    )


class Reference:
    """The library's parser; each message is checked as soon as its last byte has come."""

    def __init__(self, setting: Setting) -> None:
        self.protocol = make_protocol(setting)
        self.messages: list[Message] = []
        self.written: list[bytes] = []
        self._fragments: list[Frame] = []
        self.protocol.receive_data(response_for(self.protocol, setting))
        self._step()

    def receive(self, data: bytes) -> None:
        for index in range(len(data)):
            self.protocol.receive_data(data[index : index + 1])
            self._step()

    def receive_eof(self) -> None:
        self.protocol.receive_eof()
        self._step()

    def _step(self) -> None:
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (TEXT, BINARY, CONT):
                self._fragments.append(event)
                if event.fin:
                    self._complete()
        self.written += self.protocol.data_to_send()

    def _complete(self) -> None:
        kind = Kind.TEXT if self._fragments[0].opcode is TEXT else Kind.BINARY
        payload = b"".join(frame.data for frame in self._fragments)
        self._fragments = []
        try:
            if kind is Kind.TEXT:
                payload.decode()
        except UnicodeDecodeError:
            self.protocol.fail(1007, "invalid UTF-8 in a text message")
        else:
            self.messages.append((kind, payload))

    def outcome(self) -> Outcome:
        return outcome_of(self.protocol, self.messages, self.written)


class Feed:
    """The connection under test, without a network; needs a running loop."""

    def __init__(self, setting: Setting = DEFAULTS, ping_interval: float | None = None) -> None:
        self.protocol = make_protocol(setting)
        self.connection = FeedConnection(
            self.protocol, ping_interval=ping_interval, ping_timeout=20.0, close_timeout=10.0
        )
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        self.response = response_for(self.protocol, setting)
        self.messages: list[Message] = []

    def open(self) -> Feed:
        """Get the handshake over with."""
        self.connection.data_received(self.response)
        self.listen()
        return self

    def listen(self) -> None:
        self.connection.deliver_to(self._take)

    def _take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        assert joined == b"\n".join(payloads)
        assert payloads
        assert all(type(payload) is bytes for payload in payloads)
        assert received_at > 0
        self.messages += [(kind, payload) for payload in payloads]

    def receive_eof(self) -> None:
        self.connection.eof_received()
        self.connection.connection_lost(None)

    def outcome(self) -> Outcome:
        return outcome_of(self.protocol, self.messages, self.transport.written)

    @property
    def close_frames(self) -> list[int]:
        """The codes of the close frames that were written."""
        frames = [frame for data in self.transport.written if (frame := unmask(data)) is not None]
        return [struct.unpack("!H", payload[:2])[0] for first, payload in frames if first == 0x88]


# Streams of frames


class Lengths(NamedTuple):
    """How a frame says its length."""

    form: int | None = None
    """126 or 127 where a shorter form would do, too."""
    masked: bool = False


SHORTEST = Lengths()


def frame(first: int, payload: bytes, lengths: Lengths = SHORTEST) -> bytes:
    size = len(payload)
    mask_bit = 0x80 if lengths.masked else 0
    if lengths.form == 127 or size > 0xFFFF:
        header = struct.pack("!BBQ", first, mask_bit | 127, size)
    elif lengths.form == 126 or size > 125:
        header = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        header = struct.pack("!BB", first, mask_bit | size)
    return header + (b"\0\0\0\0" if lengths.masked else b"") + payload


TEXTS = st.one_of(
    st.text("ab\n", max_size=8).map(str.encode),
    st.text(max_size=8).map(str.encode),
    st.integers(0, 140).map(lambda size: b"x" * size),
)
BINARIES = st.one_of(st.binary(max_size=8), st.integers(0, 140).map(lambda size: b"\xff" * size))
DATA = st.one_of(
    st.tuples(st.just(1), TEXTS),
    st.tuples(st.just(2), BINARIES),
)
BAD_TEXT = st.tuples(
    st.just(1), st.one_of(st.just(INVALID_TEXT), st.binary(min_size=1, max_size=4), st.just(b"ab\xc3"))
)
LENGTHS = st.sampled_from([SHORTEST, SHORTEST, SHORTEST, Lengths(126), Lengths(127)])
CONTROLS = st.builds(
    frame,
    st.sampled_from([0x89, 0x8A]),
    st.one_of(st.binary(max_size=4), st.just(b"p" * 125)),
    LENGTHS,
)
CLOSES = st.one_of(
    st.builds(
        lambda code, reason: frame(0x88, struct.pack("!H", code) + reason),
        st.one_of(
            st.sampled_from([999, 1000, 1001, 1004, 1005, 1006, 1015, 3000, 4999, 5000]),
            st.integers(0, 0xFFFF),
        ),
        st.one_of(TEXTS.filter(lambda text: len(text) < 124), st.just(INVALID_TEXT)),
    ),
    st.sampled_from(
        [frame(0x88, b""), frame(0x88, b"\x03"), frame(0x08, b""), frame(0x88, b"\x03\xe8" * 63)]
    ),
)
WRONG = st.one_of(
    st.builds(frame, st.integers(0, 255), TEXTS, st.sampled_from([SHORTEST, Lengths(masked=True)])),
    st.builds(
        frame,
        st.sampled_from([0x81, 0x82, 0x89]),
        TEXTS,
        st.sampled_from([Lengths(masked=True), Lengths(126, masked=True), Lengths(127, masked=True)]),
    ),
    st.sampled_from([0xFFFF, 2**31, 2**62, 2**63, 2**64 - 1]).map(
        lambda size: struct.pack("!BBQ", 0x81, 127, size)
    ),
    st.integers(120, 1100).map(lambda size: frame(0x89, b"p" * size)),
    st.binary(min_size=1, max_size=20),
)


class Compressor:
    """A server's side of permessage-deflate."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._deflate = zlib.compressobj(wbits=-setting.window_bits)

    def compress(self, payload: bytes) -> bytes:
        if not self._setting.takes_context_over:
            self._deflate = zlib.compressobj(wbits=-self._setting.window_bits)
        return (self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


@st.composite
def messages(draw: st.DrawFn, setting: Setting, compressor: Compressor, data: tuple[int, bytes]) -> bytes:
    """One message, in one frame or in several with control frames between them."""
    opcode, payload = data
    if setting.is_compressed and draw(st.booleans()):
        payload = compressor.compress(payload)
        opcode |= 0x40
    if draw(st.integers(0, 3)):
        return frame(0x80 | opcode, payload, draw(LENGTHS))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), min_size=1, max_size=4)))
    pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    stream = b""
    for index, piece in enumerate(pieces):
        first = (opcode if index == 0 else 0) | (0x80 if index == len(pieces) - 1 else 0)
        stream += frame(first, piece, draw(LENGTHS))
        if index < len(pieces) - 1:
            stream += b"".join(draw(st.lists(CONTROLS, max_size=2)))
    return stream


@st.composite
def bursts(draw: st.DrawFn) -> bytes:
    """Many messages of a busy feed, so much that it pays to scan them faster."""
    opcode = draw(st.sampled_from([0x81, 0x82]))
    sizes = draw(st.lists(st.integers(0, 140), min_size=1, max_size=5))
    burst = b"".join(frame(opcode, b"x" * size) for size in sizes)
    if not draw(st.integers(0, 2)):
        burst += frame(opcode, b"\xc3\xbc", draw(LENGTHS))
    return burst * min(300, 9000 // len(burst))


@st.composite
def packed_bursts(draw: st.DrawFn, compressor: Compressor) -> bytes:
    """Many messages of a busy feed that compresses those above some size; they are alike."""
    opcode = draw(st.sampled_from([0x81, 0x82]))
    smallest = draw(st.sampled_from([0, 20, 60]))
    payloads = draw(st.lists(TEXTS, min_size=1, max_size=5)) * draw(st.integers(1, 20))
    return b"".join(
        frame(opcode | 0x40, compressor.compress(payload))
        if len(payload) >= smallest
        else frame(opcode, payload)
        for payload in payloads
    )


@st.composite
def packed_faults(draw: st.DrawFn, compressor: Compressor) -> bytes:
    """A compressed message that is cut, corrupt, or much larger than it looks."""
    first = draw(st.sampled_from([0xC1, 0xC2, 0x41]))
    payload = draw(
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"\xff" * 2100, b"\xf2\x48" * 1022, b"\x06\x00", b"\x00\x05\x00\x00\x00Hello"]),
            st.sampled_from([1001, 3001, 50_000]).map(lambda size: compressor.compress(b"\0" * size)),
            TEXTS.map(lambda text: compressor.compress(text)[:-1]),
        )
    )
    return frame(first, payload)


@st.composite
def streams(draw: st.DrawFn, setting: Setting, are_valid: bool = False) -> bytes:
    """What a server may send; mostly valid frames, so that much comes before the first fault."""
    compressor = Compressor(setting)
    parts: list[bytes] = []
    for _ in range(draw(st.integers(0, 12))):
        dice = draw(st.integers(0, 23))
        if are_valid and dice >= 18:
            dice = 0
        if dice < 12:
            parts.append(draw(messages(setting, compressor, draw(DATA))))
        elif dice < 15:
            parts.append(draw(CONTROLS))
        elif dice < 16 and setting.is_compressed and draw(st.booleans()):
            parts.append(draw(packed_bursts(compressor)))
        elif dice < 16 and setting.is_busy:
            parts.append(draw(bursts()))
        elif dice < 18:
            size = draw(st.integers(-2, 2)) + (setting.limit if setting.limit is not None else 70_000)
            if are_valid and setting.limit is not None:
                size = setting.limit
            data = (draw(st.sampled_from([1, 2])), b"x" * max(0, size))
            parts.append(draw(messages(setting, compressor, data)))
        elif dice < 20:
            parts.append(draw(messages(setting, compressor, draw(BAD_TEXT))))
        elif dice < 21:
            parts.append(draw(CLOSES))
        elif dice < 22 and setting.is_compressed:
            parts.append(draw(packed_faults(compressor)))
        elif dice < 22:
            parts.append(frame(draw(st.sampled_from([0, 1, 2])), draw(TEXTS)))
        else:
            parts.append(draw(WRONG))
    stream = b"".join(parts)
    if stream and not are_valid and not draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(stream) - 1))
        stream = stream[:at] + draw(st.binary(min_size=1, max_size=1)) + stream[at + 1 :]
    if draw(st.booleans()):
        stream = stream[: draw(st.integers(0, len(stream)))]
    return stream


SETTINGS = st.builds(
    Setting,
    limit=st.sampled_from([1000, 3000, 130, 10, 0, None]),
    is_compressed=st.booleans(),
    takes_context_over=st.booleans(),
    window_bits=st.sampled_from([15, 15, 9, 12]),
)


@st.composite
def reads(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream as it comes from the transport."""
    style = draw(st.integers(0, 3))
    if style == 0:
        return [stream] if stream else []
    if style == 1:
        size = draw(st.integers(1, 7)) if len(stream) < 3000 else 1000
        return [stream[at : at + size] for at in range(0, len(stream), size)]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [piece for piece in pieces if piece]


@dataclasses.dataclass
class Script:
    """A connection as its server sees it, and when the receiver is set."""

    setting: Setting
    reads: list[bytes]
    response_cut: int
    """So many bytes of the response come with the first read."""
    listens_at: int
    """The receiver is set before this read."""
    ends: bool


@st.composite
def scripts(draw: st.DrawFn, are_valid: bool = False) -> Script:
    setting = draw(SETTINGS)
    pieces = draw(reads(draw(streams(setting, are_valid))))
    response_cut = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 5, 20, 10_000]))
    return Script(setting, pieces, response_cut, draw(st.integers(0, len(pieces) + 1)), draw(st.booleans()))


async def compare(script: Script) -> None:
    """Feed both; they must agree after each read."""
    reference, feed = Reference(script.setting), Feed(script.setting)
    head = max(0, len(feed.response) - script.response_cut)
    if head:
        feed.connection.data_received(feed.response[:head])
    carry = feed.response[head:]
    is_listening = False
    for index, data in enumerate(script.reads):
        if index == script.listens_at:
            feed.listen()
            is_listening = True
        feed.connection.data_received(carry + data)
        carry = b""
        reference.receive(data)
        if is_listening:
            assert feed.outcome() == reference.outcome()
    if carry:
        feed.connection.data_received(carry)
    if not is_listening and not script.ends:
        feed.listen()
    if script.ends:
        feed.receive_eof()
        reference.receive_eof()
        assert feed.protocol.state is State.CLOSED
    if not is_listening and script.ends:
        feed.listen()
    assert feed.outcome() == reference.outcome()


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(scripts())
@example(Script(DEFAULTS, [frame(0x81, b"a") + frame(0x81, b"\xff")], 10_000, 1, False))
@example(Script(DEFAULTS, [b"\x81\xff"], 0, 0, False))
@example(Script(DEFAULTS, [b"\x83\x7f"], 0, 0, False))
@example(Script(Setting(limit=None), [b"\x81\x7f" + b"\xff" * 8, frame(0x81, b"a")], 0, 0, False))
def test_agrees_with_the_library_on_anything(script: Script) -> None:
    asyncio.run(compare(script))


@settings(max_examples=150)
@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12), st.booleans())
def test_agrees_with_the_library_on_garbage(pieces: list[bytes], ends: bool) -> None:
    asyncio.run(compare(Script(Setting(limit=None), pieces, 0, 0, ends)))


@settings(max_examples=150)
@given(scripts(are_valid=True), st.integers(0, 12))
def test_agrees_with_the_library_after_a_local_close(script: Script, closes_at: int) -> None:
    async def main() -> None:
        reference, feed = Reference(script.setting), Feed(script.setting).open()
        for index, data in enumerate(script.reads):
            if index == closes_at and reference.protocol.state is State.OPEN:
                for protocol in (reference.protocol, feed.protocol):
                    protocol.send_close(1001)
                feed.connection.send_data()
            feed.connection.data_received(data)
            reference.receive(data)
            assert feed.outcome() == reference.outcome()
        feed.receive_eof()
        reference.receive_eof()
        assert feed.outcome() == reference.outcome()

    asyncio.run(main())


# Single cases


def test_a_read_of_messages_is_one_batch_with_its_time() -> None:
    batches: list[tuple[list[bytes], bytes, Kind]] = []

    async def main() -> None:
        feed = Feed().open()
        feed.connection.deliver_to(lambda *batch: batches.append(batch[:3]))
        text, binary = frame(0x81, b"[1]"), frame(0x82, b"\x00")
        feed.connection.data_received(text * 3 + binary + text[:2])
        feed.connection.data_received(text[2:])

    asyncio.run(main())
    assert batches == [
        ([b"[1]"] * 3, b"[1]\n[1]\n[1]", Kind.TEXT),
        ([b"\x00"], b"\x00", Kind.BINARY),
        ([b"[1]"], b"[1]", Kind.TEXT),
    ]


@pytest.mark.parametrize(("count", "codes"), [(MAX_FRAGMENTS, []), (MAX_FRAGMENTS + 1, [1009])])
def test_too_many_fragments_are_as_in_the_library(count: int, codes: list[int]) -> None:
    stream = frame(1, b"x") + frame(0, b"x") * (count - 2) + frame(0x80, b"x")

    async def main() -> None:
        feed = Feed(Setting(limit=2**20)).open()
        feed.connection.data_received(stream + frame(0x81, b"next"))
        assert feed.close_frames == codes
        expected = [] if codes else [(Kind.TEXT, b"x" * count), (Kind.TEXT, b"next")]
        assert feed.messages == expected

    asyncio.run(main())


def test_a_zip_bomb_is_too_large() -> None:
    payload = Compressor(DEFAULTS).compress(b"\0" * 100_000)
    assert len(payload) < 1000

    async def main() -> None:
        feed = Feed(Setting(is_compressed=True)).open()
        feed.connection.data_received(frame(0xC1, payload))
        assert feed.close_frames == [1009]

    asyncio.run(main())


@pytest.mark.parametrize("takes_context_over", [True, False])
def test_whole_compressed_messages_need_nothing_of_the_library(
    monkeypatch: pytest.MonkeyPatch, takes_context_over: bool
) -> None:
    setting = Setting(is_compressed=True, takes_context_over=takes_context_over)
    compressor = Compressor(setting)
    texts = [b'{"id":%d}' % number for number in range(50)]
    stream = b"".join(frame(0xC1, compressor.compress(text)) + frame(0x82, text) for text in texts)

    async def main() -> None:
        feed = Feed(setting).open()
        monkeypatch.setattr(feed.protocol, "receive_data", lambda data: pytest.fail("handed to the library"))
        for at in range(0, len(stream), 100):
            feed.connection.data_received(stream[at : at + 100])
        assert feed.messages == [
            message for text in texts for message in ((Kind.TEXT, text), (Kind.BINARY, text))
        ]

    asyncio.run(main())


def test_a_fault_behind_compressed_messages_is_as_in_the_library() -> None:
    compressor = Compressor(DEFAULTS)
    good = [frame(0xC1, compressor.compress(b"%d" % number)) for number in range(100)]
    bomb = frame(0xC1, compressor.compress(b"\0" * 100_000))
    for fault in (bomb, frame(0xC1, b"\x06\x00"), frame(0xC1, b"\xff" * 990), frame(0x81, b"\xff")):
        for setting in (Setting(is_compressed=True), Setting(None, is_compressed=True)):
            for behind in (b"", good[0], frame(0x89, b"ping")):
                stream = b"".join(good) + fault + behind
                asyncio.run(compare(Script(setting, [stream], 0, 0, True)))


def test_a_large_message_in_many_reads_is_not_copied_for_each_of_them() -> None:
    size = 2**23

    async def main() -> None:
        feed = Feed(Setting(limit=size)).open()
        started = time.process_time()
        for stream in (frame(0x82, b"x" * size), frame(0x81, b"a")):
            for at in range(0, len(stream), 1024):
                feed.connection.data_received(stream[at : at + 1024])
        assert time.process_time() - started < 0.5
        assert feed.messages == [(Kind.BINARY, b"x" * size), (Kind.TEXT, b"a")]

    asyncio.run(main())


def test_a_refused_handshake_is_left_to_the_library() -> None:
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"

    async def main(size: int) -> None:
        feed = Feed()
        for at in range(0, len(refusal), size):
            feed.connection.data_received(refusal[at : at + size])
        assert feed.connection.response is not None
        assert feed.connection.response.status_code == 429
        assert feed.connection.response.body == b"busy"
        assert feed.connection.response_rcvd.done()

    for size in (1, 3, 1000):
        asyncio.run(main(size))


# Letting go


def test_messages_that_came_before_the_receiver_are_kept_for_it() -> None:
    async def main() -> None:
        feed = Feed()
        feed.connection.data_received(feed.response + frame(0x81, b"a") + frame(0x82, b"b"))
        feed.connection.data_received(frame(0x81, b"c"))
        feed.listen()
        feed.connection.data_received(frame(0x81, b"d"))
        assert [payload for _, payload in feed.messages] == [b"a", b"b", b"c", b"d"]

    asyncio.run(main())


def test_discarded_messages_are_read_so_that_the_close_is_seen() -> None:
    async def main() -> None:
        feed = Feed()
        feed.connection.data_received(feed.response + frame(0x81, b"early"))
        feed.connection.pause_reading("a")
        feed.connection.discard_messages()
        assert feed.transport.is_reading_now
        feed.listen()
        feed.connection.data_received(frame(0x81, b"late") + frame(1, b"x") + frame(0x80, b"y"))
        feed.connection.pause_reading("b")
        assert feed.transport.is_reading_now
        feed.connection.data_received(frame(0x88, b"\x03\xe8"))
        assert feed.messages == []
        assert feed.close_frames == [1000]

    asyncio.run(main())


def test_messages_can_be_discarded_in_the_middle_of_a_read() -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.deliver_to(lambda *batch: feed.connection.discard_messages())
        feed.connection.data_received(frame(0x81, b"a") + frame(0x82, b"b") + frame(0x89, b"ping"))
        assert feed.outcome().written == [(0x8A, b"ping")]

    asyncio.run(main())


def test_reading_goes_on_when_the_last_holder_lets_go() -> None:
    async def main() -> None:
        feed = Feed().open()
        connection, transport = feed.connection, feed.transport
        connection.pause_reading("a")
        connection.pause_reading("b")
        connection.pause_reading("b")
        connection.resume_reading("a")
        assert not transport.is_reading_now
        connection.resume_reading("a")
        connection.resume_reading("stranger")
        assert not transport.is_reading_now
        connection.resume_reading("b")
        assert transport.is_reading_now
        connection.resume_reading("b")
        assert transport.resumes == 1

    asyncio.run(main())


TO_DISCARD = {
    "plain": [frame(0x81, b"a"), frame(0x82, b"b" * 200), frame(0x81, b"\xff")],
    "large": [frame(0x82, b"x" * 70_000), frame(0x81, b"a")],
    "beyond the limit": [frame(0x82, b"x" * 2**21)],
    "compressed": [frame(0xC1, b"no deflate"), frame(0x41, b"nor"), frame(0x80, b"this")],
    "fragments": [frame(0x01, b"a"), frame(0x89, b"1"), frame(0x00, b"b"), frame(0x80, b"c")],
}


@pytest.mark.parametrize("name", TO_DISCARD)
@pytest.mark.parametrize("is_closing", [False, True], ids=["open", "closing"])
@pytest.mark.parametrize("size", [1 << 30, 1000, 7])
def test_what_is_discarded_is_passed_over_up_to_the_close(name: str, is_closing: bool, size: int) -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.data_received(frame(0x81, b"before") + frame(0x82, b"begun")[:3])
        feed.connection.discard_messages()
        if is_closing:
            feed.protocol.send_close(1001)
            feed.connection.send_data()
        stream = (
            frame(0x82, b"begun")[3:]
            + b"".join(TO_DISCARD[name])
            + frame(0x89, b"2")
            + frame(0x88, b"\x03\xe8")
        )
        for start in range(0, len(stream), size):
            assert feed.protocol.close_rcvd is None
            feed.connection.data_received(stream[start : start + size])
        assert feed.messages == [(Kind.TEXT, b"before")]
        assert feed.close_frames == [1001 if is_closing else 1000]
        assert feed.protocol.close_rcvd is not None and feed.protocol.close_rcvd.code == 1000
        pongs = [each for data in feed.transport.written if (each := unmask(data)) and each[0] == 0x8A]
        assert pongs[-1] == (0x8A, b"2")
        feed.receive_eof()
        assert feed.protocol.parser_exc is None

    asyncio.run(main())


def test_a_message_that_the_library_has_begun_to_read_is_read_to_its_end_before_others_are_discarded() -> (
    None
):
    async def main() -> None:
        feed = Feed().open()
        feed.connection.data_received(frame(0x01, b"a"))
        feed.connection.discard_messages()
        feed.connection.data_received(frame(0x80, b"b") + frame(0x81, b"c") + frame(0x88, b"\x03\xe8"))
        assert feed.messages == []
        assert feed.close_frames == [1000]
        feed.receive_eof()

    asyncio.run(main())


@pytest.mark.parametrize("is_discarding", [False, True])
def test_after_a_read_that_has_left_more_behind_others_have_their_turn(is_discarding: bool) -> None:
    async def main() -> None:
        feed = Feed().open()
        if is_discarding:
            feed.connection.discard_messages()
        feed.connection.data_received(frame(0x82, b"x" * 256_000))
        assert not feed.transport.is_reading_now
        await asyncio.sleep(0)
        assert feed.transport.is_reading_now

    asyncio.run(main())


def test_a_connection_that_is_held_back_meanwhile_does_not_read_on() -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.data_received(frame(0x82, b"x" * 256_000))
        feed.connection.pause_reading("slow")
        await asyncio.sleep(0)
        assert not feed.transport.is_reading_now
        feed.connection.resume_reading("slow")
        assert feed.transport.is_reading_now

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong", [frame(0x83, b"a"), frame(0x81, b"a", Lengths(masked=True)), frame(0x89, b"p" * 126)]
)
def test_what_no_server_may_send_fails_the_connection_though_messages_are_discarded(wrong: bytes) -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.discard_messages()
        feed.connection.data_received(frame(0x81, b"a") + wrong + frame(0x81, b"b"))
        assert feed.close_frames == [1002]

    asyncio.run(main())


def test_a_failed_connection_reads_on_until_the_peer_closes() -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.deliver_to(lambda *batch: feed.connection.pause_reading("slow"))
        feed.connection.data_received(frame(0x81, b"a") + frame(0x81, b"\xff"))
        assert feed.close_frames == [1007]
        assert feed.transport.is_reading_now

    asyncio.run(main())


def test_what_only_the_handshake_needed_is_let_go_and_all_goes_on() -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.settle()
        assert feed.connection.request is None
        feed.connection.data_received(frame(0x81, b"a") + frame(0x89, b"ping") + frame(0x81, b"b"))
        assert feed.messages == [(Kind.TEXT, b"a"), (Kind.TEXT, b"b")]
        feed.connection.pause_writing()
        draining = asyncio.ensure_future(feed.connection.drain())
        await asyncio.sleep(0)
        feed.connection.resume_writing()
        await draining
        feed.connection.data_received(frame(0x88, b"\x03\xe8"))
        assert feed.close_frames == [1000]
        feed.connection.connection_lost(None)
        await feed.connection.wait_closed()

    asyncio.run(main())


# Time


def run_fast(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(main)


class Ponger:
    """A server that answers pings after a time, unless it is silent; nothing arrives while reading is paused."""

    def __init__(self, feed: Feed, delay_s: float = 0.1) -> None:
        self.feed = feed
        self.delay_s = delay_s
        self.is_silent = False
        self.pings = 0
        self.loop = asyncio.get_running_loop()
        feed.transport.on_write = self._answer

    def _answer(self, data: bytes) -> None:
        answer = unmask(data)
        if answer is not None and answer[0] == 0x89:
            self.pings += 1
            if not self.is_silent:
                self.loop.call_later(self.delay_s, self._arrive, frame(0x8A, answer[1]))

    def _arrive(self, pong: bytes) -> None:
        if self.feed.transport.is_reading_now:
            self.feed.connection.data_received(pong)
        else:
            self.loop.call_later(0.1, self._arrive, pong)


@pytest.fixture(autouse=True)
def no_unretrieved_exceptions(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing may be logged as an error by the library or by asyncio."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def keepalive_feed() -> Feed:
    feed = Feed(ping_interval=20.0).open()
    feed.connection.start_keepalive()
    return feed


def test_a_silent_server_that_does_not_even_read_pings_is_left() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        loop = asyncio.get_running_loop()
        feed.connection.pause_writing()  # as if much had been sent that nobody reads
        await asyncio.sleep(50)
        assert feed.connection.state is State.OPEN
        await asyncio.sleep(30)
        assert feed.close_frames == [1011] and loop.time() <= 80
        feed.receive_eof()

    run_fast(main())


def test_a_server_that_answers_pings_stays_connected() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        ponger = Ponger(feed)
        await asyncio.sleep(1000)
        assert 48 <= ponger.pings <= 50
        assert feed.protocol.state is State.OPEN
        feed.receive_eof()

    run_fast(main())


def test_an_overdue_pong_fails_the_connection_with_1011_and_the_peer_has_the_close_timeout_to_follow() -> (
    None
):
    async def main() -> None:
        feed = keepalive_feed()
        ponger = Ponger(feed)
        ponger.is_silent = True
        await asyncio.sleep(40)
        assert feed.close_frames == []
        await asyncio.sleep(2)
        assert feed.close_frames == [1011]
        assert feed.transport.aborted_at is None
        await asyncio.sleep(10)
        assert feed.transport.aborted_at == pytest.approx(51)
        feed.connection.connection_lost(None)

    run_fast(main())


def test_a_pong_that_a_lagging_loop_reads_late_is_not_overdue() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        ponger = Ponger(feed, delay_s=20.5)
        await asyncio.sleep(1000)
        assert ponger.pings > 20
        assert feed.protocol.state is State.OPEN
        feed.receive_eof()

    run_fast(main())


@pytest.mark.parametrize("paused_at", [10.0, 20.05, 39.0])
def test_a_pong_that_this_side_does_not_read_is_not_overdue(paused_at: float) -> None:
    async def main() -> None:
        feed = keepalive_feed()
        ponger = Ponger(feed)
        await asyncio.sleep(paused_at)
        feed.connection.pause_reading("sink")
        await asyncio.sleep(500)
        assert feed.close_frames == []
        assert ponger.pings <= 1
        feed.connection.resume_reading("sink")
        await asyncio.sleep(500)
        assert feed.close_frames == []
        assert ponger.pings > 20
        ponger.is_silent = True
        await asyncio.sleep(42)
        assert feed.close_frames == [1011]
        feed.receive_eof()

    run_fast(main())


def test_a_dead_server_is_noticed_after_reading_was_resumed() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        Ponger(feed).is_silent = True
        await asyncio.sleep(21)
        feed.connection.pause_reading("sink")
        await asyncio.sleep(100)
        feed.connection.resume_reading("sink")
        await asyncio.sleep(15)
        assert feed.close_frames == []
        await asyncio.sleep(27)
        assert feed.close_frames == [1011]
        feed.receive_eof()

    run_fast(main())


def test_a_pong_behind_data_that_still_comes_is_not_overdue() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        Ponger(feed).is_silent = True
        feed.listen()
        for _ in range(20):
            await asyncio.sleep(10)
            feed.connection.data_received(frame(0x81, b"{}"))
        assert feed.close_frames == []
        await asyncio.sleep(45)
        assert feed.close_frames == [1011]
        feed.receive_eof()

    run_fast(main())


def test_without_a_ping_timeout_a_pong_is_never_overdue() -> None:
    async def main() -> None:
        feed = keepalive_feed()
        feed.connection.ping_timeout = None
        ponger = Ponger(feed)
        ponger.is_silent = True
        await asyncio.sleep(1000)
        assert ponger.pings >= 49
        assert feed.close_frames == []
        feed.receive_eof()

    run_fast(main())


@pytest.mark.parametrize(
    "last", [frame(0x88, b"\x03\xe8"), frame(0x83, b""), frame(0x81, b"\xff"), frame(0x81, b"x" * 1001)]
)
def test_a_peer_that_does_not_finish_the_closing_handshake_is_cut_off(last: bytes) -> None:
    async def main() -> None:
        feed = Feed().open()
        await asyncio.sleep(5)
        feed.connection.data_received(last)
        assert len(feed.close_frames) == 1
        await asyncio.sleep(60)
        assert feed.transport.aborted_at == 15
        feed.connection.connection_lost(None)

    run_fast(main())


def test_a_peer_that_finishes_the_closing_handshake_is_not_cut_off() -> None:
    async def main() -> None:
        feed = Feed().open()
        feed.connection.data_received(frame(0x88, b"\x03\xe8"))
        await asyncio.sleep(9)
        feed.receive_eof()
        await asyncio.sleep(60)
        assert feed.transport.aborted_at is None

    run_fast(main())
