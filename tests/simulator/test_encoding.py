"""Blocks of messages hold the same frames as the messages one by one."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode

from scaleout.simulator.dialects import dialect, trade_message
from scaleout.simulator.encoding import PlainEncoder, TradeEncoder
from scaleout.simulator.faults import Faults, StreamFaults
from scaleout.simulator.framing import encode_frame


def one_by_one(start: int, stop: int, size: int) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, trade_message(2, n, size)) for n in range(start, stop))


@pytest.mark.parametrize("size", [60, 131, 1024, 16_384])
@pytest.mark.parametrize("start", [0, 1000, 9000, 10_000, 123_000, 99_999_000])
def test_blocks_hold_trades(size: int, start: int) -> None:
    encoder = TradeEncoder(2, size)
    for block in range(start, start + 3 * encoder.block_messages, encoder.block_messages):
        stop = block + encoder.block_messages
        assert encoder.encode(block, stop, 0).data == one_by_one(block, stop, size)


@pytest.mark.parametrize("size", [60, 131, 200, 1024])
def test_trades_can_begin_and_end_anywhere(size: int) -> None:
    encoder = TradeEncoder(2, size)
    places = [0, 3, 999, 1000, 1001, 5003, 6000, 6789, 9990, 10_007, 12_345, 12_346, 99_998, 103_000, 9_998]
    for start in places:
        for count in (1, 7, 8, 20, 997, 2500):
            assert encoder.encode(start, start + count, 0).data == one_by_one(start, start + count, size)


@pytest.mark.parametrize(("size", "messages"), [(60, 1000), (131, 1000), (1024, 100), (16_384, 10)])
def test_blocks_stay_small_when_messages_are_large(size: int, messages: int) -> None:
    assert TradeEncoder(0, size).block_messages == messages


def test_messages_go_out_in_order_with_the_recordings_opcode() -> None:
    messages = [b"a", b"", b"\xff"]
    block = PlainEncoder(messages.__getitem__, opcode=Opcode.BINARY).encode(0, 3, 0)
    assert block.data == b"\x82\x01a\x82\x00\x82\x01\xff"


def test_bodies_get_the_connections_numbers() -> None:
    coinbase = dialect("coinbase")
    encoder = PlainEncoder(lambda n: coinbase.message(0, n), per_connection=True)
    data = encoder.encode(100, 103, 7).data
    assert [b'"sequence_num":%d,' % number in data for number in range(6, 11)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_faults_of_the_stream_are_counted() -> None:
    faults = StreamFaults(Faults(garbage_every=2, ping_every=5, fragment_every=3), seed=1, stream=0)
    block = PlainEncoder(lambda n: b"%d" % n, faults=faults).encode(0, 10, 0)
    assert (block.garbage, block.pings) == (5, 2)
    assert b"\x89\x014" in block.data
    assert b"\x01\x01" in block.data
    parts = [PlainEncoder(lambda n: b"%d" % n, faults=faults).encode(n, n + 1, 0).data for n in range(10)]
    assert b"".join(parts) == block.data
