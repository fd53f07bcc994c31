"""One connection: subscriptions, what is said beside the data, and the one end that each comes to."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from scaleout.config import Endpoint, Heartbeat, Rate, Ready, Reply
from scaleout.core.frames import Kind
from scaleout.core.lifecycle import Stall
from scaleout.core.remedies import Remedy
from scaleout.core.wire import AttemptEnded, ConnectionEnded, Report
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.links.link import Link
from scaleout.worker.links.permits import Permit, Permits
from scaleout.worker.links.talk import Talk
from tests.worker.peers import TEXT, Peer, block_loop, frame, run_fast, settle

ACK, NO = '{"ack":1}', '{"error":"no such channel"}'
READY = Ready(match={"ack": "*"}, within=5.0)


class Case:
    """A link to a peer, and all that it hands on."""

    def __init__(self, peer: Peer | None = None, **keys: Any) -> None:
        endpoint = Endpoint(**{"uri": "ws://feed.test/", "name": "feed", "ping_interval": 0, **keys})
        self.peer = peer or Peer(endpoint)
        self.data: list[str] = []
        self.control: list[str] = []
        self.reports: list[Report] = []
        self.events = 0
        self.link = Link(
            self.peer.connection,
            Talk(endpoint),
            Permit(Permits(self.reports.append), 7, self.reports.append),
            lambda link, payloads, received_at: self.control.extend(map(bytes.decode, payloads)),
            EndpointLogger("feed", ()),
        )
        self.link.deliver_to(self._take)
        self.link.on_event = self._note_event

    def _take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        assert payloads and joined == b"\n".join(payloads)
        self.data += map(bytes.decode, payloads)

    def _note_event(self) -> None:
        self.events += 1

    async def subscribe(self, *streams: str) -> None:
        await self.link.subscribe(streams, None)

    async def ended(self, error: str | None, remedy: Remedy = Remedy.RETRY) -> None:
        """Wait for the end, which has to be this one."""
        ending = await self.link.wait_ended()
        assert (ending.error, ending.remedy) == (error, remedy)
        assert self.link.has_ended
        self.link.let_go()
        assert self.reports == [AttemptEnded(7), ConnectionEnded(7)]

    async def let_go(self) -> None:
        self.link.let_go()
        await settle()
        assert self.peer.is_lost
        assert self.reports == [AttemptEnded(7), ConnectionEnded(7)]


class TestSubscribing:
    def test_without_an_acknowledgement_it_is_ready_once_all_is_said(self) -> None:
        async def main() -> None:
            case = Case(subscribe=("a", {"b": 1}))
            case.peer.say("early")
            await case.subscribe()
            assert case.link.is_ready and case.peer.texts == ["a", '{"b":1}']
            assert case.data == ["early"]
            await case.let_go()

        run_fast(main())

    def test_the_pace_is_kept(self) -> None:
        async def main() -> None:
            case = Case(subscribe=({"sub": "{stream}"},), send_rate=Rate(5, 1.0))
            await case.subscribe(*map(str, range(20)))
            assert [round(frame.at, 1) for frame in case.peer.sent][::4] == [0.0, 1.1, 2.2, 3.3, 4.4]
            await case.let_go()

        run_fast(main())

    def test_an_end_meanwhile_is_seen_at_once(self) -> None:
        async def main() -> None:
            case = Case(subscribe=({"sub": "{stream}"},), send_rate=Rate(2, 3600.0))
            case.peer.loop.call_later(3, case.peer.close, 1012, "restart")
            await case.subscribe("a", "b")
            assert not case.link.is_ready and case.peer.loop.time() < 4
            await case.ended("connection lost: received 1012 (service restart) restart; "
                             "then sent 1012 (service restart) restart")  # fmt: skip

        run_fast(main())

    def test_a_server_that_does_not_read_is_given_up(self) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            case = Case(peer, subscribe=("x" * 2**16, "y"))
            subscribing = asyncio.create_task(case.subscribe())
            await settle()
            peer.say("data flows all the same")
            await subscribing
            assert case.data == ["data flows all the same"] and not case.link.is_ready
            await case.ended("can't subscribe: the server does not read what it is sent")
            assert 10 <= peer.loop.time() < 12

        run_fast(main())

    def test_what_can_not_be_said_is_a_refusal(self) -> None:
        async def main() -> None:
            case = Case(subscribe=("fine", {"x": object()}))
            await case.subscribe()
            assert case.peer.texts == [] and not case.link.is_ready
            ending = await case.link.wait_ended()
            assert ending.remedy is Remedy.REFUSED and "can't be encoded as JSON" in str(ending.error)
            case.link.let_go()

        run_fast(main())

    def test_cancelled_while_subscribing_nothing_is_left(self) -> None:
        async def main() -> None:
            for options in ({"send_rate": Rate(2, 3600.0)}, {"ready": READY}):
                case = Case(subscribe=("a", "b"), **options)
                subscribing = asyncio.create_task(case.subscribe())
                await settle()
                subscribing.cancel()
                await asyncio.wait((subscribing,))
                assert subscribing.cancelled()
                await case.let_go()

        run_fast(main())


class TestAcknowledgement:
    def test_it_is_waited_for_and_data_before_it_is_delivered(self) -> None:
        async def main() -> None:
            case = Case(subscribe=("s",), ready=READY)
            subscribing = asyncio.create_task(case.subscribe())
            await asyncio.sleep(1)
            case.peer.say("1", "2")
            assert not case.link.is_ready and not subscribing.done()
            case.peer.say("3", ACK, "4")
            await subscribing
            assert case.link.is_ready
            assert (case.data, case.control) == (["1", "2", "3", "4"], [ACK])
            assert case.link.messages == 4
            await case.let_go()

        run_fast(main())

    def test_one_that_comes_with_the_handshake(self) -> None:
        async def main() -> None:
            case = Case(ready=READY)
            case.peer.say(ACK, "1")
            await case.subscribe()
            assert case.link.is_ready and case.data == ["1"]
            await case.let_go()

        run_fast(main())

    @pytest.mark.parametrize(
        ("said", "words", "remedy"),
        [
            (NO, "no such channel", Remedy.REFUSED),
            ('{"error":"Too many requests"}', "Too many requests", Remedy.SLOW_RETRY),
            ('{"nack":"by its own pattern"}', '{"nack":"by its own pattern"}', Remedy.REFUSED),
        ],
    )
    def test_a_refusal_is_an_error_with_the_servers_words(
        self, said: str, words: str, remedy: Remedy
    ) -> None:
        async def main() -> None:
            refused = {"nack": "*"} if "nack" in said else None
            ready = Ready(match={"ack": "*"}, within=5.0, refused=refused)
            case = Case(Peer(replies={"s": ["1", said]}), subscribe=("s",), ready=ready)
            await case.subscribe()
            assert (case.data, case.control, case.link.is_ready) == (["1"], [said], False)
            assert case.peer.loop.time() == 0
            await case.ended(f'subscription refused: "{words}"', remedy)
            assert case.peer.close_codes == [1000]

        run_fast(main())

    @pytest.mark.parametrize("words", ["", "come back tomorrow"])
    def test_without_one_it_is_given_up_with_the_last_words(self, words: str) -> None:
        async def main() -> None:
            case = Case(Peer(replies={"s": ["1", words] if words else []}), subscribe=("s",), ready=READY)
            await case.subscribe()
            said = f'; the server\'s last words: "{words}"' if words else ""
            await case.ended(f"subscription not acknowledged within 5 s{said}", Remedy.SLOW_RETRY)
            assert 5 <= case.peer.loop.time() < 5.5

        run_fast(main())

    def test_a_close_meanwhile_is_the_reason_that_is_told(self) -> None:
        async def main() -> None:
            case = Case(subscribe=("s",), ready=READY)
            case.peer.loop.call_later(1, case.peer.close, 1008, "not you")
            await case.subscribe()
            assert not case.link.is_ready
            await case.ended("connection lost: received 1008 (policy violation) not you; "
                             "then sent 1008 (policy violation) not you", Remedy.SLOW_RETRY)  # fmt: skip

        run_fast(main())

    @pytest.mark.parametrize("is_free_when_due", [False, True])
    def test_time_held_back_does_not_count(self, is_free_when_due: bool) -> None:
        async def main() -> None:
            case = Case(Peer(replies={"s": [ACK]}), subscribe=("s",), ready=READY)
            case.peer.connection.pause_reading("sink")
            subscribing = asyncio.create_task(case.subscribe())
            await asyncio.sleep(4.99 if is_free_when_due else 30)
            case.peer.connection.resume_reading("sink")
            await subscribing
            assert case.link.is_ready
            await case.let_go()

        run_fast(main())

    def test_a_lag_does_not_count(self) -> None:
        async def main() -> None:
            case = Case(subscribe=("s",), ready=READY)
            subscribing = asyncio.create_task(case.subscribe())
            await asyncio.sleep(1)
            block_loop(60)
            case.peer.loop.call_later(0.01, case.peer.say, ACK)  # timers come first, as in uvloop
            await subscribing
            assert case.link.is_ready
            await case.let_go()

        run_fast(main())

    def test_a_later_refusal_is_told_and_the_stream_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            ready = Ready(match={"ack": "*"}, refused={"nack": "*"})
            case = Case(Peer(replies={"s": [ACK]}), subscribe=("s",), ready=ready)
            await case.subscribe()
            case.peer.say('{"nack":"x"}', NO, ACK, "1")
            assert case.data == [NO, "1"] and not case.link.has_ended
            await case.let_go()

        run_fast(main())
        assert caplog.messages == ['a subscription was refused: "{"nack":"x"}"']

    def test_a_failure_from_elsewhere_meanwhile_is_the_one_that_is_told(self) -> None:
        async def main() -> None:
            case = Case(Peer(answers_close=False), subscribe=("s",), ready=READY)
            subscribing = asyncio.create_task(case.subscribe())
            await asyncio.sleep(4.5)
            case.link._give_up("too bad")
            await subscribing
            await case.ended("connection given up: too bad")

        run_fast(main())


class TestControlMessages:
    KEYS: dict[str, Any] = {  # noqa: RUF012
        "heartbeat": Heartbeat(send="ping", every=20.0, expect="pong", match={"type": "heartbeat"}),
        "reply": (
            Reply(match={"params": {"type": "test_request"}}, send={"method": "public/test"}),
            Reply(match={"ping": "*"}, send={"pong": "{ping}"}),
        ),
        "goodbye": {"e": "serverShutdown"},
    }  # fmt: skip

    def test_they_are_answered_in_order_and_no_data(self) -> None:
        async def main() -> None:
            case = Case(**self.KEYS)
            await case.subscribe()
            ask = '{"method":"heartbeat","params":{"type":"test_request"}}'
            told = ["1", "pong", ask, '{"ping":17}', "2", '{"type":"heartbeat"}', '{"ping":"x"}', "3"]
            case.peer.say(*told)
            assert case.data == ["1", "2", "3"]
            assert sorted(case.control) == sorted(set(told) - {"1", "2", "3"})
            assert case.peer.texts == ['{"method":"public/test"}', '{"pong":17}', '{"pong":"x"}']
            assert case.link.messages == 3
            await case.let_go()

        run_fast(main())

    def test_in_fragments_they_are_known_too(self) -> None:
        async def main() -> None:
            case = Case(**self.KEYS)
            await case.subscribe()
            case.peer.write(
                frame(0x01, b'{"pi') + frame(0x89, b"") + frame(0x80, b'ng":1}') + frame(TEXT, b"1")
            )
            assert (case.peer.texts, case.data, case.control) == (['{"pong":1}'], ["1"], ['{"ping":1}'])
            await case.let_go()

        run_fast(main())

    def test_answers_come_before_all_that_waits(self) -> None:
        async def main() -> None:
            case = Case(send_rate=Rate(2, 1.0), **self.KEYS)
            await case.subscribe()
            for number in range(4):
                case.link.outgoing.send(str(number))
            case.peer.say('{"ping":1}')
            await asyncio.sleep(10)
            assert case.peer.texts == ["0", '{"pong":1}', "1", "2", "3"]
            await case.let_go()

        run_fast(main())

    def test_a_goodbye_is_an_event_and_the_stream_goes_on(self) -> None:
        async def main() -> None:
            case = Case(**self.KEYS)
            await case.subscribe()
            case.peer.say("1", '{"e":"serverShutdown"}', "2")
            assert case.link.said_goodbye and case.events == 1
            assert (case.data, case.control) == (["1", "2"], ['{"e":"serverShutdown"}'])
            await case.let_go()

        run_fast(main())

    def test_an_answer_that_can_not_be_sent_harms_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            case = Case(peer, **self.KEYS)
            await case.subscribe()
            peer.transport.unread_bytes = 2**21
            peer.say('{"ping":1}', "1")
            assert case.data == ["1"]
            await case.let_go()

        run_fast(main())
        assert caplog.messages == ["can't reply: does not read what it is sent"]

    def test_heartbeats_begin_with_the_subscription_and_end_with_the_link(self) -> None:
        async def main() -> None:
            case = Case(Peer(replies={"ping": ["pong"]}), ready=READY, **self.KEYS)
            subscribing = asyncio.create_task(case.subscribe())
            await asyncio.sleep(4)
            case.peer.say(ACK)
            await subscribing
            await asyncio.sleep(61)
            assert [frame.at for frame in case.peer.sent] == pytest.approx([24, 44, 64])
            assert case.control == [ACK, "pong", "pong", "pong"]
            await case.let_go()
            await asyncio.sleep(100)

        run_fast(main())

    def test_a_server_that_is_dead_is_given_up(self) -> None:
        async def main() -> None:
            case = Case(Peer(answers_close=False), **self.KEYS)
            await case.subscribe()
            await case.ended("connection given up: no answer to the heartbeat within 20 s")
            assert case.peer.loop.time() < 42
            await settle()

        run_fast(main())


class TestTheEnd:
    @pytest.mark.parametrize(
        ("heartbeats", "what"), [(0, "the server was silent"), (30, "only heartbeats came")]
    )
    def test_a_stale_one_is_given_up(self, heartbeats: int, what: str) -> None:
        async def main() -> None:
            case = Case(stale_after=10.0, heartbeat=Heartbeat(match="hb"))
            await case.subscribe()
            case.peer.say("1")
            stalls = []
            for _ in range(30):
                await asyncio.sleep(0.5)
                if heartbeats:
                    case.peer.say("hb")
                stalls.append(case.link.look(case.peer.loop.time(), 0.0))
            assert (Stall.HEARTBEATS if heartbeats else Stall.SILENT) in stalls
            await case.ended(f"connection given up: no data for 10 s, {what}")
            await settle()

        run_fast(main())

    def test_nothing_is_received_after_it_was_given_up(self) -> None:
        async def main() -> None:
            case = Case(Peer(answers_close=False))
            await case.subscribe()
            case.link._give_up("enough")
            case.link._give_up("more than enough")
            case.peer.say("1")
            assert case.data == [] and case.events == 1 and case.link.has_ended
            await case.ended("connection given up: enough")
            assert case.peer.close_codes == [1000]
            assert 1 <= case.peer.loop.time() < 1.5, "a server that doesn't answer is cut"
            await settle()

        run_fast(main())

    def test_its_own_end_is_an_event(self) -> None:
        async def main() -> None:
            case = Case()
            await case.subscribe()
            case.peer.close(1000)
            await settle()
            assert case.events == 1
            ending = await case.link.wait_ended()
            assert ending.is_normal
            case.link.let_go()

        run_fast(main())

    @pytest.mark.parametrize("answers", [False, True])
    def test_it_hangs_up_within_a_second(self, answers: bool) -> None:
        async def main() -> None:
            case = Case(Peer(answers_close=answers))
            await case.subscribe()
            await case.link.hang_up(1001)  # type: ignore[arg-type]
            assert case.peer.close_codes == [1001] and case.peer.loop.time() <= 1
            await case.let_go()

        run_fast(main())

    def test_letting_go_twice_is_the_same(self) -> None:
        async def main() -> None:
            case = Case(ready=READY, subscribe=("s",))
            subscribing = asyncio.create_task(case.subscribe())
            await settle()
            case.peer.say(NO)
            case.link.let_go()
            case.link.let_go()
            subscribing.cancel()
            await asyncio.wait((subscribing,))

        run_fast(main())


def test_streams_can_not_be_taken_away_before_they_are_asked_for() -> None:
    async def main() -> None:
        case = Case(subscribe=({"sub": "{stream}"},), unsubscribe=({"unsub": "{stream}"},), ready=READY)
        subscribing = asyncio.create_task(case.subscribe("a", "b"))
        await settle()
        case.link.change_streams(["c"], [])
        with pytest.raises(SendError, match="is still being subscribed"):
            case.link.change_streams([], ["a"])
        case.peer.say(ACK)
        await subscribing
        case.link.change_streams([], ["a"])
        assert case.peer.texts[-1] == '{"unsub":"a"}'
        await case.let_go()

    run_fast(main())


def test_streams_are_changed_and_resubscribed_to(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        case = Case(subscribe=({"sub": "{streams}"},), unsubscribe=({"unsub": "{streams}"},))
        await case.subscribe("a", "b")
        case.link.change_streams(["c"], [])
        case.link.change_streams([], ["a"])
        case.link.resubscribe(["b", "c"])
        assert case.peer.texts == [
            '{"sub":["a","b"]}', '{"sub":["c"]}', '{"unsub":["a"]}', '{"unsub":["b","c"]}', '{"sub":["b","c"]}'
        ]  # fmt: skip
        await case.let_go()
        plain = Case(subscribe=("sub",), unsubscribe=("unsub",))
        await plain.subscribe()
        plain.link.resubscribe([])
        assert plain.peer.texts == ["sub", "unsub", "sub"]
        await plain.let_go()

    with caplog.at_level(logging.WARNING, "scaleout"):
        run_fast(main())
    assert caplog.messages == []
