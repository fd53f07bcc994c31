"""When a session connects again, and what it leaves behind; no network, and time doesn't pass by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple, cast

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus, NegotiationError
from websockets.http11 import Response

from scaleout.config import Backoff, Endpoint, InvalidShare, Quarantine, Rate, Ready
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report
from scaleout.hooks import Producer
from scaleout.logs import EndpointLogger
from scaleout.worker.connection import FeedConnection
from scaleout.worker.dialing import Dialer
from scaleout.worker.links.permits import Permits
from scaleout.worker.links.producing import Producing
from scaleout.worker.means import Means
from scaleout.worker.session import Session
from tests.worker.peers import Peer, run_fast, settle

MakeDesk = Callable[..., Any]
Fate = Exception | Callable[[Peer], None]
"""What becomes of an attempt: it fails, or something is done with the peer that comes of it."""

CONNECTING, LIVE, BACKOFF, QUARANTINED, ENDED = (
    EndpointState.CONNECTING,
    EndpointState.LIVE,
    EndpointState.BACKOFF,
    EndpointState.QUARANTINED,
    EndpointState.ENDED,
)
DIAL_S = 0.01
REFUSED = ConnectionRefusedError(111, "Connection refused")


def status(code: int, **headers: str) -> InvalidStatus:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return InvalidStatus(Response(code, "", fields, b"no"))


class Dial(NamedTuple):
    at: float
    uri: str
    subprotocols: list[str]
    compression: bool


class Network:
    """Stands in the place of the dialer: each attempt has the next fate, and the last one is that of all others."""

    def __init__(self, *fates: Fate, redirects_to: str | None = None) -> None:
        self.dials: list[Dial] = []
        self.peers: list[Peer] = []
        self.changed = asyncio.Event()
        self._fates = list(fates)
        self._redirects_to = redirects_to

    async def dial(
        self,
        endpoint: Endpoint,
        *,
        uri: str,
        subprotocols: Sequence[str],
        compression: bool,
        on_redirect: Callable[[str], Awaitable[None]],
    ) -> FeedConnection:
        self.dials.append(Dial(asyncio.get_running_loop().time(), uri, list(subprotocols), compression))
        self.changed.set()
        fate = self._fates.pop(0) if len(self._fates) > 1 else self._fates[0]
        await asyncio.sleep(DIAL_S)
        if self._redirects_to is not None:
            await on_redirect(self._redirects_to)
            await asyncio.sleep(DIAL_S)
        if isinstance(fate, Exception):
            raise fate
        peer = Peer(endpoint)
        self.peers.append(peer)
        fate(peer)
        return peer.connection

    @property
    def pauses(self) -> list[float]:
        """From the start of one attempt to that of the next."""
        return [later.at - earlier.at for earlier, later in itertools.pairwise(self.dials)]


class Run:
    """A session, looked at every half a second as its worker does."""

    def __init__(
        self,
        desk: MakeDesk,
        network: Network,
        *,
        budgeted: Sequence[str] = (),
        producer: Callable[[], AsyncIterator[object]] | None = None,
        **keys: Any,
    ) -> None:
        self.network = network
        self.states: list[EndpointState] = []
        self.reports: list[Report] = []
        self.desk = desk()
        self.permits = Permits(self.reports.append)
        self.permits.limit(budgeted)
        endpoint = Endpoint(**{"uri": "ws://feed.test/", "name": "feed", "ping_interval": 0, **keys})
        logger = EndpointLogger("feed", ())
        self.session = Session(
            endpoint,
            (),
            self.desk.inlet,
            Means(cast(Dialer, network), self.permits, Random(1)),
            self._note,
            logger,
            producing=Producing(Producer(producer, False), "feed", logger) if producer else None,
        )
        self.task = asyncio.create_task(self.session.run())
        self._ticking = asyncio.create_task(self._tick())

    def _note(self, session: Session) -> None:
        if not self.states or self.states[-1] is not session.state:
            self.states.append(session.state)
        self.network.changed.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.session.look(asyncio.get_running_loop().time(), 0.0)

    async def reached(self, state: EndpointState, count: int = 1) -> None:
        """Wait until a state has been entered so often."""
        await self._until(lambda: self.states.count(state) >= count)

    async def dialed(self, count: int) -> None:
        """Wait for so many attempts."""
        await self._until(lambda: len(self.network.dials) >= count)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.network.changed.clear()
            await self.network.changed.wait()

    async def stop(self) -> None:
        """What a worker does at the end."""
        self.session.stop_receiving()
        self.task.cancel()
        await self.session.say_goodbye()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self._ticking.cancel()
        self.session.close_all()
        await settle()
        assert all(peer.is_lost for peer in self.network.peers)


def stay(peer: Peer) -> None:
    """Nothing happens."""


def says(*texts: str) -> Fate:
    return lambda peer: peer.say(*texts)


def lives(seconds: float, code: int, *texts: str) -> Fate:
    """Some messages, and after a time a close."""

    def fate(peer: Peer) -> None:
        peer.say(*texts)
        peer.loop.call_later(seconds, peer.close, code)

    return fate


class TestBackoff:
    def test_accept_then_close_is_no_hot_loop(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(lives(0, 1011, "1"))
            run = Run(desk, network)
            await asyncio.sleep(3600)
            assert 60 < len(network.dials) < 200
            assert len([dial for dial in network.dials if dial.at < 10]) < 20
            assert max(network.pauses) <= 60.1
            await run.stop()

        run_fast(main())

    @pytest.mark.parametrize(
        ("lived_s", "texts", "starts_over"), [(29, ("1",), False), (31, ("1",), True), (31, (), False)]
    )
    def test_starts_over_after_a_good_session(
        self, desk: MakeDesk, lived_s: float, texts: tuple[str, ...], starts_over: bool
    ) -> None:
        async def main() -> None:
            fates = [REFUSED] * 20 + [lives(lived_s, 1011, *texts), REFUSED]
            network = Network(*fates)
            run = Run(desk, network, backoff=Backoff(initial=0.1, maximum=1000.0))
            await run.dialed(25)
            after = network.pauses[20] - lived_s
            assert (after < 0.2) is starts_over
            await run.stop()

        run_fast(main())

    def test_retry_after_is_honoured(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(status(429, Retry_After="170"), status(503), stay)
            run = Run(desk, network)
            await run.reached(LIVE)
            asked, slow = network.pauses
            assert 170 <= asked <= 190
            assert 2 <= slow <= 10, "a slow retry waits at least half of a bound that is further on"
            assert (
                run.session.last_error
                == 'can\'t connect: server rejected WebSocket connection: HTTP 503: "no"'
            )
            await run.stop()

        run_fast(main())

    def test_never_gives_up_on_the_network(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(*[REFUSED, TimeoutError(), status(503), OSError("no address")] * 100, stay)
            run = Run(desk, network, backoff=Backoff(maximum=5.0))
            await run.reached(LIVE)
            assert len(network.dials) == 401 and QUARANTINED not in run.states
            assert max(network.pauses) < 5.1
            await run.stop()

        run_fast(main())

    def test_a_person_can_end_the_wait(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(status(429, Retry_After="10000"), stay)
            run = Run(desk, network)
            await run.reached(BACKOFF)
            await asyncio.sleep(5)
            run.session.resume_now()
            await run.reached(LIVE)
            assert network.pauses[0] < 6
            await run.stop()

        run_fast(main())


class TestQuarantine:
    def test_refused_again_and_again_it_is_probed_rarely(
        self, desk: MakeDesk, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            network = Network(status(403))
            run = Run(desk, network, quarantine=Quarantine(after=3, probe=300.0))
            await run.dialed(20)
            assert run.states[:6] == [CONNECTING, BACKOFF] * 2 + [CONNECTING, QUARANTINED]
            assert all(pause < 60 for pause in network.pauses[:2])
            assert all(270 <= pause <= 330.1 for pause in network.pauses[2:])
            assert "HTTP 403" in str(run.session.last_error)
            await run.stop()

        run_fast(main())
        assert len([said for said in caplog.messages if "quarantined after 3 refusals" in said]) == 1

    def test_retry_after_is_honoured_in_quarantine_too(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(status(403, Retry_After="1000"))
            run = Run(desk, network, quarantine=Quarantine(after=1, probe=10.0))
            await run.dialed(4)
            assert all(pause >= 1000 for pause in network.pauses)
            await run.stop()

        run_fast(main())

    def test_a_person_releases_it_with_as_many_tries_as_at_first(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(status(401))
            run = Run(desk, network)
            await run.reached(QUARANTINED)
            await asyncio.sleep(1)
            run.session.resume_now()
            await run.reached(QUARANTINED, 2)
            assert len(network.dials) == 6 and network.pauses[2] < 2
            assert run.states.count(BACKOFF) == 4
            await run.stop()

        run_fast(main())

    def test_plain_failures_in_between_neither_count_nor_start_over(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(
                status(403), REFUSED, status(404), lives(1, 1011), REFUSED, status(401), REFUSED
            )
            run = Run(desk, network)
            await run.reached(QUARANTINED, 2)
            assert len(network.dials) == 7, "a probe that fails otherwise leaves it where it is"
            await run.stop()

        run_fast(main())

    @pytest.mark.parametrize(
        ("good", "keys"),
        [
            (lives(6, 1011, "1"), {}),
            (lives(0.1, 1011, "1"), {}),
            (lives(0.1, 1011, '{"ack":1}'), {"ready": Ready(match={"ack": 1})}),
        ],
    )
    def test_a_good_session_is_its_own_recovery(
        self, desk: MakeDesk, good: Fate, keys: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            network = Network(*[status(403)] * 4, good, status(403), status(403), status(403))
            run = Run(desk, network, **keys)
            await run.reached(LIVE)
            await run.dialed(7)
            assert run.states[-1] is CONNECTING and run.states[-3:] == [CONNECTING, BACKOFF, CONNECTING]
            await run.reached(QUARANTINED, 3)
            assert len(network.dials) == 8
            await run.stop()

        with caplog.at_level(logging.INFO, "scaleout"):
            run_fast(main())
        assert caplog.messages.count("recovered from quarantine") == 1

    @pytest.mark.parametrize(
        "bad", [lives(2, 3000, '{"message":"who are you?"}'), lives(0.1, 4403, "1"), stay]
    )
    def test_words_before_a_refusal_and_silence_are_no_recovery(self, desk: MakeDesk, bad: Fate) -> None:
        async def main() -> None:
            network = Network(*[status(403)] * 2, bad, status(403))
            run = Run(desk, network, stale_after=20.0)
            await run.reached(QUARANTINED)
            assert len(network.dials) == (4 if bad is stay else 3)
            await run.stop()

        run_fast(main())

    @pytest.mark.parametrize(("reconnect", "ends"), [("always", False), ("on_error", False), ("never", True)])
    def test_who_shall_not_reconnect_is_not_quarantined(
        self, desk: MakeDesk, reconnect: str, ends: bool
    ) -> None:
        async def main() -> None:
            run = Run(desk, Network(status(403)), reconnect=reconnect, quarantine=Quarantine(after=1))
            await run.reached(ENDED if ends else QUARANTINED)
            assert run.task.done() is ends
            await run.stop()

        run_fast(main())


class TestReady:
    READY = Ready(match={"ack": 1}, within=5.0)

    def test_it_is_live_once_it_is_acknowledged(self, desk: MakeDesk) -> None:
        async def main() -> None:
            def fate(peer: Peer) -> None:
                peer.say("1")
                peer.loop.call_later(3, peer.say, "2", '{"ack":1}', "3")

            run = Run(desk, Network(fate), ready=self.READY, subscribe=("s",))
            await asyncio.sleep(2)
            assert run.states == [CONNECTING] and run.desk.results == [1]
            await run.reached(LIVE)
            assert run.desk.results == [1, 2, 3] and run.desk.counts == (4, 3, 1, 0)
            await run.stop()

        run_fast(main())

    def test_refused_it_is_quarantined_with_the_servers_words(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(lambda peer: peer.say('{"error":"unknown channel"}'))
            run = Run(desk, network, ready=self.READY, subscribe=("s",))
            await run.reached(QUARANTINED)
            assert run.session.last_error == 'subscription refused: "unknown channel"'
            assert LIVE not in run.states and len(network.dials) == 3
            assert run.desk.counts == (3, 0, 3, 0)
            await run.stop()

        run_fast(main())

    def test_never_acknowledged_it_is_tried_again_later(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(stay)
            run = Run(desk, network, ready=self.READY, subscribe=("s",))
            await run.dialed(10)
            assert run.session.last_error == "subscription not acknowledged within 5 s"
            assert set(run.states) == {CONNECTING, BACKOFF}
            assert all(pause > 7 for pause in network.pauses)
            await run.stop()

        run_fast(main())


class TestOffers:
    def test_all_there_is_is_tried_before_it_is_a_refusal(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(status(400))
            run = Run(
                desk, network, compression="deflate", subprotocols=("a", "b"), quarantine=Quarantine(after=2)
            )
            await run.reached(QUARANTINED)
            offered = [(dial.compression, dial.subprotocols) for dial in network.dials]
            assert offered == [(True, ["a", "b"]), (False, ["a", "b"]), (False, ["a"]), (False, ["b"])] * 2
            await run.stop()

        run_fast(main())

    def test_what_was_accepted_is_offered_again(self, desk: MakeDesk) -> None:
        async def main() -> None:
            bad = NegotiationError("unsupported subprotocol: c")
            network = Network(bad, bad, lives(1, 1011, "1"))
            run = Run(desk, network, subprotocols=("a", "b"))
            await run.dialed(6)
            assert [dial.subprotocols for dial in network.dials] == [["a", "b"], ["a"], *[["b"]] * 4]
            await run.stop()

        run_fast(main())


class TestInvalidMessages:
    KEYS: dict[str, Any] = {  # noqa: RUF012
        "max_invalid": InvalidShare(0.05, 30.0),
        "quarantine": Quarantine(after=2, probe=300.0),
    }

    def test_many_of_them_are_negotiated_and_then_quarantined(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(says(*["[1]"] * 18, "garbage", "garbage"))
            run = Run(desk, network, **self.KEYS)
            await run.reached(QUARANTINED)
            assert len(network.dials) == 3
            assert run.session.last_error == (
                "connection given up: more than 5% of the messages within 30s are invalid"
            )
            assert run.desk.counts == (60, 54, 0, 6)
            assert [peer.close_codes for peer in network.peers] == [[1000]] * 3
            await run.stop()

        run_fast(main())

    def test_few_are_dead_letters_alone(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(says(*["[1]"] * 38, "garbage", "garbage"))
            run = Run(desk, network, **self.KEYS)
            await asyncio.sleep(100)
            assert run.states == [CONNECTING, LIVE] and run.desk.counts == (40, 38, 0, 2)
            await run.stop()

        run_fast(main())

    def test_less_than_a_window_without_them_is_none(self, desk: MakeDesk) -> None:
        async def main() -> None:
            bad = says(*["garbage"] * 20)
            network = Network(bad, lives(20, 1011, "[1]"), bad, bad, stay)
            run = Run(desk, network, **self.KEYS)
            await run.reached(QUARANTINED)
            assert len(network.dials) == 4
            await run.stop()

        run_fast(main())

    def test_those_of_other_connections_are_not_its_own(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(says(*["[1]"] * 20))
            run = Run(desk, network, **self.KEYS)
            await run.reached(LIVE)
            run.desk.receive(*[b"garbage"] * 30)
            network.peers[0].say(*["[1]"] * 20)
            await settle()
            assert network.peers[0].close_codes == [] and run.states == [CONNECTING, LIVE]
            await run.stop()

        run_fast(main())

    def test_a_window_without_them_is_a_recovery(self, desk: MakeDesk) -> None:
        async def main() -> None:
            bad = says(*["garbage"] * 20)
            network = Network(bad, bad, lives(31, 1011, "[1]"), bad, stay)
            run = Run(desk, network, **self.KEYS)
            await run.reached(LIVE, 5)
            assert QUARANTINED not in run.states
            await run.stop()

        run_fast(main())


class TestStalls:
    def test_they_are_told_and_only_the_servers_reconnect(self, desk: MakeDesk) -> None:
        async def main() -> None:
            network = Network(says("1"))
            run = Run(desk, network, stale_after=10.0)
            await run.reached(LIVE)
            await asyncio.sleep(5)
            network.peers[0].connection.pause_reading("sink")
            await asyncio.sleep(100)
            stalls = [run.session.stall]
            network.peers[0].connection.resume_reading("sink")
            await asyncio.sleep(4)
            stalls.append(run.session.stall)
            assert stalls == [Stall.BACKPRESSURE, Stall.SILENT] and len(network.dials) == 1
            await run.dialed(2)
            assert run.session.last_error == "connection given up: no data for 10 s, the server was silent"
            assert run.session.stall is None
            await run.stop()

        run_fast(main())


def test_a_producer_is_started_with_each_connection_and_stopped_with_it(desk: MakeDesk) -> None:
    ended: list[float] = []

    async def produce() -> AsyncIterator[object]:
        try:
            for number in itertools.count():
                yield str(number)
                await asyncio.sleep(1)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def main() -> None:
        network = Network(lives(2.5, 1011, "1"))
        run = Run(desk, network, producer=produce, subscribe=("s",))
        await run.reached(BACKOFF, 2)
        assert [peer.texts for peer in network.peers] == [["s", "0", "1", "2"]] * 2
        await run.reached(LIVE, 3)
        await settle()
        await run.stop()
        assert len(ended) == 3

    run_fast(main())


class TestPermits:
    """Each `Ask` has one `ConnectionEnded`, and one `AttemptEnded` between them if a connection came of it."""

    def check(self, run: Run, asked: int, opened: int) -> None:
        by_ticket: dict[int, list[type[Report]]] = {}
        for report in run.reports:
            assert isinstance(report, Ask | AttemptEnded | ConnectionEnded)
            by_ticket.setdefault(report.ticket, []).append(type(report))
        courses = list(by_ticket.values())
        assert len(courses) == asked
        assert courses.count([Ask, AttemptEnded, ConnectionEnded]) == opened
        assert courses.count([Ask, ConnectionEnded]) == asked - opened

    async def grant(self, run: Run) -> None:
        granted: set[int] = set()
        while not run.task.done():
            for report in run.reports:
                if isinstance(report, Ask) and report.ticket not in granted:
                    granted.add(report.ticket)
                    run.permits.granted(report.ticket)
            await asyncio.sleep(0.01)

    @pytest.mark.parametrize(
        ("fate", "redirects_to", "asked", "opened"),
        [
            (REFUSED, None, 1, 0),
            (lives(1, 1000), None, 1, 1),
            (lives(0, 1000), None, 1, 1),
            (lives(1, 1000), "ws://feed.test/elsewhere", 2, 1),
            (status(403), "ws://feed.test/elsewhere", 2, 0),
            (lives(1, 1000), "ws://other.test/", 1, 0),
        ],
    )
    def test_of_one_attempt(
        self, desk: MakeDesk, fate: Fate, redirects_to: str | None, asked: int, opened: int
    ) -> None:
        async def main() -> None:
            network = Network(fate, redirects_to=redirects_to)
            run = Run(desk, network, budgeted=["feed.test"], reconnect="never")
            await self.grant(run)
            self.check(run, asked, opened)
            await run.stop()

        run_fast(main())

    @pytest.mark.parametrize("keys", [{}, {"ready": Ready(match={"ack": 1})}, {"send_rate": Rate(2, 5.0)}])
    def test_of_sessions_that_are_stopped_anywhere(self, desk: MakeDesk, keys: dict[str, Any]) -> None:
        async def stop_at(seconds: float) -> None:
            fates = [REFUSED, lives(0.05, 1011, "1"), lives(0.05, 1000, '{"ack":1}'), stay]
            network = Network(*fates)
            backoff = Backoff(initial=0.01, maximum=0.01)
            run = Run(desk, network, budgeted=["feed.test"], subscribe=("a", "b"), backoff=backoff, **keys)
            granting = asyncio.create_task(self.grant(run))
            await asyncio.sleep(seconds)
            is_open = [peer for peer in network.peers if not peer.is_lost]
            await run.stop()
            await granting
            self.check(run, sum(isinstance(report, Ask) for report in run.reports), len(network.peers))
            assert all(peer.close_codes in ([1001], [1011], [1000]) for peer in network.peers)
            assert all(peer.close_codes == [1001] for peer in is_open)

        async def main() -> None:
            for step in range(40):
                await stop_at(0.007 * step)

        run_fast(main())


def test_stopped_while_it_hangs_up_all_is_let_go(desk: MakeDesk) -> None:
    async def main() -> None:
        def fate(peer: Peer) -> None:
            peer.answers_close = False
            peer.say("1")

        network = Network(fate)
        run = Run(desk, network)
        await run.reached(LIVE)
        run.session.reconnect("for a test")
        await asyncio.sleep(0.5)
        await run.stop()
        assert network.peers[0].close_codes == [1000]

    run_fast(main())


def test_an_error_of_this_program_is_told_and_followed_by_a_reconnect(
    desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        network = Network(says("1"), stay)
        run = Run(desk, network)
        run.session._receive = lambda *_: 1 / 0
        await run.reached(LIVE, 2)
        assert [peer.is_lost for peer in network.peers] == [True, False]
        assert run.session.last_error == "internal error: division by zero"
        await run.stop()

    run_fast(main())
    assert "internal error, reconnecting" in caplog.messages
