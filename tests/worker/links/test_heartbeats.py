"""Heartbeats of this side's: in time whatever else goes on, and no server is taken for dead that isn't."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from scaleout.config import Endpoint, Heartbeat
from scaleout.logs import EndpointLogger
from scaleout.worker.links.heartbeats import beat
from scaleout.worker.links.outgoing import Outgoing
from tests.worker.peers import Peer, block_loop, run_fast

EVERY_S = 15.0


class Beating:
    """Heartbeats to a peer, and what becomes of it."""

    def __init__(self, peer: Peer, **keys: Any) -> None:
        self.peer = peer
        self.given_up: list[tuple[float, str]] = []
        heartbeat = Heartbeat(**{"send": "ping", "every": EVERY_S, "expect": "pong", **keys})
        peer.connection.deliver_to(lambda *_: None)
        self.task = asyncio.create_task(
            beat(
                heartbeat,
                peer.connection,
                Outgoing(peer.connection, None),
                lambda why: self.given_up.append((peer.loop.time(), why)),
                EndpointLogger("feed", ()),
            )
        )

    @property
    def times(self) -> list[float]:
        return [frame.at for frame in self.peer.sent]

    async def end(self) -> None:
        self.task.cancel()
        self.peer.lose()


def quiet_peer(**options: Any) -> Peer:
    return Peer(Endpoint(uri="ws://feed.test/", ping_interval=0), **options)


def test_they_go_out_in_time_while_data_flows_too() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer(replies={"ping": ["pong"]}), send={"op": "ping"}, expect=None)
        for _ in range(610):
            await asyncio.sleep(0.1)
            beating.peer.say("data")
        assert beating.times == pytest.approx([15, 30, 45, 60])
        assert beating.peer.texts == ['{"op":"ping"}'] * 4
        assert beating.given_up == []
        await beating.end()

    run_fast(main())


def test_a_server_that_answers_lives() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer(replies={"ping": ["pong"]}))
        await asyncio.sleep(1000)
        assert len(beating.times) == 66 and beating.given_up == []
        await beating.end()

    run_fast(main())


def test_a_server_that_says_nothing_at_all_is_dead() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer())
        await beating.task
        ((at, why),) = beating.given_up
        assert why == "no answer to the heartbeat within 15 s"
        assert 30 <= at < 31 and beating.times == [15.0]
        beating.peer.lose()

    run_fast(main())


def test_any_sign_of_life_will_do() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer())
        for _ in range(100):
            await asyncio.sleep(14)
            beating.peer.say("data")
        assert beating.given_up == []
        await beating.end()

    run_fast(main())


def test_without_an_answer_to_expect_a_silent_server_is_left_alone() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer(), expect=None)
        await asyncio.sleep(1000)
        assert beating.given_up == [] and len(beating.times) == 66
        await beating.end()

    run_fast(main())


@pytest.mark.parametrize("is_free_when_due", [False, True])
def test_time_held_back_does_not_count(is_free_when_due: bool) -> None:
    async def main() -> None:
        beating = Beating(quiet_peer(replies={"ping": ["pong"]}))
        connection = beating.peer.connection
        await asyncio.sleep(14)
        for _ in range(20):
            connection.pause_reading("sink")
            await asyncio.sleep(14.99)
            if is_free_when_due:
                connection.resume_reading("sink")  # the pong comes right after the look
            await asyncio.sleep(0.01)
        connection.resume_reading("sink")
        await asyncio.sleep(60)
        assert beating.given_up == []
        assert len(beating.times) == 24, "the server is told all the while that somebody is there"
        await beating.end()

    run_fast(main())


def test_a_lag_does_not_count() -> None:
    async def main() -> None:
        beating = Beating(quiet_peer())
        connection, loop = beating.peer.connection, beating.peer.loop
        await asyncio.sleep(20)
        loop.call_later(0, block_loop, 100)
        await asyncio.sleep(1)  # the timers come first, as in uvloop
        loop.call_later(0.05, beating.peer.say, "what came meanwhile")
        await asyncio.sleep(5)
        assert beating.given_up == [] and not connection.is_held
        await beating.end()

    run_fast(main())


def test_they_end_with_the_connection_and_complain_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        beating = Beating(quiet_peer())
        await asyncio.sleep(20)
        beating.peer.lose()
        await beating.task

    with caplog.at_level(logging.DEBUG, "scaleout"):
        run_fast(main())
    assert caplog.messages == []


def test_a_peer_that_does_not_read_gets_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        beating = Beating(quiet_peer(is_deaf=True))
        beating.peer.transport.unread_bytes = 2**21
        for _ in range(10):
            await asyncio.sleep(10)
            beating.peer.say("data")
        assert beating.given_up == [] and beating.times == []
        await beating.end()

    run_fast(main())
    assert "can't send the heartbeat: does not read what it is sent" in caplog.messages
