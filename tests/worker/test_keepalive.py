"""How a connection is kept alive is tested with the connection; here, what its surroundings have to do with it."""

from __future__ import annotations

import asyncio

from websockets.protocol import State

from scaleout.config import Endpoint
from tests.worker.peers import PING, Peer
from tests.worker.test_connection import run_fast


def _peer(ping_timeout: float = 20.0) -> Peer:
    return Peer(Endpoint(uri="ws://feed.test/", ping_interval=20.0, ping_timeout=ping_timeout))


def _pings(peer: Peer) -> list[float]:
    return [sent.at for sent in peer.sent if sent.opcode == PING]


def test_it_pings_an_interval_after_the_pong() -> None:
    async def main() -> None:
        peer = _peer()
        await asyncio.sleep(65)
        assert _pings(peer) == [20, 40, 60]

    run_fast(main())


def test_it_waits_for_its_turn_to_ping() -> None:
    async def main() -> None:
        peer = _peer()

        async def wait() -> None:
            await asyncio.sleep(5)

        peer.connection.turn_to_ping = wait
        await asyncio.sleep(55)
        assert _pings(peer) == [25, 50]

    run_fast(main())


def test_a_connection_that_ends_waits_for_no_turn() -> None:
    async def main() -> None:
        peer = _peer()
        turns: list[str] = []

        async def wait() -> None:
            turns.append("begun")
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                turns.append("cut short")
                raise

        peer.connection.turn_to_ping = wait
        await asyncio.sleep(21)
        peer.connection.connection_lost(None)
        await asyncio.sleep(100)
        assert turns == ["begun", "cut short"]
        assert _pings(peer) == []

    run_fast(main())


def test_without_a_timeout_no_pings_pile_up_for_a_peer_that_does_not_read() -> None:
    async def main() -> None:
        peer = _peer(ping_timeout=0)
        peer.connection.pause_writing()
        await asyncio.sleep(90)
        assert _pings(peer) == []
        peer.connection.resume_writing()
        await asyncio.sleep(20)
        assert _pings(peer) == [100]

    run_fast(main())


def test_a_connection_that_is_being_closed_is_not_pinged() -> None:
    async def main() -> None:
        peer = _peer()
        peer.connection.protocol.fail(1002)
        peer.connection.send_data()
        await asyncio.sleep(30)
        assert _pings(peer) == []
        assert peer.connection.state is not State.OPEN

    run_fast(main())
