"""The way out: in order, never faster than the feed allows, and never in the way of what comes in."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.config import Endpoint, Rate
from scaleout.errors import SendError
from scaleout.worker.links.outgoing import MAX_WAITING, Outgoing, encode
from tests.worker.peers import BINARY, PING, PONG, Peer, busiest, run_fast, settle


class TestEncoding:
    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            ("as it is", "as it is"),
            (b"\x00\xff", b"\x00\xff"),
            (bytearray(b"\x01"), b"\x01"),
            (memoryview(b"\x02"), b"\x02"),
            ({"op": "subscribe", "args": ["€"]}, '{"op":"subscribe","args":["€"]}'),
            (["REQ", 1], '["REQ",1]'),
            (7, "7"),
        ],
    )
    def test_text_and_bytes_stay_anything_else_is_json(self, message: object, expected: object) -> None:
        assert encode(message) == expected

    def test_what_json_can_not_say_is_an_error(self) -> None:
        with pytest.raises(SendError, match="of type object can't be encoded as JSON"):
            encode(object())


class TestWithoutARate:
    def test_all_goes_at_once_in_order(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, None)
            outgoing.send("1")
            await outgoing.put("2")
            outgoing.send(b"3", urgent=True)
            assert [(frame.opcode & 0xF, frame.payload) for frame in peer.sent] == [
                (1, b"1"), (1, b"2"), (2, b"3")
            ]  # fmt: skip
            assert peer.sent[-1].opcode == BINARY and peer.loop.time() == 0
            peer.lose()

        run_fast(main())

    def test_a_sender_that_never_waits_lets_the_loop_go_on(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, None)

            async def flood() -> None:
                while True:
                    await outgoing.put("x")

            flooding = asyncio.create_task(flood())
            await settle()
            assert 0 < len(peer.sent) < 100
            flooding.cancel()
            peer.lose()

        run_fast(main())

    @pytest.mark.parametrize(
        ("message", "said"),
        [("\ud800", "UTF-8 can't hold"), ({"a": 1}, "str and bytes alone, not dict"), (None, "not NoneType")],
    )
    def test_what_can_not_be_sent_is_an_error_and_no_more(self, message: object, said: str) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, None)
            with pytest.raises(SendError, match=said):
                outgoing.send(message)  # type: ignore[arg-type]
            outgoing.send("fine")
            assert peer.texts == ["fine"]
            peer.lose()

        run_fast(main())


class TestAPeerThatDoesNotRead:
    def test_it_gets_so_much_and_then_sending_fails(self) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            outgoing = Outgoing(peer.connection, None)
            with pytest.raises(SendError, match="does not read"):
                for _ in range(100):
                    outgoing.send(b"x" * 2**16)
            assert len(peer.sent) == 16
            peer.lose()

        run_fast(main())

    @pytest.mark.parametrize("patience_s", [None, 10.0])
    def test_a_put_waits_as_long_as_it_may(self, patience_s: float | None) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            outgoing = Outgoing(peer.connection, None)
            await outgoing.put(b"x" * 2**16, patience_s)
            waiting = asyncio.create_task(outgoing.put("y", patience_s))
            await asyncio.sleep(9.9)
            assert not waiting.done()
            await asyncio.sleep(10)
            if patience_s is None:
                assert not waiting.done()
                peer.read_all()
                await waiting
                assert peer.texts == ["y"]
            else:
                with pytest.raises(SendError, match="does not read what it is sent"):
                    await waiting
            peer.lose()

        run_fast(main())

    def test_a_put_ends_with_the_connection(self) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            outgoing = Outgoing(peer.connection, None)
            await outgoing.put(b"x" * 2**16)
            waiting = asyncio.create_task(outgoing.put("y"))
            await settle()
            peer.lose()
            with pytest.raises(SendError, match="is not connected"):
                await waiting

        run_fast(main())

    def test_what_waits_goes_when_it_reads_again(self) -> None:
        async def main() -> None:
            peer = Peer(is_deaf=True)
            outgoing = Outgoing(peer.connection, Rate(3, 1.0))
            outgoing.send("0")
            outgoing.send(b"x" * 2**21)
            for number in (1, 2, 3):
                outgoing.send(str(number))
            await asyncio.sleep(5)
            assert peer.texts == ["0"]
            peer.read_all()
            await asyncio.sleep(5)
            assert peer.texts == ["0", "1", "2", "3"]
            peer.lose()

        run_fast(main())


class TestARate:
    @settings(max_examples=30)
    @given(
        count=st.integers(2, 8),
        period_s=st.sampled_from([0.5, 1.0, 5.0]),
        steps=st.lists(
            st.tuples(st.sampled_from(["send", "urgent", "put"]), st.floats(0.0, 0.4)), max_size=40
        ),
        pings_every_s=st.sampled_from([0.0, 0.7, 20.0]),
    )
    def test_is_never_exceeded_not_even_with_pings_and_pongs(
        self, count: int, period_s: float, steps: list[tuple[str, float]], pings_every_s: float
    ) -> None:
        async def main() -> None:
            peer = Peer(Endpoint(uri="ws://feed.test/", ping_interval=pings_every_s))
            outgoing = Outgoing(peer.connection, Rate(count, period_s))
            puts = []
            for index, (how, pause_s) in enumerate(steps):
                if how == "put":
                    puts.append(asyncio.create_task(outgoing.put(str(index))))
                else:
                    outgoing.send(str(index), urgent=how == "urgent")
                await asyncio.sleep(pause_s)
            peer.receive(PING, b"the server's")
            await asyncio.sleep(period_s * 60)
            await asyncio.gather(*puts)
            assert sorted(map(int, peer.texts)) == list(range(len(steps)))
            assert busiest(peer.times, period_s) <= count
            assert any(frame.opcode == PONG for frame in peer.sent)
            assert any(frame.opcode == PING for frame in peer.sent) == (0 < pings_every_s < period_s * 60)
            peer.lose()

        run_fast(main())

    def test_pongs_take_the_place_of_messages(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, Rate(5, 1.0))
            for _ in range(3):
                peer.receive(PING)
            for number in range(4):
                outgoing.send(str(number))
            assert peer.texts == ["0"]
            await asyncio.sleep(2)
            assert peer.texts == ["0", "1", "2", "3"]
            peer.lose()

        run_fast(main())

    def test_all_of_it_is_used(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, Rate(5, 1.0))
            for number in range(40):
                outgoing.send(str(number))
            await asyncio.sleep(10.95)
            assert len(peer.sent) == 40
            assert peer.texts == list(map(str, range(40)))
            peer.lose()

        run_fast(main())

    def test_the_urgent_goes_first_in_its_own_order(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, Rate(2, 1.0))
            outgoing.send("0")
            waiting = asyncio.create_task(outgoing.put("1"))
            await settle()
            outgoing.send("2")
            outgoing.send("a", urgent=True)
            outgoing.send("b", urgent=True)
            await asyncio.sleep(10)
            assert peer.texts == ["0", "a", "b", "1", "2"]
            assert waiting.done()
            peer.lose()

        run_fast(main())

    @pytest.mark.parametrize("urgent", [False, True])
    def test_no_more_than_so_many_wait(self, urgent: bool) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, Rate(2, 1.0))
            outgoing.send("first")
            for _ in range(MAX_WAITING):
                outgoing.send("x", urgent=urgent)
            with pytest.raises(SendError, match="1,000 messages waiting"):
                outgoing.send("y", urgent=urgent)
            outgoing.send("other", urgent=not urgent)
            peer.lose()
            await settle()

        run_fast(main())

    def test_a_put_that_is_given_up_is_not_sent(self) -> None:
        async def main() -> None:
            peer = Peer()
            outgoing = Outgoing(peer.connection, Rate(2, 1.0))
            outgoing.send("1")
            given_up = asyncio.create_task(outgoing.put("2"))
            waiting = asyncio.create_task(outgoing.put("3"))
            await settle()
            given_up.cancel()
            await waiting
            assert peer.texts == ["1", "3"]
            peer.lose()

        run_fast(main())

    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_a_long_wait_ends_with_the_connection(self, is_cancelled: bool) -> None:
        async def main() -> None:
            peer = Peer(Endpoint(uri="ws://feed.test/", ping_interval=0))
            outgoing = Outgoing(peer.connection, Rate(2, 3600.0))
            outgoing.send("1")
            waiting = asyncio.create_task(outgoing.put("2"))
            await asyncio.sleep(1)
            peer.lose()
            if is_cancelled:
                await asyncio.sleep(0)  # the connection's end is known, the task isn't awake yet
                waiting.cancel()
            with pytest.raises(asyncio.CancelledError if is_cancelled else SendError):
                await waiting
            assert peer.loop.time() < 2

        run_fast(main())


def test_after_the_end_sending_is_an_error() -> None:
    async def main() -> None:
        peer = Peer()
        outgoing = Outgoing(peer.connection, Rate(5, 1.0))
        peer.lose()
        with pytest.raises(SendError, match="is not connected"):
            outgoing.send("x")
        with pytest.raises(SendError, match="is not connected"):
            await outgoing.put("x")
        assert not outgoing.is_open

    run_fast(main())
