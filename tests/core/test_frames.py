"""The scanner of plain frames."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.frames import NO_LIMIT, Header, Kind, first_invalid_text, read_header, scan_run


def frame(first: int, payload: bytes, form: int = 0) -> bytes:
    size = len(payload)
    if form == 127 or size > 0xFFFF:
        return struct.pack("!BBQ", first, 127, size) + payload
    if form == 126 or size > 125:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BB", first, size) + payload


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
    encoded = [frame(kind, payload, form) for payload, form in frames]
    data = (before + b"".join(encoded))[: len(before) + cut]
    payloads, position = scan_run(data, len(before), NO_LIMIT)
    assert payloads == [payload for payload, _ in frames][: len(payloads)]
    assert position == len(before) + sum(map(len, encoded[: len(payloads)]))
    if len(payloads) < len(frames):
        assert position + len(encoded[len(payloads)]) > len(data), "a complete frame was left"


@pytest.mark.parametrize(
    "stop",
    [
        frame(Kind.BINARY, b"b"),
        frame(0x01, b"fragment"),
        frame(0x80, b""),
        frame(0x89, b"ping"),
        frame(0xC1, b"compressed"),
        b"\x81\x81\0\0\0\0m",
        frame(Kind.TEXT, b"x" * 11),
    ],
)
def test_a_run_ends_at_a_frame_that_is_not_plain(stop: bytes) -> None:
    data = frame(Kind.TEXT, b"x" * 10) * 2 + stop + frame(Kind.TEXT, b"c")
    assert scan_run(data, 0, 10) == ([b"x" * 10] * 2, 24)


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x88\x00", b"\x00", b"\x81\x7f" + b"\xff" * 8])
def test_no_run(data: bytes) -> None:
    assert scan_run(data, 0, NO_LIMIT) == ([], 0)
    assert scan_run(data, len(data), NO_LIMIT) == ([], len(data))


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"", None),
        (b"\x89", None),
        (b"\x89\x05", Header(0x89, False, 2, 5)),
        (b"\x01\x7e\x01", None),
        (b"\x01\x7e\x01\x02", Header(0x01, False, 4, 258)),
        (b"\x01\x7f" + bytes(7), None),
        (b"\x01\x7f" + b"\xff" * 8, Header(0x01, False, 10, 2**64 - 1)),
    ],
)
def test_headers(data: bytes, header: Header | None) -> None:
    assert read_header(data, 0) == header
    assert read_header(b"?" + data, 1) == header


@pytest.mark.parametrize("data", [b"\x81\x80", b"\x81\xff", b"\x83\x00", b"\x8f\x7f"])
def test_a_header_may_be_hopeless_after_two_bytes(data: bytes) -> None:
    header = read_header(data, 0)
    assert header is not None
    assert header.is_hopeless(NO_LIMIT)


def test_only_what_a_header_alone_says_is_hopeless() -> None:
    assert not Header(0x81, False, 2, 10).is_hopeless(10)
    assert Header(0x81, False, 2, 11).is_hopeless(10)
    assert not Header(0xF1, False, 2, 1).is_hopeless(10)
    assert not Header(0x09, False, 4, 126).is_hopeless(1000)


@given(st.lists(st.one_of(st.binary(max_size=4), st.text(max_size=4).map(str.encode)), max_size=8))
def test_the_first_invalid_text_is_found(payloads: list[bytes]) -> None:
    def is_valid(payload: bytes) -> bool:
        return payload == payload.decode(errors="replace").encode()

    found = first_invalid_text(payloads)
    expected = next((index for index, payload in enumerate(payloads) if not is_valid(payload)), None)
    assert found == expected


def test_a_character_may_not_be_split_over_two_messages() -> None:
    payloads = [b"a", b"\xc3", b"\xbc"]
    assert first_invalid_text(payloads) == 1
