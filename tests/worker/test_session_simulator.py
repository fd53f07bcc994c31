"""Sessions with the simulator's servers: what these say and want, and the count of all that comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest

from scaleout.config import Backoff, Endpoint, Heartbeat, Rate, Ready, Reply
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report
from scaleout.logs import EndpointLogger
from scaleout.simulator import ConnectionRecord, Dialogue, Ended, Faults, Simulator, SimulatorConfig
from scaleout.worker.dialing import Dialer
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means
from scaleout.worker.session import Session

MakeDesk = Callable[..., Any]
Execute = Callable[[Awaitable[Any]], Any]

SUBSCRIBE = {"op": "subscribe", "streams": "{streams}"}
READY = Ready(match={"type": "subscribed"}, within=2.0)
LIVE, QUARANTINED = EndpointState.LIVE, EndpointState.QUARANTINED


class Run:
    """A session with a server, looked at as its worker does, but more often."""

    def __init__(
        self,
        desk: MakeDesk,
        uri: str,
        streams: Sequence[str] = (),
        budgeted: Sequence[str] = (),
        **keys: Any,
    ) -> None:
        options = {"name": "feed", "proxy": False, "backoff": Backoff(initial=0.01, maximum=0.02), **keys}
        self.desk = desk()
        self.states: list[EndpointState] = []
        self.reports: list[Report] = []
        self.permits = Permits(self._report)
        self.permits.limit(budgeted)
        self._changed = asyncio.Event()
        self.session = Session(
            Endpoint(uri=uri, **options),
            streams,
            self.desk.inlet,
            Means(Dialer(), self.permits, Random(1)),
            self._note,
            EndpointLogger("feed", ()),
        )
        self.task = asyncio.create_task(self.session.run())
        self._ticking = asyncio.create_task(self._tick())

    def _report(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report, Ask):
            asyncio.get_running_loop().call_soon(self.permits.granted, report.ticket)

    def _note(self, session: Session) -> None:
        if not self.states or self.states[-1] is not session.state:
            self.states.append(session.state)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.session.look(asyncio.get_running_loop().time(), 0.0)
            self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that is looked for whenever the session is."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def reached(self, state: EndpointState, count: int = 1) -> None:
        await self.until(lambda: self.states.count(state) >= count)

    async def stop(self, simulator: Simulator) -> list[ConnectionRecord]:
        """End the session and the server; what the server knows of all connections."""
        self.task.cancel()
        await self.session.say_goodbye()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self._ticking.cancel()
        await simulator.wait_idle()
        return sorted(simulator.connections, key=lambda record: record.opened_at)


def simulator(dialogue: Dialogue | None = None, **keys: Any) -> Simulator:
    return Simulator(
        SimulatorConfig(**{"endpoints": 2, "rate": 200.0, "dialogue": dialogue or Dialogue(), **keys})
    )


class TestWhatServersWant:
    def test_not_too_much_at_a_time(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator(Dialogue(max_inbound_per_s=20), ping_interval=1.2) as server:
                started = Run(
                    desk,
                    server.endpoints[0].uri,
                    subscribe=tuple({"n": number} for number in range(30)),
                    send_rate=Rate(20, 1.0),
                    ping_interval=0.15,
                    heartbeat=Heartbeat(send="ping", every=0.1, match="pong"),
                )
                await started.until(lambda: started.desk.count("filtered") >= 3)
                for number in range(20):
                    started.session.send(str(number))
                await started.until(lambda: server.connections[0].received_count >= 55)
                (record,) = await started.stop(server)
                assert record.cut is None and 10 < record.busiest_inbound <= 20
                assert record.pongs >= 1 and record.inbound > record.received_count

        run(scenario())

    def test_a_sign_of_life_now_and_then(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator(Dialogue(idle_cut_s=0.3)) as server:
                heartbeat = Heartbeat(send="ping", every=0.1, expect="pong")
                started = Run(desk, server.endpoints[0].uri, heartbeat=heartbeat)
                await started.until(lambda: server.connections and server.connections[0].replies > 8)
                (record,) = await started.stop(server)
                assert record.cut is None and started.states.count(LIVE) == 1
                received, delivered, filtered, dead = started.desk.counts
                assert received == delivered + filtered and dead == 0
                assert filtered in (record.replies, record.replies - 1) and delivered > 50

        run(scenario())

    @pytest.mark.parametrize(
        ("dialect", "reply"),
        [
            ("deribit", Reply(match={"params": {"type": "test_request"}}, send={"method": "public/test"})),
            ("huobi", Reply(match={"ping": "*"}, send={"pong": "{ping}"})),
        ],
    )
    @pytest.mark.parametrize("compression", ["off", "deflate"])
    def test_answers_to_their_requests(
        self, run: Execute, desk: MakeDesk, dialect: Any, reply: Reply, compression: str
    ) -> None:
        async def scenario() -> None:
            dialogue = Dialogue(test_request_every_s=0.03, test_request_within_s=0.2, test_request=dialect)
            async with simulator(dialogue, compression=True) as server:
                started = Run(desk, server.endpoints[0].uri, reply=(reply,), compression=compression)
                await started.until(lambda: started.desk.count("filtered") >= 15)
                (record,) = await started.stop(server)
                assert record.cut is None and record.compressed is (compression == "deflate")
                assert 0 <= record.notices - started.desk.count("filtered") <= 1
                assert started.desk.counts[1] > 10 and not started.desk.dead

        run(scenario())

    def test_a_subscription_in_time(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator(Dialogue(subscribe_within_s=0.2, ack_delay_s=0.1)) as server:
                started = Run(
                    desk, server.streams_uri, ("feed0", "feed1"), subscribe=(SUBSCRIBE,), ready=READY
                )
                await started.reached(LIVE)
                await started.until(lambda: started.desk.count("delivered") >= 50)
                (record,) = await started.stop(server)
                assert [stream.name for stream in record.streams] == ["feed0", "feed1"]
                assert started.desk.counts[2] == record.replies == 1

        run(scenario())


class TestSubscriptionsThatFail:
    def test_a_refusal_is_told_counted_and_tried_again(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator(Dialogue(reject_subscriptions=2)) as server:
                started = Run(
                    desk, server.streams_uri, ("feed0",), subscribe=(SUBSCRIBE,), ready=READY
                )  # fmt: skip
                await started.until(lambda: started.session.last_error)
                assert str(started.session.last_error).startswith('subscription refused: "')
                await started.reached(LIVE)
                records = await started.stop(server)
                assert [record.close_code for record in records] == [1000, 1000, 1001]
                assert started.desk.counts[2] == sum(record.replies for record in records) == 3

        run(scenario())

    def test_no_answer_is_a_reason_to_try_later(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator(Dialogue(ack_never=True)) as server:
                ready = Ready(match={"type": "subscribed"}, within=0.1)
                started = Run(desk, server.streams_uri, ("feed0",), subscribe=(SUBSCRIBE,), ready=ready)
                await started.until(lambda: len(server.connections) >= 3)
                assert started.session.last_error == "subscription not acknowledged within 0.1 s"
                assert LIVE not in started.states
                await started.stop(server)

        run(scenario())

    def test_a_deaf_server_does_not_hold_it_for_ever(
        self, run: Execute, desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scaleout.worker.links.link.SEND_TIMEOUT_S", 0.3)

        async def scenario() -> None:
            async with simulator(Dialogue(deaf=True)) as server:
                subscribe = tuple("x" * 2**19 for _ in range(20))
                started = Run(desk, server.endpoints[0].uri, subscribe=subscribe)
                await started.until(lambda: started.session.connects >= 2)
                assert (
                    started.session.last_error == "can't subscribe: the server does not read what it is sent"
                )
                assert started.desk.counts[1] > 10, "it was read from all the same"
                await started.stop(server)

        run(scenario())


class TestOffers:
    def test_compression_that_breaks_is_given_up(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            faults = Faults(bad_frame="broken_compression", bad_frame_after=5)
            async with simulator(faults=faults, compression=True) as server:
                started = Run(desk, server.endpoints[0].uri, compression="deflate")
                await started.until(lambda: started.desk.count("delivered") >= 20)
                first, second = await started.stop(server)
                assert (first.compressed, first.messages, first.close_code) == (True, 5, 1002)
                assert not second.compressed and "decompress" in str(started.session.last_error)

        run(scenario())

    @pytest.mark.parametrize(
        ("faults", "tries"),
        [
            (Faults(refuse_compression=True), 2),
            (Faults(wanted_subprotocol="b"), 4),
            (Faults(refuse_compression=True, wanted_subprotocol="a"), 2),
        ],
    )
    def test_what_a_server_does_not_like_is_left_out(
        self, run: Execute, desk: MakeDesk, faults: Faults, tries: int
    ) -> None:
        async def scenario() -> None:
            async with simulator(faults=faults, compression=True, subprotocols=("a", "b")) as server:
                keys = {"compression": "deflate", "subprotocols": ("a", "b")}
                started = Run(desk, server.endpoints[0].uri, **keys)
                await started.reached(LIVE)
                await started.stop(server)
                assert [attempt.status for attempt in server.attempts] == [400] * (tries - 1) + [101]
                assert QUARANTINED not in started.states

        run(scenario())

    @pytest.mark.parametrize("fault", ["unasked_extension", "unasked_subprotocol", "redirect_loop"])
    def test_what_can_not_be_helped_is_quarantined(self, run: Execute, desk: MakeDesk, fault: Any) -> None:
        async def scenario() -> None:
            async with simulator(faults=Faults(bad_handshake=fault)) as server:
                started = Run(desk, server.endpoints[0].uri)
                await started.reached(QUARANTINED)
                assert len(server.attempts) == (30 if fault == "redirect_loop" else 3)
                assert str(started.session.last_error).startswith("can't connect: ")
                await started.stop(server)

        run(scenario())


class TestStalls:
    @pytest.mark.parametrize(
        ("silence", "what"), [("data", "only heartbeats came"), ("all", "the server was silent")]
    )
    def test_a_stale_connection_is_replaced(
        self, run: Execute, desk: MakeDesk, silence: Any, what: str
    ) -> None:
        async def scenario() -> None:
            faults = Faults(silence=silence, silence_after=5, first_connections=1)
            async with simulator(Dialogue(heartbeat_every_s=0.05), faults=faults) as server:
                heartbeat = Heartbeat(match={"type": "heartbeat"})
                started = Run(desk, server.endpoints[0].uri, stale_after=0.4, heartbeat=heartbeat)
                await started.reached(LIVE, 2)
                assert started.session.last_error == f"connection given up: no data for 0.4 s, {what}"
                await started.until(lambda: started.desk.count("delivered") >= 50)
                first, second = await started.stop(server)
                assert first.messages == 5 and first.ended is Ended.CLIENT and second.cut is None

        run(scenario())

    def test_a_paused_session_is_not(self, run: Execute, desk: MakeDesk) -> None:
        async def scenario() -> None:
            async with simulator() as server:
                heartbeat = Heartbeat(send="ping", every=0.1, expect="pong")
                started = Run(desk, server.endpoints[0].uri, stale_after=0.2, heartbeat=heartbeat)
                await started.reached(LIVE)
                link = started.session.links.first
                assert link is not None
                link.connection.pause_reading("sink")
                await started.until(lambda: server.connections[0].received_count >= 5)
                assert started.session.stall is Stall.BACKPRESSURE
                link.connection.resume_reading("sink")
                seen = started.desk.count("delivered")
                await started.until(lambda: started.desk.count("delivered") > seen + 20)
                assert started.states.count(LIVE) == 1
                (record,) = await started.stop(server)
                assert record.ended is Ended.CLIENT

        run(scenario())


def test_a_redirect_takes_two_permits(run: Execute, desk: MakeDesk) -> None:
    async def scenario() -> None:
        async with simulator(faults=Faults(bad_handshake="redirect")) as server:
            started = Run(desk, server.endpoints[0].uri, budgeted=["127.0.0.1"])
            await started.reached(LIVE)
            await started.stop(server)
            assert [attempt.status for attempt in server.attempts] == [302, 101]
            assert started.reports == [
                Ask(0, "127.0.0.1"),
                ConnectionEnded(0),
                Ask(1, "127.0.0.1"),
                AttemptEnded(1),
                ConnectionEnded(1),
            ]

    run(scenario())
