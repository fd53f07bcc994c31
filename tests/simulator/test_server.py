"""What a plain WebSocket client sees of the simulator, and what the simulator says it sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from scaleout.errors import ConfigError
from scaleout.simulator import Ended, Faults, Simulator, SimulatorConfig
from scaleout.simulator.dialects import FIRST_TIME_US, dialect, dialect_names, trade_message
from scaleout.simulator.recording import Recording, load_recording, save_recording

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]


def trades(stream: int, start: int, stop: int) -> list[str | bytes]:
    return [trade_message(stream, sequence).decode() for sequence in range(start, stop)]


def test_two_connections_see_the_same_sequence(run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=2, rate=4000, count=400)) as simulator:
            uri = simulator.endpoints[0].uri
            async with connect(uri, proxy=None) as first, connect(uri, proxy=None) as second:
                early, late = await asyncio.gather(take(first), take(second))
            assert early.messages == trades(0, 0, 400)
            assert late.messages == trades(0, 400 - len(late.messages), 400)
            assert (late.code, early.code) == (1000, 1000)

    run(scenario())


@pytest.mark.parametrize("name", dialect_names())
def test_every_dialect_is_spoken_after_its_subscription(name: str, run: Run, take: Take) -> None:
    async def scenario() -> None:
        spoken = dialect(name)
        # Slowly enough for the subscription to come before the last message has been sent.
        config = SimulatorConfig(endpoints=1, dialect=name, rate=100, count=50, await_subscribe=True)
        async with Simulator(config) as simulator:
            got = await take(simulator.endpoints[0].uri, send=spoken.subscribe(0))
            await simulator.wait_idle()
            (record,) = simulator.connections
        replies = [reply.decode() for reply in spoken.replies(0, spoken.subscribe(0), 0)]
        assert got.messages[: len(replies)] == replies
        assert len(got.messages) == len(replies) + record.messages
        assert (record.last, record.received) == (49, (spoken.subscribe(0),))

    run(scenario())


def test_coinbase_counts_per_connection(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, dialect="coinbase", rate=4000, count=300)
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            early = asyncio.create_task(take(uri, send=dialect("coinbase").subscribe(0)))
            async with connect(uri, proxy=None) as late:
                got = await take(late)
            for messages in ((await early).messages, got.messages):
                numbers = [json.loads(message)["sequence_num"] for message in messages]
                assert numbers == list(range(len(messages)))

    run(scenario())


def test_rates_are_uneven_as_asked(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=3, rate=5500, zipf=1.0, count=1500, start="server")
        async with Simulator(config) as simulator, contextlib.AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(connect(uri, proxy=None)) for _, uri in simulator.endpoints
            ]
            await take(connections[2], limit=300)
            counts = [record.messages for record in simulator.connections]
            await asyncio.gather(*(take(connection) for connection in connections))
        assert counts[0] / counts[2] == pytest.approx(3.0, rel=0.2)
        assert counts[0] / counts[1] == pytest.approx(2.0, rel=0.2)

    run(scenario())


@pytest.mark.parametrize("speed", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("binary", [False, True])
def test_a_replay_is_byte_for_byte(binary: bool, speed: float, tmp_path: Path, run: Run, take: Take) -> None:
    messages = [f'{{"n":{n},"text":"šest ☕","pad":"{"x" * (n % 900)}"}}'.encode() for n in range(2000)]
    if binary:
        messages = [message + b"\xff\x00\n" for message in messages]
    path = save_recording(tmp_path, Recording("feed", binary, messages, [200 * n for n in range(2000)]))

    async def scenario() -> None:
        async with Simulator(SimulatorConfig(replay=(str(path),), speed=speed)) as simulator:
            assert simulator.endpoints[0].name == "feed"
            got = await take(simulator.endpoints[0].uri)
        assert got.messages == [message if binary else message.decode() for message in messages]
        assert got.code == 1000

    run(scenario())


def test_a_paced_replay_goes_on_while_a_client_is_away(tmp_path: Path, run: Run, take: Take) -> None:
    messages = [b"%d" % n for n in range(1000)]
    path = save_recording(tmp_path, Recording("feed", False, messages, [1000 * n for n in range(1000)]))

    async def scenario() -> None:
        async with Simulator(SimulatorConfig(replay=(str(path),))) as simulator:
            uri = simulator.endpoints[0].uri
            first = await take(uri, limit=10)
            second = await take(uri)
            await simulator.wait_idle()
            records = simulator.connections
        assert first.messages == [str(n) for n in range(10)]
        missed = 1000 - len(second.messages)
        assert missed >= 10
        assert second.messages == [str(n) for n in range(missed, 1000)]
        assert (records[-1].first, records[-1].last) == (missed, 999)

    run(scenario())


def test_resumed_connections_share_one_sequence(run: Run, take: Take) -> None:
    faults = Faults(disconnect_after=700, disconnect_code=1012)

    async def scenario() -> None:
        async with Simulator(
            SimulatorConfig(endpoints=1, firehose=True, count=2000, resume=True, faults=faults)
        ) as simulator:
            got = [await take(simulator.endpoints[0].uri) for _ in range(4)]
            await simulator.wait_idle()
            records = simulator.connections
        assert [message for part in got for message in part.messages] == trades(0, 0, 2000)
        assert [part.code for part in got] == [1012, 1012, 1000, 1000]
        assert [(record.first, record.last) for record in records] == [
            (0, 699),
            (700, 1399),
            (1400, 1999),
            (None, None),
        ]
        assert {record.ended for record in records} == {Ended.CLOSED}

    run(scenario())


@pytest.mark.parametrize("size", [60, 131, 1024, 16_384])
def test_a_firehose_counts_and_closes(size: int, run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, firehose=True, message_size=size, count=2345)
        async with Simulator(config) as simulator:
            got = await take(simulator.endpoints[0].uri)
        assert [json.loads(message)["seq"] for message in got.messages] == list(range(2345))
        assert {len(message) for message in got.messages} == {size}
        assert got.code == 1000

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_disconnects_after_messages_lose_nothing_inside(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_after=100, disconnect_code=1012)
        config = SimulatorConfig(endpoints=1, firehose=firehose, rate=5000, faults=faults)
        async with Simulator(config) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert (got.messages, got.code) == (trades(0, 0, 100), 1012)
        assert (record.first, record.last, record.messages) == (0, 99, 100)
        assert (record.ended, record.close_code) == (Ended.CLOSED, 1012)

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_disconnects_after_a_time(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_every_s=0.2)
        config = SimulatorConfig(endpoints=1, firehose=firehose, rate=500, faults=faults)
        async with Simulator(config) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert got.code == 1001
        assert record.closed_at is not None and record.closed_at - record.opened_at >= 0.2
        assert record.messages == len(got.messages)

    run(scenario())


def test_a_reset_is_abrupt(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_after=100, disconnect="reset")
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults)) as simulator:
            async with connect(simulator.endpoints[0].uri, proxy=None) as connection:
                got = await take(connection)
                assert isinstance(connection.connection_exc, ConnectionResetError)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert got.code == 1006
        assert got.messages == trades(0, 0, len(got.messages))
        assert (record.last, record.ended, record.close_code) == (99, Ended.RESET, 1006)

    run(scenario())


def test_garbage_comes_between_the_messages(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(garbage_every=10)
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, count=100, faults=faults)) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert [message for place, message in enumerate(got.messages, 1) if place % 11] == trades(0, 0, 100)
        assert (record.messages, record.garbage, len(got.messages)) == (100, 10, 110)

    run(scenario())


def test_fragments_and_pings_change_nothing_for_a_client(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(fragment_every=3, ping_every=3)
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, count=90, faults=faults)) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert got.messages == trades(0, 0, 90)
        assert (record.pings, record.pongs) == (30, 30)

    run(scenario())


@pytest.mark.parametrize(
    ("faults", "code"),
    [(Faults(invalid_utf8_after=20), 1007), (Faults(oversized_after=20, oversized_bytes=2**20 + 1), 1009)],
)
def test_a_poisoned_message_comes_last(faults: Faults, code: int, run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults)) as simulator:
            async with connect(simulator.endpoints[0].uri, proxy=None, max_size=2**20) as connection:
                got = await take(connection)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert got.messages == trades(0, 0, 20)
        assert (record.last, record.poisoned, record.close_code) == (19, True, code)
        assert record.ended is Ended.CLIENT

    run(scenario())


def test_silence_keeps_the_connection_open(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(silence_after=20)
        async with (
            Simulator(SimulatorConfig(endpoints=1, rate=5000, faults=faults)) as simulator,
            connect(simulator.endpoints[0].uri, proxy=None) as connection,
        ):
            got = await take(connection, limit=20)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.1)
            await (await connection.ping())
        assert got.messages == trades(0, 0, 20)

    run(scenario())


def test_faults_of_the_first_connections_spare_the_others(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_after=10, first_connections=1)
        config = SimulatorConfig(endpoints=1, firehose=True, count=50, faults=faults)
        async with Simulator(config) as simulator:
            lengths = [len((await take(simulator.endpoints[0].uri)).messages) for _ in range(2)]
        assert lengths == [10, 50]

    run(scenario())


def test_handshakes_are_refused_with_status_and_retry_after(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(refuse_first=1, refuse_status=429, retry_after_s=7)
        async with Simulator(SimulatorConfig(endpoints=1, count=1, faults=faults)) as simulator:
            uri = simulator.endpoints[0].uri
            with pytest.raises(InvalidStatus) as refused:
                await take(uri)
            response = refused.value.response
            assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
            assert (await take(uri)).messages == trades(0, 0, 1)
            assert [attempt.status for attempt in simulator.attempts] == [429, 101]
            assert ("Host", urlsplit(uri).netloc) in simulator.attempts[1].headers

    run(scenario())


def test_a_handshake_can_be_slow(run: Run) -> None:
    async def scenario() -> None:
        faults = Faults(handshake_delay_s=100.0)
        async with Simulator(SimulatorConfig(endpoints=1, faults=faults)) as simulator:
            with pytest.raises(TimeoutError):
                async with connect(simulator.endpoints[0].uri, proxy=None, open_timeout=0.2):
                    pass

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_messages_are_compressed_for_clients_that_offer_it(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(fragment_every=7, ping_every=5)
        config = SimulatorConfig(
            endpoints=1, firehose=firehose, rate=5000, count=300, compression=True, faults=faults
        )
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            async with connect(uri, proxy=None) as connection:
                assert connection.protocol.extensions
                assert (await take(connection)).messages == trades(0, 0, 300)
            if firehose:
                assert (await take(uri)).messages == trades(0, 0, 300)
            await simulator.wait_idle()
            compressed, *plain = simulator.connections
        assert all(compressed.bytes < record.bytes * 0.75 for record in plain)

    run(scenario())


def test_connections_may_see_a_feed_late(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=1000, count=600, shift=0.2)
        async with Simulator(config) as simulator, contextlib.AsyncExitStack() as stack:
            uri = simulator.endpoints[0].uri
            connections = [
                await stack.enter_async_context(connect(uri, proxy=None, max_queue=None)) for _ in range(5)
            ]
            await take(connections[0], limit=300)
            positions = {record.last for record in simulator.connections}
            got = await asyncio.gather(*(take(connection) for connection in connections[1:]))
        assert len(positions) > 1
        for part in got:
            assert part.messages == trades(0, 600 - len(part.messages), 600)
            assert part.messages

    run(scenario())


def test_there_is_nothing_at_other_paths(run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1)) as simulator:
            with pytest.raises(InvalidStatus, match="404"):
                await take(simulator.endpoints[0].uri + "7")

    run(scenario())


def test_jetstream_looks_back_from_a_cursor(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, dialect="jetstream", rate=3000, count=600, at_end="hold")
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            await take(uri, limit=300)
            again = await take(f"{uri}?cursor={FIRST_TIME_US + 250_000}", limit=350)
        spoken = dialect("jetstream")
        assert again.messages == [spoken.message(0, n).decode() for n in range(250, 600)]

    run(scenario())


def test_a_cursor_in_the_future_begins_now(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, dialect="jetstream", rate=3000, count=50)
        async with Simulator(config) as simulator:
            got = await take(f"{simulator.endpoints[0].uri}?cursor={FIRST_TIME_US + 10_000}")
        assert len(got.messages) == 50

    run(scenario())


async def stalled_client(uri: str) -> asyncio.StreamWriter:
    """Opens a connection that reads no more than the first message's header."""
    parts = urlsplit(uri)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
    writer.write(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(4)
    return writer


def test_a_client_that_is_too_slow_is_cut(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(
            endpoints=1, rate=1000, message_size=16_384, max_lag=2**22, count=1500, close_timeout=0.1
        )
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            stalled = await stalled_client(uri)
            got = await take(uri)
            await simulator.wait_idle()
            stalled.close()
            slow, quick = sorted(simulator.connections, key=lambda record: record.messages)
        assert len(got.messages) == quick.messages
        assert (slow.ended, quick.ended) == (Ended.CUT, Ended.CLOSED)
        assert slow.messages < quick.messages

    run(scenario())


def test_a_lossless_feed_waits_for_slow_clients(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(
            endpoints=1, rate=20_000, message_size=16_384, max_lag=2**20, count=2000, lossless=True
        )
        async with Simulator(config) as simulator:
            uri = simulator.endpoints[0].uri
            async with connect(uri, proxy=None, max_queue=1) as slow:
                quick = await take(uri)
                got = await take(slow)
        assert got.messages == [trade_message(0, n, 16_384).decode() for n in range(2000)]
        assert quick.code == got.code == 1000

    run(scenario())


def test_a_stalled_client_does_not_hold_up_the_end(run: Run) -> None:
    async def scenario() -> None:
        async with Simulator(SimulatorConfig(endpoints=1, firehose=True)) as simulator:
            stalled = await stalled_client(simulator.endpoints[0].uri)
        stalled.close()
        (record,) = simulator.connections
        assert record.ended is Ended.STOPPED

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_tls_is_verified_against_the_simulators_authority(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> str:
        config = SimulatorConfig(endpoints=1, rate=5000, count=500, tls=True, firehose=firehose)
        async with Simulator(config) as simulator:
            (uri,) = (endpoint.uri for endpoint in simulator.endpoints)
            assert uri.startswith("wss://") and simulator.ca_file is not None
            with pytest.raises(ssl.SSLCertVerificationError):
                async with connect(uri, proxy=None):
                    pass
            context = ssl.create_default_context(cafile=simulator.ca_file)
            async with connect(uri, proxy=None, ssl=context) as connection:
                assert (await take(connection)).messages == trades(0, 0, 500)
            return simulator.ca_file

    assert not Path(run(scenario())).exists()


def test_a_recording_that_cannot_be_read_is_an_error_at_once(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigError, match="can't be read"):
            async with Simulator(SimulatorConfig(replay=(str(tmp_path / "none.jsonl.gz"),))):
                pass

    run(scenario())


def test_recorded_feeds_are_replayed_byte_for_byte(run: Run, take: Take, recorded_feeds: list[Path]) -> None:
    files = recorded_feeds

    async def scenario() -> None:
        async with Simulator(SimulatorConfig(replay=tuple(map(str, files)), speed=0)) as simulator:
            for path, (_, uri) in zip(files, simulator.endpoints, strict=True):
                recording = load_recording(path)
                got = await take(uri)
                assert [
                    message.encode() if isinstance(message, str) else message for message in got.messages
                ] == recording.messages
                assert {type(message) for message in got.messages} == {bytes if recording.binary else str}

    run(scenario())
