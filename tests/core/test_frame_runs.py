"""Runs of many frames, where the scan is a loop in C: the same payloads and the same end as a frame at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.frames import Kind, read_header, scan_run

LIMIT = 2**20


def frame(payload: bytes, first: int = Kind.TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 2**16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def scan_slowly(data: bytes, position: int, limit: int) -> tuple[list[bytes], int]:
    """What `scan_run` is to find, header by header."""
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
    assert scan_run(data, 0, limit) == scan_slowly(data, 0, limit)


@pytest.mark.parametrize("size", [0, 1, 60, 125, 126, 131, 2047, 2048])
def test_a_cut_anywhere_in_the_last_frames_is_seen(size: int) -> None:
    whole = frame(b"x" * size)
    data = whole * (2 + 8192 // len(whole))
    for cut in range(2 * len(whole) + 1):
        payloads, stop = scan_run(data[: len(data) - cut], 0, LIMIT)
        assert stop == (len(data) - cut) // len(whole) * len(whole)
        assert payloads == [b"x" * size] * (stop // len(whole))


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_frame_with_a_smaller_header_ends_the_data(size: int) -> None:
    data = frame(b"x" * 500) * 20 + frame(b"y" * size)
    assert scan_run(data, 0, LIMIT) == ([b"x" * 500] * 20 + [b"y" * size], len(data))


def test_a_run_ends_before_the_other_kind() -> None:
    texts, binaries = frame(b"t" * 100) * 100, frame(b"b" * 100, Kind.BINARY) * 100
    payloads, stop = scan_run(texts + binaries, 0, LIMIT)
    assert (payloads, stop) == ([b"t" * 100] * 100, len(texts))
    payloads, stop = scan_run(texts + binaries, stop, LIMIT)
    assert (payloads, stop) == ([b"b" * 100] * 100, len(texts + binaries))


def test_a_masked_frame_ends_a_run() -> None:
    texts = frame(b"t" * 100) * 100
    masked = bytes((0x81, 0x80 | 100)) + b"mask" + b"t" * 100
    assert scan_run(texts + masked + texts, 0, LIMIT)[1] == len(texts)


def test_starts_where_it_is_told() -> None:
    start = frame(b"a" * 10)
    assert scan_run(start + frame(b"b" * 100) * 90, len(start), LIMIT)[0] == [b"b" * 100] * 90
