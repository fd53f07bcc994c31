"""Bad frames, as the library's own client answers them, and what it got before."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, get_args

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from scaleout.simulator import Ended, Faults, Simulator, SimulatorConfig
from scaleout.simulator.badframes import bad_frame
from scaleout.simulator.faults import BadFrame

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]

CODES: dict[str, int] = {
    "reset_mid_frame": 1006,
    "eof_mid_frame": 1006,
    "reserved_bits": 1002,
    "reserved_opcode": 1002,
    "reserved_control_opcode": 1002,
    "masked": 1002,
    "endless_fragments": 1009,
    "bomb": 1009,
    "broken_compression": 1002,
    "large_control": 1002,
    "fragmented_control": 1002,
    "lone_continuation": 1002,
    "nested_message": 1002,
    "bad_close_code": 1002,
    "bad_close_reason": 1007,
    "short_close": 1002,
    "huge_length": 1009,
}
"""With which code the library's client ends the connection."""

COMPRESSED = ("bomb", "broken_compression")


def test_every_bad_frame_is_tried() -> None:
    assert {*CODES, "", "ping_flood"} == {*get_args(BadFrame)}


@pytest.mark.parametrize("fragment_bytes", [1, 15_000])
@pytest.mark.parametrize("kind", CODES)
def test_a_bad_frame_comes_after_the_messages(kind: BadFrame, fragment_bytes: int, run: Run) -> None:
    async def scenario() -> None:
        faults = Faults(
            bad_frame=kind,
            bad_frame_after=7,
            fragment_bytes=fragment_bytes,
            bomb_bytes=2**24,
            first_connections=1,
        )
        config = SimulatorConfig(endpoints=1, rate=5000, compression=True, faults=faults)
        offered = "deflate" if kind in COMPRESSED else None
        async with Simulator(config) as simulator:
            got = 0
            async with connect(
                simulator.endpoints[0].uri, proxy=None, compression=offered, max_size=20_000, max_queue=None
            ) as connection:
                with pytest.raises(ConnectionClosed):
                    while True:
                        await connection.recv()
                        got += 1
            code = connection.protocol.close_sent.code if connection.protocol.close_sent else 1006
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert code == CODES[kind]
        assert (record.messages, record.bad_frame, record.compressed) == (7, kind, offered is not None)
        assert got == 7 or kind == "reset_mid_frame"
        ended = {"reset_mid_frame": Ended.RESET, "eof_mid_frame": Ended.EOF}.get(kind, Ended.CLIENT)
        assert record.ended is ended
        assert record.poisoned is (ended is Ended.CLIENT)

    run(scenario())


@pytest.mark.parametrize("kind", COMPRESSED)
def test_connections_without_compression_are_spared_what_needs_it(
    kind: BadFrame, run: Run, take: Take
) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(
            endpoints=1, rate=5000, count=20, compression=True, faults=Faults(bad_frame=kind)
        )
        async with Simulator(config) as simulator:
            assert len((await take(simulator.endpoints[0].uri)).messages) == 20
            await simulator.wait_idle()
            assert [record.bad_frame for record in simulator.connections] == [""]

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_a_flood_of_pings_is_answered_and_data_goes_on(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(bad_frame="ping_flood", bad_frame_after=5, flood_pings=500)
        config = SimulatorConfig(endpoints=1, rate=5000, count=20, firehose=firehose, faults=faults)
        async with Simulator(config) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert (len(got.messages), record.pings, record.pongs, record.poisoned) == (20, 500, 500, False)

    run(scenario())


def test_a_bad_frame_can_come_first(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(bad_frame="masked")
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults)) as simulator:
            got = await take(simulator.endpoints[0].uri)
            assert (got.messages, got.code) == ([], 1006)

    run(scenario())


def test_a_bomb_is_small_and_inflates_to_its_size() -> None:
    bomb = bad_frame("bomb", Faults(bomb_bytes=2**26))
    assert len(bomb) < 2**26 / 900
    header = 2 + (8 if bomb[1] == 127 else 2)
    inflated = zlib.decompressobj(-15).decompress(bomb[header:] + b"\x00\x00\xff\xff")
    assert inflated == b"x" * 2**26


@pytest.mark.parametrize(
    ("how", "code", "ended"),
    [("close", 1013, Ended.CLOSED), ("reset", 1006, Ended.RESET), ("eof", 1006, Ended.EOF)],
)
@pytest.mark.parametrize("firehose", [False, True])
def test_a_connection_can_end_as_soon_as_it_is_open(
    how: Any, code: int, ended: Ended, firehose: bool, run: Run, take: Take
) -> None:
    async def scenario() -> None:
        faults = Faults(close_at_once=True, disconnect=how, disconnect_code=1013, first_connections=2)
        config = SimulatorConfig(endpoints=1, rate=5000, firehose=firehose, faults=faults)
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            for _ in range(2):
                got = await take(uri)
                assert (got.messages, got.code) == ([], code)
            assert len((await take(uri, limit=20)).messages) == 20
            await simulator.wait_idle()
            *closed, last = simulator.connections
            assert [(record.ended, record.messages) for record in closed] == [(ended, 0)] * 2
            assert last.messages >= 20

    run(scenario())


def test_the_end_of_the_stream_comes_after_all_that_was_sent(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect="eof", disconnect_after=30)
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults)) as simulator:
            got = await take(simulator.endpoints[0].uri)
            assert (len(got.messages), got.code) == (30, 1006)

    run(scenario())


def test_endless_fragments_do_not_hold_up_the_end(run: Run) -> None:
    async def scenario() -> None:
        faults = Faults(bad_frame="endless_fragments", fragment_bytes=60_000)
        async with (
            Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults, close_timeout=0.1)) as simulator,
            connect(simulator.endpoints[0].uri, proxy=None, max_size=None, max_queue=None) as connection,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.2)

    run(scenario())
