"""A generator, as clients of another library see it."""

from __future__ import annotations

import asyncio
import ssl
import time

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from bench.errors import BenchError
from bench.feed import FEEDS_VARIABLE, Feed
from bench.generator.process import GeneratorProcess
from bench.workload import Trade

decode = msgspec.json.Decoder(Trade).decode


async def open_connection(generator: GeneratorProcess) -> ClientConnection:
    context = ssl.create_default_context(cafile=generator.ca_file) if generator.ca_file else None
    compression = None if generator.feed.deflate == "off" else "deflate"
    return await connect(generator.uri, compression=compression, ssl=context, proxy=None)


async def numbers(connection: ClientConnection, count: int) -> list[int]:
    return [decode(await connection.recv()).seq for _ in range(count)]


async def read_to_the_end(connection: ClientConnection) -> None:
    async for _ in connection:
        pass


@pytest.mark.parametrize(
    "feed", [Feed(), Feed(tls=True), Feed(deflate="takeover"), Feed(deflate="fresh")], ids=str
)
def test_a_saturated_connection_gets_all_and_then_a_close(feed: Feed) -> None:
    if feed.tls:
        pytest.importorskip("trustme")

    async def receive(generator: GeneratorProcess) -> None:
        connection = await open_connection(generator)
        assert await numbers(connection, 3_000) == list(range(3_000))
        reading = asyncio.create_task(read_to_the_end(connection))
        await connection.close()
        await reading
        assert connection.close_code == 1000

    with GeneratorProcess(feed) as generator:
        asyncio.run(receive(generator))


def test_nothing_is_sent_before_all_are_there_and_each_side_begins_with_the_first_message() -> None:
    async def receive(generator: GeneratorProcess) -> None:
        first = await open_connection(generator)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first.recv(), 0.05)
        second = await open_connection(generator)
        assert await numbers(first, 10) == await numbers(second, 10) == list(range(10))
        for connection in (first, second):
            connection.transport.abort()

    with GeneratorProcess(Feed(connections=2)) as generator:
        asyncio.run(receive(generator))
        asyncio.run(receive(generator))


def test_a_paced_feed_keeps_its_rate_and_sends_to_each_in_turn() -> None:
    async def receive(generator: GeneratorProcess) -> float:
        connections = [await open_connection(generator) for _ in range(4)]
        began_s = time.monotonic()
        for connection in connections:
            assert await numbers(connection, 50) == list(range(50))
        took_s = time.monotonic() - began_s
        await asyncio.gather(*(connection.close() for connection in connections))
        assert {connection.close_code for connection in connections} == {1000}
        return took_s

    with GeneratorProcess(Feed(connections=4, rate=1_000)) as generator:
        assert asyncio.run(receive(generator)) >= 0.19


def test_a_generator_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FEEDS_VARIABLE, "/nowhere")
    with pytest.raises(BenchError, match="the generator failed"), GeneratorProcess(Feed(recording="none")):
        pass
