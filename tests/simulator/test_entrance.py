"""Streams: one connection that subscribes to many by name, and a URI for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from scaleout.simulator import Dialogue, Ended, Faults, Simulator, SimulatorConfig

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]


def simulator_of(**keys: Any) -> Simulator:
    return Simulator(SimulatorConfig(**{"endpoints": 4, "rate": 4000, "zipf": 0.0, **keys}))


def to(simulator: Simulator, query: str = "") -> connect:
    return connect(simulator.streams_uri + query, proxy=None, max_queue=None)


def asking(op: str, *streams: str) -> str:
    return json.dumps({"op": op, "streams": streams})


async def take_until(connection: ClientConnection, key: str, value: object) -> list[Any]:
    """All messages up to the one in which a member has a value."""
    got = [json.loads(await connection.recv())]
    while got[-1].get(key, ...) != value:
        got.append(json.loads(await connection.recv()))
    return got


def numbers_of(got: list[Any], stream: str) -> list[int]:
    return [message["seq"] for message in got if message.get("stream") == stream]


def test_a_connection_subscribes_to_streams_and_leaves_them(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of() as simulator:
            assert simulator.stream_names == ["feed0", "feed1", "feed2", "feed3"]
            async with to(simulator) as connection:
                await connection.send(asking("subscribe", "feed0", "feed2"))
                first = json.loads(await connection.recv())
                assert first == {"type": "subscribed", "streams": ["feed0", "feed2"]}
                both = await take_until(connection, "seq", 50)
                await connection.send(asking("unsubscribe", "feed0"))
                both += await take_until(connection, "type", "unsubscribed")
                await connection.send(asking("subscribe", "feed2", "feed3"))
                after = await take_until(connection, "type", "subscribed")
                after += await take_until(connection, "stream", "feed3")
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert both[-1]["streams"] == ["feed0"]
        assert {message.get("stream") for message in after} == {"feed2", "feed3", None}
        feed0, feed2, feed3 = record.streams
        assert (feed0.name, feed0.endpoint, feed2.name, feed3.name) == (
            "feed0",
            "trade-000",
            "feed2",
            "feed3",
        )
        assert feed0.first is not None and feed0.last is not None and feed2.first is not None
        assert numbers_of(both, "feed0") == list(range(feed0.first, feed0.last + 1))
        got = numbers_of(both + after, "feed2")
        assert got == list(range(feed2.first, feed2.first + len(got)))
        assert feed0.unsubscribed_at is not None and feed2.unsubscribed_at is None
        assert (record.endpoint, record.first, record.replies) == ("streams", None, 3)
        assert record.messages == feed0.messages + feed2.messages + feed3.messages

    run(scenario())


def test_binance_streams_go_by_their_own_names(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(dialect="binance") as simulator:
            assert simulator.stream_names[:2] == ["btcusdt@trade", "ethusdt@trade"]
            async with to(simulator) as connection:
                streams = simulator.stream_names[:2]
                asked = {"method": "SUBSCRIBE", "params": streams, "id": 7}
                await connection.send(json.dumps(asked))
                assert json.loads(await connection.recv()) == {"result": None, "id": 7}
                got = [json.loads(await connection.recv()) for _ in range(200)]
                await connection.send(json.dumps({**asked, "method": "UNSUBSCRIBE", "id": 8}))
                await take_until(connection, "id", 8)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(connection.recv(), 0.05)
        for stream in streams:
            numbers = [message["data"]["t"] for message in got if message["stream"] == stream]
            assert len(numbers) > 50 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    run(scenario())


def test_unknown_streams_and_too_many_are_refused(run: Run) -> None:
    async def scenario() -> None:
        keys = {"rate": 0.0, "dialogue": Dialogue(max_streams=2)}
        async with simulator_of(**keys) as simulator:
            async with to(simulator) as connection:

                async def ask(*streams: str) -> Any:
                    await connection.send(asking("subscribe", *streams))
                    return json.loads(await connection.recv())

                assert await ask("feed0", "feed9") == {"type": "error", "message": "unknown stream feed9"}
                assert (await ask("feed0", "feed1", "feed2"))["message"].startswith("too many streams")
                assert (await ask("feed0", "feed1"))["type"] == "subscribed"
                assert (await ask("feed1"))["type"] == "subscribed"
                assert (await ask("feed2"))["type"] == "error"
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert [stream.name for stream in record.streams] == ["feed0", "feed1"]

    run(scenario())


def test_streams_can_be_named_in_the_query(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of() as simulator, to(simulator, "?streams=feed1/feed3") as connection:
            got = [json.loads(await connection.recv()) for _ in range(100)]
        assert {message["stream"] for message in got} == {"feed1", "feed3"}

    run(scenario())


@pytest.mark.parametrize("spelling", ["feed3", "feed3@trade", "feed3%40trade"])
def test_each_stream_has_a_uri(spelling: str, run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with simulator_of(count=300) as simulator:
            uri = simulator.stream_template.replace("{stream}", spelling)
            got = await take(uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert [json.loads(message)["seq"] for message in got.messages] == list(range(300))
        assert (record.endpoint, record.streams) == ("trade-003", ())

    run(scenario())


def test_faults_befall_a_shared_connection_as_a_whole(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_after=100, disconnect_code=1012)
        async with simulator_of(faults=faults) as simulator:
            got = await take(simulator.streams_uri + "?streams=feed0/feed1/feed2")
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert (len(got.messages), got.code, record.ended) == (100, 1012, Ended.CLOSED)
        assert (record.messages, len(record.streams)) == (100, 3)

    run(scenario())


def test_a_gap_may_be_in_one_stream_alone(run: Run, take: Take) -> None:
    async def scenario() -> None:
        keys = {"count": 100, "faults": Faults(skip_every=10, only_endpoint=1)}
        async with simulator_of(**keys) as simulator, to(simulator, "?streams=feed0/feed1") as connection:
            got = [json.loads(await connection.recv()) for _ in range(190)]
            (record,) = simulator.connections
        assert numbers_of(got, "feed0") == list(range(100))
        assert numbers_of(got, "feed1") == [number for number in range(100) if number % 10 != 9]
        assert [stream.skipped for stream in record.streams] == [0, 10]

    run(scenario())


def test_dialects_without_names_of_streams_have_none(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(dialect="kraken") as simulator:
            assert simulator.stream_names == []
            with pytest.raises(InvalidStatus, match="404"):
                async with to(simulator):
                    pass

    run(scenario())
