"""Producers: started with the connection, paced, and stopped with it, whatever they do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from scaleout.config import Rate
from scaleout.context import Context
from scaleout.hooks import Producer
from scaleout.logs import EndpointLogger
from scaleout.worker.links.outgoing import Outgoing
from scaleout.worker.links.producing import Producing
from tests.worker.peers import Peer, run_fast, settle


def start(
    function: Callable[..., AsyncIterator[object]],
    peer: Peer,
    rate: Rate | None = None,
    wants_context: bool = False,
) -> asyncio.Task[None]:
    producing = Producing(Producer(function, wants_context), "feed", EndpointLogger("feed", ()))
    return producing.start(Outgoing(peer.connection, rate))


def test_what_it_makes_is_sent_and_its_end_is_its_own() -> None:
    async def produce() -> AsyncIterator[object]:
        yield "text"
        yield {"op": 1}
        yield b"bytes"

    async def main() -> None:
        peer = Peer()
        await start(produce, peer)
        assert [frame.payload for frame in peer.sent] == [b"text", b'{"op":1}', b"bytes"]
        assert peer.texts == ["text", '{"op":1}']
        peer.lose()

    run_fast(main())


def test_it_waits_for_its_turn() -> None:
    made: list[int] = []

    async def produce() -> AsyncIterator[object]:
        for number in range(10):
            made.append(number)
            yield str(number)

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer, Rate(3, 1.0))
        await asyncio.sleep(0.5)
        assert made == [0, 1, 2] and peer.texts == ["0", "1"]
        await producing
        assert peer.texts == [str(number) for number in range(10)]
        peer.lose()

    run_fast(main())


def test_the_context_sends_too() -> None:
    async def produce(context: Context) -> AsyncIterator[object]:
        context.send("from the context")
        yield context.endpoint

    async def main() -> None:
        peer = Peer()
        await start(produce, peer, wants_context=True)
        assert peer.texts == ["from the context", "feed"]
        peer.lose()

    run_fast(main())


def test_one_that_never_waits_does_not_stop_the_loop() -> None:
    ended: list[bool] = []

    async def produce() -> AsyncIterator[object]:
        try:
            while True:
                yield "x"
        finally:
            ended.append(True)

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer)
        await settle()
        producing.cancel()
        await asyncio.wait((producing,))
        assert peer.texts and ended == [True]
        peer.lose()

    run_fast(main())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("oops"), "ValueError: oops"),
        (SystemExit("bye"), "SystemExit: bye"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (object(), "SendError: a message of type object can't be encoded as JSON: "),
        ("\ud800", "SendError: can't send text that UTF-8 can't hold"),
    ],
)
def test_one_that_fails_is_started_again_later_and_later(
    fault: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []

    async def produce() -> AsyncIterator[object]:
        times.append(asyncio.get_running_loop().time())
        yield "x"
        if isinstance(fault, BaseException):
            raise fault
        yield fault

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer)
        await asyncio.sleep(300)
        assert times == pytest.approx([0, 1, 3, 7, 15, 31, 63, 123, 183, 243])
        assert peer.texts == ["x"] * len(times)
        producing.cancel()
        await asyncio.wait((producing,))
        peer.lose()

    run_fast(main())
    assert caplog.messages[0].startswith(f"the producer failed, starting it again in 1 s: {said}")
    assert len(caplog.messages) == len(times)


def test_cancelled_its_last_blocks_run() -> None:
    ended: list[str] = []

    async def waiting() -> AsyncIterator[object]:
        try:
            yield "x"
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            ended.append("while it waits")

    async def held() -> AsyncIterator[object]:
        try:
            while True:
                yield "x"
        finally:
            await asyncio.sleep(1)
            ended.append("while its message waits")

    async def main() -> None:
        for function in (waiting, held):
            peer = Peer()
            producing = start(function, peer, Rate(2, 3600.0))
            await asyncio.sleep(1)
            producing.cancel()
            await asyncio.wait((producing,))
            assert producing.cancelled()
            peer.lose()

    run_fast(main())
    assert ended == ["while it waits", "while its message waits"]


@pytest.mark.parametrize("is_stubborn_when", ["waiting", "closed"])
def test_one_that_will_not_end_is_left_with_its_connection(is_stubborn_when: str) -> None:
    starts = 0

    async def produce() -> AsyncIterator[object]:
        nonlocal starts
        starts += 1
        while True:
            try:
                if is_stubborn_when == "waiting":
                    await asyncio.sleep(1000)
                yield "x"
            except BaseException:
                yield "once more"

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer, Rate(2, 3600.0))
        await asyncio.sleep(1)
        producing.cancel()
        peer.lose()
        await asyncio.wait((producing,))
        await settle()

    run_fast(main())
    assert starts == 1


def test_the_end_of_the_connection_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def produce() -> AsyncIterator[object]:
        while True:
            await asyncio.sleep(1)
            yield "x"

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer)
        await asyncio.sleep(10.5)
        peer.lose()
        await asyncio.wait((producing,))
        assert len(peer.texts) == 10

    run_fast(main())
    assert caplog.messages == []
    assert sys.exc_info() == (None, None, None)


def test_one_that_failed_is_not_started_again_on_a_dead_connection() -> None:
    starts = 0

    async def produce() -> AsyncIterator[object]:
        nonlocal starts
        starts += 1
        yield "x"
        raise ValueError("oops")

    async def main() -> None:
        peer = Peer()
        producing = start(produce, peer)
        await asyncio.sleep(0.5)
        peer.lose()
        await asyncio.wait((producing,))
        assert not producing.cancelled() and peer.loop.time() == 1

    run_fast(main())
    assert starts == 1
