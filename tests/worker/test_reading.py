"""Plain frames are cut out, whatever the reads are; all else goes elsewhere, in its place."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.protocol import State

from scaleout.core.frames import Kind, read_header
from scaleout.worker.reading import Reader
from tests.worker.gathering import Worker
from tests.worker.peers import FastLoop, run_fast

LIMIT = 300
PING = b"\x89\x02hi"


def frame(payload: bytes, first: int = Kind.TEXT) -> bytes:
    size = len(payload)
    return (bytes((first, size)) if size < 126 else bytes((first, 126)) + size.to_bytes(2, "big")) + payload


class Library:
    """The library's protocol, as far as it is seen."""

    current_size: int | None = None
    state = State.OPEN


class Connection:
    """Stands around a reader, and notes what comes from it."""

    def __init__(self) -> None:
        self.library = Library()
        self.seen: list[tuple[str, bytes]] = []
        self.reader = Reader(
            self.library,
            LIMIT,
            self._begin,
            self._take_other,
            self._deliver,
            lambda data: self._note("late", data),
            lambda ping: self._note("other", bytes((0x89, len(ping))) + ping),
            lambda: self._note("breath", b""),
        )

    def _note(self, what: str, data: bytes) -> None:
        self.seen.append((what, data))

    def _begin(self, data: bytes) -> None:
        self._note("handshake", data)
        self.reader.is_upgraded = True

    def _take_other(self, data: bytes, position: int) -> int:
        """As the connection does: whole frames to the library, what isn't whole is kept."""
        header = read_header(data, position)
        stop = len(data) + 1 if header is None else position + header.size + header.length
        if stop > len(data):
            self.reader.keep_rest(data[position:], 0 if header is None else stop - position)
            return len(data)
        self._note("other", data[position:stop])
        if data[position] == 0x88:
            self.library.state = State.CLOSING
        return stop

    def _deliver(self, payloads: list[bytes], kind: Kind) -> None:
        for payload in payloads:
            self._note(kind.name, payload)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({each % (len(data) + 1) for each in cuts}), len(data)]
    return [data[start:stop] for start, stop in pairwise(places) if start < stop]


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 5, 125, 126, LIMIT]), st.sampled_from([Kind.TEXT, Kind.TEXT, Kind.BINARY])
    )
    | st.just(None),
    max_size=12,
)


@settings(max_examples=200)
@given(FRAMES, st.lists(st.integers(0, 4000), max_size=12), st.booleans())
def test_however_it_is_cut(frames: list[tuple[int, Kind] | None], cuts: list[int], is_by_lane: bool) -> None:
    data = b""
    expected: list[tuple[str, bytes]] = []
    for number, each in enumerate(frames):
        if each is None:
            data += PING
            expected.append(("other", PING))
        else:
            size, kind = each
            payload = (b"%d" % (number % 10)) * size
            data += frame(payload, kind)
            expected.append((kind.name, payload))

    async def scenario() -> None:
        connection = Connection()
        reader = connection.reader
        reader.take(b"handshake")
        assert connection.seen == [("handshake", b"handshake")]
        connection.seen.clear()
        made = Worker(1, str_of, linger_s=0.0, loop=cast(FastLoop, asyncio.get_running_loop()))
        if is_by_lane:
            reader.lane = made.inlets[0].lane
        for read in cut(data, cuts):
            reader.take(read)
        if is_by_lane:
            plain = [payload.decode() for what, payload in expected if what != "other"]
            assert made.data_of(0) == plain
            assert reader.messages == len(plain) == made.tally.messages[0]
            assert connection.seen == [each for each in expected if each[0] == "other"]
        else:
            assert connection.seen == expected
            assert reader.messages == 0
        assert reader.take_rest() == b""
        reader.lane = None
        made.close()

    run_fast(scenario())


def str_of(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode()


def test_text_that_is_none_does_not_go_the_short_way() -> None:
    async def scenario() -> None:
        connection = Connection()
        made = Worker(
            1, None, message_format="text", linger_s=0.0, loop=cast(FastLoop, asyncio.get_running_loop())
        )
        connection.reader.is_upgraded = True
        connection.reader.lane = made.inlets[0].lane
        connection.reader.take(frame(b"fine"))
        connection.reader.take(frame(b"\xff"))
        assert made.data_of(0) == ["fine"]
        assert connection.seen == [("TEXT", b"\xff")]

    run_fast(scenario())


@pytest.mark.parametrize("is_cut", [True, False])
def test_what_comes_behind_a_close_is_late(is_cut: bool) -> None:
    connection = Connection()
    connection.reader.is_upgraded = True
    close, behind = b"\x88\x02\x03\xe8", frame(b"2")
    if is_cut:
        connection.reader.take(frame(b"1") + close[:3])
        connection.reader.take(close[3:] + behind)
    else:
        connection.reader.take(frame(b"1") + close + behind)
    connection.reader.take(frame(b"3"))
    assert connection.seen == [("TEXT", b"1"), ("other", close), ("late", behind), ("late", frame(b"3"))]


def test_while_a_message_is_in_fragments_the_library_has_all_frames() -> None:
    connection = Connection()
    connection.reader.is_upgraded = True
    connection.library.current_size = 5
    connection.reader.take(frame(b"1") + frame(b"2"))
    connection.library.current_size = None
    connection.reader.take(frame(b"3"))
    assert connection.seen == [("other", frame(b"1")), ("other", frame(b"2")), ("TEXT", b"3")]


def test_a_payload_over_the_limit_is_left_to_the_library() -> None:
    connection = Connection()
    connection.reader.is_upgraded = True
    connection.reader.take(frame(b"1") + frame(bytes(LIMIT + 1)) + frame(b"2"))
    assert [what for what, _ in connection.seen] == ["TEXT", "other", "TEXT"]


def test_the_time_of_the_last_read() -> None:
    connection = Connection()
    connection.reader.take(b"handshake")
    first = connection.reader.read_at
    connection.reader.take(frame(b"1"))
    assert 10**18 < first <= connection.reader.read_at
