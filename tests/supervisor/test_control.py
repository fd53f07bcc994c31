"""The control socket: a reply for each request, and whatever comes in harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from scaleout.control.messages import (
    MAX_REQUEST_BYTES,
    AnyReply,
    AnyRequest,
    Done,
    Refused,
    Resume,
    Resumed,
    Send,
)
from scaleout.errors import ConfigError, ControlError, Fault
from scaleout.supervisor import control
from scaleout.supervisor.control import serving
from scaleout.supervisor.listening import listening

Run = Callable[[Awaitable[Any]], Any]
REPLIES: msgspec.json.Decoder[AnyReply] = msgspec.json.Decoder(AnyReply)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end on either loop, but no longer than 30 s."""

    async def bounded(awaitable: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(awaitable, 30)

    def run(awaitable: Awaitable[Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(bounded(awaitable))

    return run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


async def answer(request: AnyRequest) -> AnyReply:
    """Stands in the place of the run: `resume` answers with its names, and `send` does as the text says."""
    if isinstance(request, Resume):
        return Resumed(endpoints=request.endpoints)
    assert isinstance(request, Send)
    if request.text == "refuse":
        raise ControlError("no")
    if request.text == "faulty":
        raise ConfigError([Fault("f", "a", "no"), Fault("f", "b", "neither")])
    if request.text == "fail":
        raise KeyError("oh")
    if request.text == "hang":
        await asyncio.Event().wait()
    return Done()


class Client:
    """Talks to the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls) -> Client:
        return cls(*await asyncio.open_unix_connection("s", limit=2**26))

    async def ask(self, line: bytes) -> AnyReply:
        self.writer.write(line)
        return REPLIES.decode(await self.reader.readline())

    async def resume(self, name: str = "a") -> AnyReply:
        return await self.ask(msgspec.json.encode(Resume(endpoints=(name,))) + b"\n")

    async def send(self, text: str) -> AnyReply:
        return await self.ask(msgspec.json.encode(Send(endpoint="a", text=text)) + b"\n")

    def close(self) -> None:
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def served(clients: int = 1) -> AsyncIterator[list[Client]]:
    with listening("s") as listener:
        async with serving(listener, answer):
            made = [await Client.connect() for _ in range(clients)]
            try:
                yield made
            finally:
                for client in made:
                    client.close()


def test_one_reply_for_each_request_in_order(run: Run) -> None:
    async def scenario() -> None:
        async with served() as (client,):
            client.writer.write(b"".join(msgspec.json.encode(Resume(endpoints=(n,))) + b"\n" for n in "abc"))
            lines = [await client.reader.readline() for _ in "abc"]
            assert [msgspec.json.decode(line)["endpoints"] for line in lines] == [["a"], ["b"], ["c"]]
            assert await client.send("refuse") == Refused(problem="no")
            assert await client.send("faulty") == Refused(
                problem="f: a: no", faults=(Fault("f", "a", "no"), Fault("f", "b", "neither"))
            )
            assert await client.send("well") == Done()

    run(scenario())


@pytest.mark.parametrize(
    "line",
    [
        b"hello?\n",
        b"\n",
        b"\xff\xfe\n",
        b"null\n",
        b'{"command":"rm -rf"}\n',
        b'{"command":"send","endpoint":"a","text":"\\ud800"}\n',
        b"[" * 100_000 + b"\n",
        b'{"command":"resume","endpoints":' + b"[" * 100_000 + b"\n",
    ],
)
def test_nonsense_is_answered_and_forgotten(run: Run, line: bytes) -> None:
    async def scenario() -> None:
        async with served() as (client,):
            reply = await client.ask(line)
            assert isinstance(reply, Refused) and "this is no request" in reply.problem
            assert len(reply.problem) < 300
            assert await client.resume() == Resumed(endpoints=("a",))

    run(scenario())


def test_a_line_that_is_too_long_is_skipped(run: Run) -> None:
    async def scenario() -> None:
        async with served(2) as (client, other):
            client.writer.write(b"x" * 5_000_000)
            assert await other.resume() == Resumed(endpoints=("a",))
            reply = await client.ask(b"x" * 5_000_000 + b"\n")
            assert reply == Refused(problem=f"a request has at most {MAX_REQUEST_BYTES} bytes")
            assert await client.resume() == Resumed(endpoints=("a",))

    run(scenario())


def test_a_request_as_long_as_it_may_be(run: Run) -> None:
    async def scenario() -> None:
        async with served() as (client,):
            overhead = len(msgspec.json.encode(Send(endpoint="a", text=""))) + 1
            assert await client.send("x" * (MAX_REQUEST_BYTES - overhead)) == Done()

    run(scenario())


def test_a_last_line_without_its_end_counts(run: Run) -> None:
    async def scenario() -> None:
        async with served() as (client,):
            client.writer.write(b'{"command":"resume"}')
            client.writer.write_eof()
            assert await client.reader.read() == b'{"reply":"resumed","endpoints":[]}\n'

    run(scenario())


def test_internal_errors_are_told_without_their_words(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with served() as (client,):
            assert await client.send("fail") == Refused(problem="internal error: KeyError")
            assert await client.send("well") == Done()

    run(scenario())
    assert "internal error while a request was answered" in caplog.text


def test_those_who_leave_or_hang_hold_nobody_up(run: Run) -> None:
    async def scenario() -> None:
        async with served(4) as (hangs, leaves, silent, client):
            hangs.writer.write(b'{"command":"send","endpoint":"a","text":"hang"}\n')
            leaves.writer.write(b'{"command":"resume"')
            leaves.close()
            assert silent.writer is not None
            assert await client.resume() == Resumed(endpoints=("a",))

    run(scenario())


def test_who_does_not_read_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "TAKE_S", 0.05)

    async def scenario() -> None:
        async with served(2) as (greedy, client):
            greedy.reader._transport.pause_reading()  # type: ignore[attr-defined]
            request = msgspec.json.encode(Resume(endpoints=("x" * 1_000_000,))) + b"\n"
            greedy.writer.writelines([request] * 5)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while not greedy.writer.transport.is_closing():
                        assert await client.resume() == Resumed(endpoints=("a",))
                        greedy.writer.write(b"\n")
                        await greedy.writer.drain()

    run(scenario())


def test_who_asks_nothing_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_S", 0.05)

    async def scenario() -> None:
        async with served() as (client,):
            assert await client.reader.read() == b""

    run(scenario())


def test_many_clients_at_once(run: Run) -> None:
    async def scenario() -> None:
        async with served(control.MAX_CONNECTIONS) as clients:
            replies = await asyncio.gather(*(each.resume(str(n)) for n, each in enumerate(clients)))
            assert replies == [Resumed(endpoints=(str(n),)) for n in range(len(clients))]
            for each in clients:
                await each.resume()
            late = await Client.connect()
            assert await late.resume() == Resumed(endpoints=("a",))
            assert await clients[0].reader.read() == b"", "who was idle for longest is let go"
            assert await clients[1].resume() == Resumed(endpoints=("a",))
            late.close()

    run(scenario())


def test_who_waits_for_an_answer_is_not_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(control, "LAST_ANSWERS_S", 0.01)

    async def scenario() -> None:
        asked = asyncio.Event()

        async def hang(request: AnyRequest) -> AnyReply:
            asked.set()
            await asyncio.Event().wait()
            return Done()

        with listening("s") as listener:
            async with serving(listener, hang):
                client = await Client.connect()
                client.writer.write(b'{"command":"resume"}\n')
                await asked.wait()
                late = await Client.connect()
                reply = REPLIES.decode(await late.reader.readline())
                assert reply == Refused(problem="too many clients at once: try again")
                late.close()
            client.close()

    run(scenario())


def test_what_is_answered_at_the_end_is_still_said(run: Run) -> None:
    decided = asyncio.Event()

    async def answer_in_the_end(request: AnyRequest) -> AnyReply:
        asked.set()
        await decided.wait()
        return Done()

    asked = asyncio.Event()

    async def scenario() -> None:
        with listening("s") as listener:
            async with serving(listener, answer_in_the_end):
                client = await Client.connect()
                asking = asyncio.ensure_future(client.resume())
                await asked.wait()
                decided.set()
            assert await asking == Done()
            assert await client.reader.read() == b""
            client.close()

    run(scenario())


def test_the_end_waits_for_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LAST_ANSWERS_S", 0.01)

    async def scenario() -> None:
        before = asyncio.all_tasks()
        async with served(2) as (client, _):
            client.writer.write(b'{"command":"send","endpoint":"a","text":"hang"}\n')
            await asyncio.sleep(0)
        late = asyncio.all_tasks() - before
        if late:  # who came last has the first turn still to come
            await asyncio.wait(late)

    run(scenario())
    assert not Path("s").exists()
