"""Compressed messages inflated in runs: the same messages, and the same end, as websockets' own extension makes."""

from __future__ import annotations

import zlib
from typing import NamedTuple, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from scaleout.core.frames import Header, read_header
from scaleout.core.inflate import Extension, Inflater

COMPRESSED_TEXT, COMPRESSED_BINARY = 0xC1, 0xC2
RUN_BYTES = 2**20


class Terms(NamedTuple):
    """What was negotiated, and the limit."""

    begins_anew: bool = False
    window_bits: int = 15
    limit: int | None = 2**20

    def extension(self) -> PerMessageDeflate:
        return PerMessageDeflate(self.begins_anew, True, self.window_bits, 15)


DEFAULTS = Terms()
ANEW = Terms(begins_anew=True)


class Compressor:
    """The server's side."""

    def __init__(self, terms: Terms, level: int = -1) -> None:
        self._terms = terms
        self._level = level
        self._renew()

    def _renew(self) -> None:
        self._deflate = zlib.compressobj(level=self._level, wbits=-max(9, self._terms.window_bits))

    def compress(self, payload: bytes) -> bytes:
        if self._terms.begins_anew:
            self._renew()
        return (self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 2**16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


Result = tuple[int, bytes] | str
"""Opcode and data of a frame, or how it failed."""


def take_frame(extension: PerMessageDeflate, header: Header, payload: bytes, limit: int | None) -> Result:
    """What the library makes of a frame."""
    first = header.first
    received = Frame(Opcode(first & 15), payload, bool(first & 128), bool(first & 64))
    if limit is not None and header.length > limit:
        return "too large before it is inflated"
    try:
        decoded = extension.decode(received, max_size=limit)
    except (ProtocolError, PayloadTooBig, AssertionError) as exc:
        return repr(exc)
    return int(decoded.opcode), bytes(decoded.data)


def scan(inflater: Inflater, stream: bytes, position: int) -> tuple[list[bytes], int]:
    """The payloads of the run at `position`, and where it ends."""
    run = inflater.find_run(stream, position)
    return ([], position) if run is None else (run.payloads(), run.stop)


def results_of(stream: bytes, terms: Terms, *, with_runs: bool) -> list[Result]:
    """Frame by frame, up to the first fault or to a frame that is cut off; whole messages in runs where asked."""
    extension = terms.extension()
    inflater = Inflater(cast(Extension, extension), terms.limit)
    results: list[Result] = []
    position = 0
    is_in_fragments = False
    while position < len(stream):
        opcode = stream[position] & 15
        if with_runs and not is_in_fragments:
            payloads, position = scan(inflater, stream, position)
            results += [(opcode, payload) for payload in payloads]
            if payloads:
                continue
        header = read_header(stream, position)
        if header is None or position + header.size + header.length > len(stream):
            break
        start = position + header.size
        position = start + header.length
        results.append(take_frame(extension, header, stream[start:position], terms.limit))
        if isinstance(results[-1], str):
            break
        if opcode < 8:
            is_in_fragments = not header.first & 0x80
    return results


LIMITS = st.sampled_from([None, 2**20, 3000, 300, 10, 1, 0])
TERMS = st.builds(Terms, st.booleans(), st.integers(8, 15), LIMITS)
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 4000).map(lambda size: b"x" * size),
    st.integers(0, 400).map(lambda number: b'{"id":%d,"price":"%d.5"}' % (number, number * 7)),
    st.integers(0, 2200).flatmap(
        lambda size: st.randoms(use_true_random=False).map(lambda r: r.randbytes(size))
    ),
)
CORRUPT = st.one_of(
    st.binary(max_size=12),
    st.integers(2035, 2060).map(lambda size: b"\xff" * size),
    st.integers(2030, 2060).map(lambda size: b"\0" + size.to_bytes(2, "little") * 2 + b"x" * size),
)


@st.composite
def streams(draw: st.DrawFn, terms: Terms) -> bytes:
    """Compressed messages, whole and in fragments, with plain ones, pings and sometimes a fault among them."""
    compressor = Compressor(terms, draw(st.sampled_from([-1, 0, 1, 9])))
    stream = b""
    for _ in range(draw(st.integers(0, 14))):
        dice = draw(st.integers(0, 15))
        opcode = draw(st.sampled_from([1, 1, 1, 2]))
        payload = draw(PAYLOADS)
        if dice < 8:
            stream += frame(0xC0 | opcode, compressor.compress(payload))
        elif dice < 11:
            stream += frame(0x80 | opcode, payload)
        elif dice < 12:
            stream += frame(0x89, payload[:125])
        elif dice < 14:
            whole = compressor.compress(payload)
            cut = draw(st.integers(0, len(whole)))
            stream += frame(0x40 | opcode, whole[:cut]) + frame(0x89, b"ping") + frame(0x80, whole[cut:])
        elif dice < 15:
            whole = compressor.compress(payload)
            stream += frame(0xC0 | opcode, whole[: draw(st.integers(0, len(whole)))])
        else:
            stream += frame(0xC0 | opcode, draw(CORRUPT))
    return stream[: len(stream) - draw(st.sampled_from([0, 0, 1, 5, 300]))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Terms, bytes]:
    terms = draw(TERMS)
    return terms, draw(streams(terms))


@settings(max_examples=500)
@given(cases())
@example((DEFAULTS, frame(COMPRESSED_TEXT, b"") * 3))
@example((ANEW, frame(COMPRESSED_TEXT, b"") * 3))
@example((Terms(limit=None), frame(COMPRESSED_TEXT, b"\xf2\x48" * 1022) * 2))
@example((Terms(limit=0), frame(COMPRESSED_TEXT, b"\0") * 2))
def test_makes_the_same_of_anything_as_the_library(case: tuple[Terms, bytes]) -> None:
    terms, stream = case
    assert results_of(stream, terms, with_runs=True) == results_of(stream, terms, with_runs=False)


@pytest.mark.parametrize("terms", [DEFAULTS, ANEW])
def test_a_run_is_inflated_in_one_go(terms: Terms) -> None:
    compressor = Compressor(terms)
    messages = [b'{"id":%d}' % number for number in range(300)]
    stream = b"".join(frame(COMPRESSED_TEXT, compressor.compress(message)) for message in messages)
    inflater = Inflater(cast(Extension, terms.extension()), terms.limit)
    assert scan(inflater, stream + b"\xc1", 0) == (messages, len(stream))


def test_plain_frames_of_the_same_kind_belong_to_the_run() -> None:
    packed = frame(COMPRESSED_TEXT, Compressor(ANEW).compress(b"b"))
    stream = packed + frame(0x81, b"a") * 2 + packed + frame(0x82, b"c") + packed
    inflater = Inflater(cast(Extension, ANEW.extension()), ANEW.limit)
    assert scan(inflater, stream, 0) == ([b"b", b"a", b"a", b"b"], 2 * len(packed) + 6)


@pytest.mark.parametrize("first", [0x81, 0x82, 0x41, 0x42, 0x89, 0xC9, 0xC0, 0xD1, 0xE1, 0xC3])
def test_a_run_begins_with_a_compressed_message(first: int) -> None:
    inflater = Inflater(cast(Extension, ANEW.extension()), ANEW.limit)
    assert scan(inflater, frame(first, b"\0"), 0) == ([], 0)


def test_a_masked_frame_is_left_alone() -> None:
    inflater = Inflater(cast(Extension, ANEW.extension()), ANEW.limit)
    assert scan(inflater, b"\xc1\x81\0\0\0\0\0", 0) == ([], 0)


@pytest.mark.parametrize("terms", [DEFAULTS, ANEW])
@pytest.mark.parametrize("size", [10_000, 10_000_000])
def test_a_bomb_is_stopped_while_it_is_inflated(terms: Terms, size: int) -> None:
    """It ends the run, and nothing is inflated after it."""
    terms = terms._replace(limit=1000)
    compressor = Compressor(terms)
    good = frame(COMPRESSED_TEXT, compressor.compress(b"a"))
    bomb = compressor.compress(b"\0" * size)[:1000]
    stream = good + frame(COMPRESSED_TEXT, bomb) + frame(COMPRESSED_TEXT, b"\0")
    extension = terms.extension()
    inflater = Inflater(cast(Extension, extension), terms.limit)
    assert scan(inflater, stream, 0) == ([b"a"], len(good))
    assert scan(inflater, stream, len(good)) == ([], len(good))
    assert scan(inflater, stream, len(stream) - 3) == ([], len(stream) - 3)
    with pytest.raises(PayloadTooBig, match="frame exceeds limit of 1000 bytes"):
        extension.decode(Frame(Opcode.TEXT, bomb, True, True), max_size=1000)


def test_no_run_holds_much_more_than_a_mebibyte() -> None:
    size = 300_000
    stream = b"".join(map(frame, [COMPRESSED_BINARY] * 20, [Compressor(ANEW).compress(b"\0" * size)] * 20))
    inflater = Inflater(cast(Extension, ANEW.extension()), ANEW.limit)
    position, runs = 0, []
    while position < len(stream):
        payloads, position = scan(inflater, stream, position)
        runs.append(len(payloads))
    assert runs == [RUN_BYTES // size + 1] * 5
