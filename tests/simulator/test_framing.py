"""The frames that the simulator sends are those that websockets' own parser reads."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from scaleout.simulator.framing import encode_fragments, encode_frame, frame_header


def parsed(reads: Iterable[bytes]) -> list[Frame]:
    protocol = Protocol(Side.CLIENT, max_size=None)
    for read in reads:
        protocol.receive_data(read)
    assert protocol.parser_exc is None
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@given(payload=st.binary(max_size=300), opcode=st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
def test_a_frame_is_read_as_it_was_meant(payload: bytes, opcode: Opcode) -> None:
    (frame,) = parsed([encode_frame(opcode, payload)])
    assert (frame.opcode, frame.data, frame.fin) == (opcode, payload, True)


@pytest.mark.parametrize("size", [0, 125, 126, 127, 65_535, 65_536])
def test_every_form_of_length_is_read(size: int) -> None:
    (frame,) = parsed([encode_frame(Opcode.BINARY, b"x" * size)])
    assert len(frame.data) == size
    assert len(frame_header(Opcode.BINARY, size)) == (2 if size < 126 else 4 if size < 65_536 else 10)


@given(
    payload=st.binary(max_size=300),
    pieces=st.integers(1, 5),
    pings=st.lists(st.binary(max_size=9), max_size=2),
)
def test_fragments_make_up_the_message(payload: bytes, pieces: int, pings: list[bytes]) -> None:
    between = [encode_frame(Opcode.PING, ping) for ping in pings]
    frames = parsed([encode_fragments(Opcode.TEXT, payload, pieces, between)])
    data = [frame for frame in frames if frame.opcode is not Opcode.PING]
    assert b"".join(bytes(frame.data) for frame in data) == payload
    assert [frame.fin for frame in data] == [False] * (pieces - 1) + [True]
    assert [frame.opcode for frame in data] == [Opcode.TEXT] + [Opcode.CONT] * (pieces - 1)
    assert [frame.data for frame in frames if frame.opcode is Opcode.PING] == pings
    if pieces > 1:
        assert [frame.opcode for frame in frames[1 : 1 + len(pings)]] == [Opcode.PING] * len(pings)
