"""Messages over a real pipe, both ends in this process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest
import uvloop

from scaleout import channel as channel_module
from scaleout.channel import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    WRITE_HIGH_WATER_BYTES,
    Channel,
)
from scaleout.errors import ChannelError


class Ask(msgspec.Struct, frozen=True, tag=True):
    number: int


class Tell(msgspec.Struct, frozen=True, tag=True):
    text: str


Message = Ask | Tell
Main = Callable[[], Coroutine[None, None, None]]
Run = Callable[[Main], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs to the end, on each kind of loop, but no longer than 20 s."""

    def run_main(main: Main) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(main(), 20))

    return run_main


class End:
    """One end of a pipe, and what has come out of it."""

    channel: Channel[Message]

    def __init__(self) -> None:
        self.got: list[tuple[Message, memoryview]] = []
        self.lost: list[Exception | None] = []
        self.writable_again = 0
        self._wanted = 0
        self._arrived = asyncio.Event()

    @classmethod
    async def at(cls, pipe: Connection) -> End:
        end = cls()
        end.channel = await Channel.open(pipe, Message, end._take, end.lost.append, end._note_writable)
        return end

    def _take(self, message: Message, body: memoryview) -> None:
        self.got.append((message, body))
        if len(self.got) >= self._wanted:
            self._arrived.set()

    def _note_writable(self) -> None:
        self.writable_again += 1

    async def wait_for(self, count: int) -> None:
        self._wanted = count
        self._arrived.clear()
        if len(self.got) < count:
            await self._arrived.wait()


async def joined() -> tuple[End, End]:
    a, b = multiprocessing.get_context("spawn").Pipe(duplex=True)
    return await End.at(a), await End.at(b)


async def raw() -> tuple[End, socket.socket]:
    """A channel, and the bare other end."""
    a, b = multiprocessing.get_context("spawn").Pipe(duplex=True)
    other = socket.socket(fileno=os.dup(b.fileno()))
    b.close()
    return await End.at(a), other


def test_both_directions_keep_the_order_and_the_bodies(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        for number in range(1000):
            a.channel.send(Ask(number), [b"%d," % number, bytearray(b"x"), memoryview(b"y")])
            b.channel.send(Tell(str(number)))
        await a.wait_for(1000)
        await b.wait_for(1000)
        assert [message for message, _ in b.got] == [Ask(number) for number in range(1000)]
        assert [bytes(body) for _, body in b.got] == [b"%d,xy" % number for number in range(1000)]
        assert [message for message, _ in a.got] == [Tell(str(number)) for number in range(1000)]
        assert not any(body for _, body in a.got)
        await a.channel.close()
        await b.channel.wait_lost()
        assert (a.lost, b.lost) == ([None], [None])

    run(main)


def test_a_large_body_arrives_whole(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        part = os.urandom(10 * 2**20)
        a.channel.send(Tell("large"), [part] * 5)
        a.channel.send(Tell("after"))
        await b.wait_for(2)
        assert b.got[0][1] == part * 5
        assert b.got[1][0] == Tell("after")
        await a.channel.close()

    run(main)


def test_a_body_may_be_kept(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        for number in range(3):
            a.channel.send(Ask(number), [bytes([number]) * 1000])
        await b.wait_for(3)
        assert [bytes(body) for _, body in b.got] == [bytes([number]) * 1000 for number in range(3)]
        await a.channel.close()

    run(main)


@pytest.mark.parametrize("step", [1, 5, 8, 13, 40_000])
def test_frames_may_come_in_any_pieces(run: Run, step: int) -> None:
    async def main() -> None:
        end, other = await raw()
        bodies = [b"", b"a", bytes(20_000), b"b" * 50_000, b"", b"c" * 7]
        if step < 8:
            bodies = bodies[:2] + bodies[4:]
        stream = b"".join(framed(msgspec.msgpack.encode(Ask(i)), body) for i, body in enumerate(bodies))
        with other:
            for start in range(0, len(stream), step):
                await asyncio.get_running_loop().run_in_executor(
                    None, other.sendall, stream[start : start + step]
                )
            await end.wait_for(len(bodies))
        assert [message for message, _ in end.got] == [Ask(i) for i in range(len(bodies))]
        assert [bytes(body) for _, body in end.got] == bodies

    run(main)


def test_large_bodies_that_are_kept_stay_as_they_are(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        for number in range(20):
            a.channel.send(Ask(number), [bytes([number]) * 300_000])
        await b.wait_for(20)
        assert all(body == bytes([number]) * 300_000 for number, (_, body) in enumerate(b.got))
        b.got.clear()
        for number in range(20):
            a.channel.send(Ask(number), [bytes([number]) * 200_000])
        await b.wait_for(20)
        assert all(body == bytes([number]) * 200_000 for number, (_, body) in enumerate(b.got))
        await a.channel.close()

    run(main)


def test_a_reader_that_pauses_holds_the_sender_back(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        b.channel.pause_reading()
        sent = 0
        while a.channel.is_writable:
            a.channel.send(Ask(sent), [b"x" * 100_000])
            sent += 1
            await asyncio.sleep(0)
            assert sent * 100_000 < 2 * WRITE_HIGH_WATER_BYTES + 2**24, "nothing holds the sender back"
        draining = asyncio.ensure_future(a.channel.drain())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not draining.done()
        assert a.writable_again == 0
        b.channel.resume_reading()
        await draining
        assert a.channel.is_writable
        assert a.writable_again == 1
        await b.wait_for(sent)
        assert [message for message, _ in b.got] == [Ask(number) for number in range(sent)]
        await a.channel.close()

    run(main)


def test_a_reader_may_pause_between_two_messages_of_one_read(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        take = b._take

        def take_and_pause(message: Message, body: memoryview) -> None:
            take(message, body)
            b.channel.pause_reading()
            asyncio.get_running_loop().call_soon(b.channel.resume_reading)

        b.channel._on_message = take_and_pause
        for number in range(50):
            a.channel.send(Ask(number), [b"body"])
        await b.wait_for(50)
        assert [message for message, _ in b.got] == [Ask(number) for number in range(50)]
        await a.channel.close()

    run(main)


def test_close_sends_what_is_buffered(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        a.channel.send(Tell("last"), [bytes(2**23)])
        await a.channel.close()
        await b.wait_for(1)
        assert len(b.got[0][1]) == 2**23
        await b.channel.wait_lost()

    run(main)


def test_what_was_sent_before_a_death_is_read_before_the_end(run: Run) -> None:
    async def main() -> None:
        end, other = await raw()
        end.channel.send(Ask(1), [b"never read"])
        end.channel.pause_reading()
        with other:
            other.sendall(framed(msgspec.msgpack.encode(Tell("last words")), b"abc"))
        end.channel.resume_reading()
        await end.channel.wait_lost()
        assert [(message, bytes(body)) for message, body in end.got] == [(Tell("last words"), b"abc")]
        assert end.lost == [None]

    run(main)


HEAD = msgspec.msgpack.encode(Ask(1))


def framed(head: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(head), len(body)) + head + body


@pytest.mark.parametrize(
    "sent",
    [
        framed(b"\xc1" * 10),
        framed(HEAD[:-1]),
        framed(HEAD + b"\0"),
        framed(msgspec.msgpack.encode({"type": "Nobody"})),
        framed(msgspec.msgpack.encode({"type": "Ask", "number": "1"})),
        framed(msgspec.msgpack.encode({"type": "Tell", "text": "a"})[:-1] + b"\xff"),
        framed(b"", b"body"),
        framed(b""),
        struct.pack(">II", MAX_HEAD_BYTES + 1, 0),
        struct.pack(">II", 1, MAX_BODY_BYTES + 1),
        b"\xff" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_can_not_be_read_is_an_error_and_ends_the_channel(run: Run, sent: bytes) -> None:
    async def main() -> None:
        end, other = await raw()
        with other:
            other.sendall(framed(HEAD))
            other.sendall(sent + framed(HEAD))
            await end.channel.wait_lost()
        assert [message for message, _ in end.got] == [Ask(1)]
        [error] = end.lost
        assert isinstance(error, ChannelError)
        assert "the other side of the pipe sent" in str(error)

    run(main)


@pytest.mark.parametrize("size", [0, 1, 8, 9, 10])
def test_the_end_of_the_pipe_is_the_end_even_within_a_frame(run: Run, size: int) -> None:
    async def main() -> None:
        end, other = await raw()
        with other:
            other.sendall(framed(HEAD, bytes(100))[:size])
        await end.channel.wait_lost()
        assert end.got == []
        assert end.lost == [None]

    run(main)


def test_sending_on_a_channel_that_has_ended_is_silent(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        await b.channel.close()
        await a.channel.wait_lost()
        for end in (a, b):
            end.channel.send(Ask(1), [b"body"])
            end.channel.pause_reading()
            end.channel.resume_reading()
            end.channel.abort()
            await end.channel.drain()
            await end.channel.close()
            assert not end.channel.is_writable
        assert (a.lost, b.lost) == ([None], [None])

    run(main)


def test_the_pipe_of_a_dead_process_that_somebody_holds_open_is_left(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "LAST_WORDS_TIMEOUT_S", 0.01)

    async def main() -> None:
        end, other = await raw()
        held_back = iter([True, True, False])
        with other:
            other.sendall(framed(HEAD))
            await end.channel.wait_last_words(lambda: next(held_back))
        assert [message for message, _ in end.got] == [Ask(1)]
        assert end.lost == [None]
        assert list(held_back) == []

    run(main)


def test_a_peer_that_is_gone_in_the_middle_of_sending_is_an_end(run: Run) -> None:
    async def main() -> None:
        end, other = await raw()
        end.channel.send(Ask(1), [bytes(2**24)])
        draining = asyncio.ensure_future(end.channel.drain())
        other.close()
        await draining
        await end.channel.wait_lost()
        assert end.lost == [None]

    run(main)


def test_several_messages_in_one_write(run: Run) -> None:
    async def main() -> None:
        a, b = await joined()
        a.channel.send_all([Ask(1), Ask(2), Ask(3)])
        a.channel.send(Ask(4))
        await b.wait_for(4)
        assert [message for message, _ in b.got] == [Ask(1), Ask(2), Ask(3), Ask(4)]
        await a.channel.close()
        a.channel.send_all([Ask(5)])

    run(main)


def test_too_large_a_message_is_refused_before_it_is_sent(run: Run) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return MAX_BODY_BYTES + 1

    async def main() -> None:
        a, b = await joined()
        with pytest.raises(ChannelError, match="too large"):
            a.channel.send(Ask(1), [Huge()])
        a.channel.send(Ask(2))
        await b.wait_for(1)
        assert b.got[0][0] == Ask(2)
        await a.channel.close()

    run(main)


def test_a_fault_in_a_handler_ends_the_channel_with_it(run: Run) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        a, b = await joined()

        def fail(message: Message, body: memoryview) -> None:
            raise RuntimeError("handler")

        b.channel._on_message = fail
        a.channel.send(Ask(1))
        await b.channel.wait_lost()
        assert [str(error) for error in b.lost] == ["handler"]
        await a.channel.wait_lost()

    run(main)


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_no_descriptor_is_left_open(run: Run) -> None:
    async def main() -> None:
        counts = []
        for _ in range(4):
            a, b = await joined()
            await a.channel.close()
            await b.channel.wait_lost()
            for _ in range(3):
                await asyncio.sleep(0)
            counts.append(open_descriptors())
        assert counts == [counts[0]] * 4

    run(main)
