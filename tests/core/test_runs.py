"""The same payloads and the same end as header by header, and what is done with messages where they lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.frames import IS_COMPILED, NO_LIMIT, Kind, first_invalid_text, read_header
from scaleout.core.runs import Run, find_run, run_of
from scaleout.simulator.dialects.trade import trade_message

LIMIT = 2**20


def frame(payload: bytes, first: int = Kind.TEXT, form: int = 0) -> bytes:
    """Its size is written in the shortest of the three forms, or in a longer one."""
    size = len(payload)
    if form == 127 or size > 0xFFFF:
        return struct.pack("!BBQ", first, 127, size) + payload
    if form == 126 or size > 125:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BB", first, size) + payload


def scan(data: bytes, position: int, limit: int) -> tuple[list[bytes], int]:
    """What `find_run` finds, cut out, and where it ends."""
    run = find_run(data, position, limit)
    if run is None:
        return [], position
    payloads = run.payloads()
    assert (run.count, run.size_bytes) == (len(payloads), sum(map(len, payloads)))
    return payloads, run.stop


def scan_slowly(data: bytes, position: int, limit: int) -> tuple[list[bytes], int]:
    """What `find_run` is to find, header by header."""
    payloads: list[bytes] = []
    while (header := read_header(data, position)) is not None:
        start = position + header.size
        stop = start + header.length
        is_of_run = header.first in tuple(Kind) and header.first == data[0]
        if not is_of_run or header.masked or header.length > limit or stop > len(data):
            break
        payloads.append(data[start:stop])
        position = stop
    return payloads, position


sizes = st.one_of(
    st.integers(0, 130),
    st.integers(120, 132),
    st.integers(2040, 2056),
    st.sampled_from([0, 1, 125, 126, 127, 2047, 2048, 5000, 65535, 65536]),
)


@given(
    sizes=st.lists(sizes, min_size=1, max_size=8),
    repeats=st.integers(1, 40),
    interloper=st.sampled_from([None, 0x82, 0x89, 0x01, 0xC1, 0x88]),
    cut=st.integers(0, 300),
    limit=st.sampled_from([LIMIT, 2048, 2047, 130]),
)
def test_finds_what_a_frame_at_a_time_finds(
    sizes: list[int], repeats: int, interloper: int | None, cut: int, limit: int
) -> None:
    run = b"".join(frame(bytes([number % 251]) * size) for number, size in enumerate(sizes)) * repeats
    end = b"" if interloper is None else frame(b"other", interloper) + frame(b"behind")
    data = run + end
    data = data[: max(len(data) - cut, 0)]
    assert scan(data, 0, limit) == scan_slowly(data, 0, limit)


@pytest.mark.parametrize("size", [0, 1, 60, 125, 126, 131, 2047, 2048])
def test_a_cut_anywhere_in_the_last_frames_is_seen(size: int) -> None:
    whole = frame(b"x" * size)
    data = whole * (2 + 8192 // len(whole))
    for cut in range(2 * len(whole) + 1):
        payloads, stop = scan(data[: len(data) - cut], 0, LIMIT)
        assert stop == (len(data) - cut) // len(whole) * len(whole)
        assert payloads == [b"x" * size] * (stop // len(whole))


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_frame_with_a_smaller_header_ends_the_data(size: int) -> None:
    data = frame(b"x" * 500) * 20 + frame(b"y" * size)
    assert scan(data, 0, LIMIT) == ([b"x" * 500] * 20 + [b"y" * size], len(data))


def test_a_run_ends_before_the_other_kind() -> None:
    texts, binaries = frame(b"t" * 100) * 100, frame(b"b" * 100, Kind.BINARY) * 100
    payloads, stop = scan(texts + binaries, 0, LIMIT)
    assert (payloads, stop) == ([b"t" * 100] * 100, len(texts))
    payloads, stop = scan(texts + binaries, stop, LIMIT)
    assert (payloads, stop) == ([b"b" * 100] * 100, len(texts + binaries))


def test_a_masked_frame_ends_a_run() -> None:
    texts = frame(b"t" * 100) * 100
    masked = bytes((0x81, 0x80 | 100)) + b"mask" + b"t" * 100
    assert scan(texts + masked + texts, 0, LIMIT)[1] == len(texts)


def test_starts_where_it_is_told() -> None:
    start = frame(b"a" * 10)
    assert scan(start + frame(b"b" * 100) * 90, len(start), LIMIT)[0] == [b"b" * 100] * 90


PAYLOADS = st.one_of(st.binary(max_size=5), st.sampled_from([125, 126, 127, 0xFFFF, 0x10000]).map(bytes))
FORMS = st.sampled_from([0, 126, 127])


@given(
    st.sampled_from(list(Kind)),
    st.lists(st.tuples(PAYLOADS, FORMS), max_size=6),
    st.binary(max_size=3),
    st.integers(0, 2**17),
)
def test_a_run_is_all_complete_frames_of_one_kind(
    kind: Kind, frames: list[tuple[bytes, int]], before: bytes, cut: int
) -> None:
    encoded = [frame(payload, kind, form) for payload, form in frames]
    data = (before + b"".join(encoded))[: len(before) + cut]
    payloads, position = scan(data, len(before), NO_LIMIT)
    assert payloads == [payload for payload, _ in frames][: len(payloads)]
    assert position == len(before) + sum(map(len, encoded[: len(payloads)]))
    if len(payloads) < len(frames):
        assert position + len(encoded[len(payloads)]) > len(data), "a complete frame was left"


@pytest.mark.parametrize(
    "stop",
    [
        frame(b"b", Kind.BINARY),
        frame(b"fragment", 0x01),
        frame(b"", 0x80),
        frame(b"ping", 0x89),
        frame(b"compressed", 0xC1),
        b"\x81\x81\0\0\0\0m",
        frame(b"x" * 11, Kind.TEXT),
    ],
)
def test_a_run_ends_at_a_frame_that_is_not_plain(stop: bytes) -> None:
    data = frame(b"x" * 10, Kind.TEXT) * 2 + stop + frame(b"c", Kind.TEXT)
    assert scan(data, 0, 10) == ([b"x" * 10] * 2, 24)


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x88\x00", b"\x00", b"\x81\x7f" + b"\xff" * 8])
def test_no_run(data: bytes) -> None:
    assert scan(data, 0, NO_LIMIT) == ([], 0)
    assert scan(data, len(data), NO_LIMIT) == ([], len(data))


# Where they lie

KINDS_OF_RUN = pytest.mark.parametrize("is_cut_out", [False, True])
payload_lists = st.lists(st.one_of(PAYLOADS, st.text(max_size=4).map(str.encode)), min_size=1, max_size=8)


def run_with(payloads: list[bytes], is_cut_out: bool) -> Run:
    if is_cut_out:
        return run_of(payloads)
    run = find_run(b"".join(map(frame, payloads)) + b"\x89\0", 0, NO_LIMIT)
    assert run is not None
    return run


@KINDS_OF_RUN
@given(payloads=payload_lists)
def test_text_is_what_each_message_is(is_cut_out: bool, payloads: list[bytes]) -> None:
    run = run_with(payloads, is_cut_out)
    assert run.is_text() == (first_invalid_text(payloads) is None)
    assert (run.count, run.size_bytes, run.payloads()) == (len(payloads), sum(map(len, payloads)), payloads)


@KINDS_OF_RUN
@pytest.mark.parametrize("bad", [b"{", b'"', b"", b'{"a":1', b"[1,2", b'"\\', b"tru", b"1\n"])
def test_those_are_counted_that_are_json_for_sure(is_cut_out: bool, bad: bytes) -> None:
    payloads = [trade_message(1, number) for number in range(5)]
    assert run_with(payloads, is_cut_out).count_sure() == (5 if IS_COMPILED else 0)
    payloads[3] = bad
    assert run_with(payloads, is_cut_out).count_sure() == (3 if IS_COMPILED else 0)


@pytest.mark.skipif(not IS_COMPILED, reason="uncompiled, joining is faster")
@KINDS_OF_RUN
@given(payloads=payload_lists, head=st.binary(max_size=70), end=st.binary(max_size=3))
def test_lines_are_written_behind_each_other(
    is_cut_out: bool, payloads: list[bytes], head: bytes, end: bytes
) -> None:
    size_bytes = sum(map(len, payloads)) + len(payloads) * len(head + end)
    target = bytearray(2 + size_bytes + 3)
    assert run_with(payloads, is_cut_out).write_lines(target, 2, head, end) == 2 + size_bytes
    assert target == bytes(2) + b"".join([head + payload + end for payload in payloads]) + bytes(3)
