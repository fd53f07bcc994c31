"""Headers of frames, and texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.frames import NO_LIMIT, Header, first_invalid_text, read_header


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
