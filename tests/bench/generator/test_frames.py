"""What a client decodes of an encoded cycle, however long it goes on."""

from __future__ import annotations

import itertools

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from bench.feed import Deflate, Feed, messages
from bench.generator.frames import BLOCK_BYTES, blocks, encode


def decoded(data: bytes, deflate: Deflate) -> list[bytes]:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    if deflate != "off":
        client.extensions = [PerMessageDeflate(deflate == "fresh", False, 15, 15)]
    client.receive_data(data)
    events = client.events_received()
    assert all(isinstance(event, Frame) and event.fin and event.opcode is Opcode.TEXT for event in events)
    return [bytes(event.data) for event in events if isinstance(event, Frame)]


@pytest.mark.parametrize("deflate", ["off", "takeover", "fresh"])
def test_a_client_gets_the_cycle_over_and_over(deflate: Deflate) -> None:
    cycle = messages(Feed(message_bytes=1024))[:200]
    frames = encode(cycle, deflate)
    sent = b"".join(itertools.chain(frames.lead, frames.loop, frames.loop))
    assert decoded(sent, deflate) == cycle * 3


@pytest.mark.parametrize("deflate", ["takeover", "fresh"])
def test_what_is_compressed_is_smaller(deflate: Deflate) -> None:
    cycle = messages(Feed())[:1_000]
    assert sum(map(len, encode(cycle, deflate).loop)) < sum(map(len, cycle)) * 0.9


def test_blocks_hold_whole_frames() -> None:
    frames = [bytes(1_000)] * 600
    made = blocks(frames)
    assert b"".join(made) == b"".join(frames)
    assert len(made) == 3
    assert all(len(block) % 1_000 == 0 and len(block) < BLOCK_BYTES + 1_000 for block in made)
