"""The silent server: handshakes, pings, closes and storms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from bench.sides.quiet_server import Arrived, Expect, Probe, Storm, Stormed
from bench.talking import Helper, helper


def serve(talk: Callable[[Helper, str], Coroutine[Any, Any, None]]) -> None:
    with helper("quiet_server", [], None) as server:
        addresses = msgspec.json.decode(server.hear(), type=list[str])
        asyncio.run(talk(server, addresses[-1]))


async def ask(server: Helper, command: msgspec.Struct) -> bytes:
    server.tell(command)
    return await asyncio.to_thread(server.hear)


def test_pings_are_answered_and_closes_too() -> None:
    async def talk(server: Helper, address: str) -> None:
        async with connect(address) as client:
            await (await client.ping(b"x" * 100))
        assert client.close_code == 1000

    serve(talk)


def test_arrivals_are_told() -> None:
    async def talk(server: Helper, address: str) -> None:
        server.tell(Expect(2))
        async with connect(address):
            assert await asyncio.to_thread(server.hear) == b"\n"
            async with connect(address):
                arrived = msgspec.json.decode(await asyncio.to_thread(server.hear), type=Arrived)
                assert arrived.seconds > 0

    serve(talk)


def test_a_storm_comes_to_all_but_probes() -> None:
    async def received(client: ClientConnection) -> str:
        return str(await asyncio.wait_for(client.recv(), 5))

    async def talk(server: Helper, address: str) -> None:
        async with (
            connect(f"{address}/1") as one,
            connect(f"{address}/2") as two,
            connect(f"{address}/probe") as probe,
        ):
            stormed = msgspec.json.decode(await ask(server, Storm("ping")), type=Stormed)
            assert stormed.answered_s is not None
            await ask(server, Storm("text"))
            await ask(server, Probe())
            assert await received(one) == await received(two) == '{"op":"heartbeat"}'
            assert await received(probe) == "lag"

    serve(talk)
