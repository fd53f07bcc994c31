from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.skipping import skip_data


def frame(first: int, size: int, form: int | None = None) -> bytes:
    """A frame of so many bytes of payload, which looks like the beginning of other frames."""
    if form == 127 or size > 0xFFFF:
        header = struct.pack("!BBQ", first, 127, size)
    elif form == 126 or size > 125:
        header = struct.pack("!BBH", first, 126, size)
    else:
        header = struct.pack("!BB", first, size)
    return header + b"\x88\x02" * (size // 2) + b"\x88" * (size % 2)


DATA = st.builds(
    frame,
    st.sampled_from([0x81, 0x82, 0xC1, 0xC2, 0x01, 0x02, 0x41, 0x00, 0x80]),
    st.one_of(st.integers(0, 130), st.sampled_from([65535, 65536])),
    st.sampled_from([None, None, 126, 127]),
)
OTHERS = st.sampled_from(
    [
        frame(0x88, 2),
        frame(0x89, 4),
        frame(0x8A, 0),
        b"\x83\x00",
        b"\x81\x82abcdxx",
        b"\x81",
        b"\x82\x7e\x00",
        b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00",
        b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
    ]
)


@given(st.binary(max_size=3), st.lists(DATA, max_size=6), OTHERS)
def test_all_data_is_passed_over_and_nothing_else(before: bytes, frames: list[bytes], other: bytes) -> None:
    data = before + b"".join(frames)
    assert skip_data(data + other, len(before)) == len(data)


@given(st.lists(DATA, min_size=1, max_size=3), st.data())
def test_the_last_frame_may_go_on_beyond_the_end(frames: list[bytes], draw: st.DataObject) -> None:
    data = b"".join(frames)
    missing = draw.draw(st.integers(0, max(0, len(frames[-1]) - 10)))
    assert skip_data(data[: len(data) - missing], 0) == len(data)


@pytest.mark.parametrize("data", [b"", b"\x81"])
def test_there_may_be_nothing(data: bytes) -> None:
    assert skip_data(data, 0) == 0
