"""Sessions against small servers on loopback: every way in, every way out, and what people are told of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from scaleout.config import TLS, Backoff, Endpoint
from scaleout.context import Context
from scaleout.core.lifecycle import EndpointState
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.simulator.certificates import Certificates, make_certificates, server_context
from scaleout.worker.dialing import Dialer
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means
from scaleout.worker.session import Session

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]
Handler = Callable[[ServerConnection], Awaitable[None]]

CONNECTING, LIVE, BACKOFF, ENDED = (
    EndpointState.CONNECTING,
    EndpointState.LIVE,
    EndpointState.BACKOFF,
    EndpointState.ENDED,
)
SOON = Backoff(initial=0.001, maximum=0.01)


class Client:
    """A session at a desk, its states, and a wait for each."""

    def __init__(
        self, made: Any, session: Session, states: list[EndpointState], changed: asyncio.Event
    ) -> None:
        self.desk = made
        self.session = session
        self.states = states
        self._changed = changed
        self.task = asyncio.ensure_future(session.run())

    async def reached(self, count: int, state: EndpointState) -> None:
        """Wait until a state has been entered so often."""
        while self.states.count(state) < count:
            assert not self.task.done(), self.task
            self._changed.clear()
            await self._changed.wait()

    async def stop(self) -> None:
        """What a worker does at the end."""
        self.session.stop_receiving()
        self.task.cancel()
        await self.session.say_goodbye()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


MakeClient = Callable[..., Client]


@pytest.fixture
def client(desk: MakeDesk) -> MakeClient:
    """Starts a session, in a running loop."""

    def start(uri: str, processor: Any = None, secrets: tuple[str, ...] = (), **keys: Any) -> Client:
        options = {"name": "feed", "proxy": False, "backoff": SOON, "linger": 0.0, **keys}
        endpoint = Endpoint(uri=uri, **options)
        states: list[EndpointState] = []
        changed = asyncio.Event()

        def on_change(session: Session) -> None:
            if not states or states[-1] is not session.state:
                states.append(session.state)
            changed.set()

        holder: list[Session] = []
        made = desk(processor, send=lambda message: holder[0].send(message))
        means = Means(Dialer(), Permits(lambda report: None), Random(1))
        session = Session(endpoint, (), made.inlet, means, on_change, EndpointLogger("feed", secrets))
        holder.append(session)
        return Client(made, session, states, changed)

    return start


@contextlib.asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A server on loopback; its URI."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"ws{'s' if 'ssl' in options else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that answers each request with the same bytes and hangs up; its URI."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def closing(code: int, reason: str = "") -> Handler:
    async def handle(connection: ServerConnection) -> None:
        await connection.send("1")
        await connection.close(code, reason)

    return handle


async def hang_up(connection: ServerConnection) -> None:
    await connection.send("1")
    connection.transport.abort()


async def stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


class TestReconnect:
    @pytest.mark.parametrize(
        ("reconnect", "handler", "ends", "error"),
        [
            ("always", closing(1000), False, None),
            (
                "always",
                closing(1011, "oops"),
                False,
                "connection lost: received 1011 (internal error) oops; then sent",
            ),
            ("on_error", closing(1000), True, None),
            ("on_error", closing(1011), False, "connection lost: received 1011 (internal error); then sent"),
            ("on_error", closing(1001), False, "connection lost: received 1001 (going away); then sent"),
            ("on_error", hang_up, False, "connection lost: no close frame received or sent"),
            ("never", closing(1000), True, None),
            ("never", closing(1012), True, "connection lost: received 1012 (service restart); then sent"),
            ("never", hang_up, True, "connection lost: no close frame received or sent"),
        ],
    )
    def test_by_the_way_the_connection_ended(
        self, run: Run, client: MakeClient, reconnect: str, handler: Handler, ends: bool, error: str | None
    ) -> None:
        async def scenario() -> None:
            async with serving(handler) as uri:
                started = client(uri, reconnect=reconnect)
                if ends:
                    await started.task
                    assert started.states == [CONNECTING, LIVE, ENDED]
                    assert started.desk.counts == (1, 1, 0, 0)
                else:
                    await started.reached(3, LIVE)
                    assert started.states[:6] == [CONNECTING, LIVE, BACKOFF] * 2
                    await started.stop()
                assert started.session.connects == started.states.count(LIVE)
                if error is None:
                    assert started.session.last_error is None
                else:
                    assert str(started.session.last_error).startswith(error)

        run(scenario())

    @pytest.mark.parametrize("reconnect", ["always", "on_error", "never"])
    def test_a_refused_connection(
        self, run: Run, client: MakeClient, unused_port: int, reconnect: str
    ) -> None:
        async def scenario() -> None:
            started = client(f"ws://127.0.0.1:{unused_port}", reconnect=reconnect)
            if reconnect == "never":
                await started.task
                assert started.states == [CONNECTING, ENDED]
            else:
                await started.reached(3, BACKOFF)
                await started.stop()
            assert started.session.connects == 0
            assert str(started.session.last_error).startswith("can't connect: ")
            assert "refused" in str(started.session.last_error)

        run(scenario())

    @pytest.mark.parametrize("status", [401, 429, 503])
    def test_a_rejected_handshake(self, run: Run, client: MakeClient, status: int) -> None:
        async def scenario() -> None:
            def reject(connection: ServerConnection, request: Request) -> Response:
                return connection.respond(status, "no\n")

            async with serving(stay, process_request=reject) as uri:
                started = client(uri)
                await started.reached(2, BACKOFF)
                await started.stop()
                error = f'can\'t connect: server rejected WebSocket connection: HTTP {status}: "no"'
                assert started.session.last_error == error

        run(scenario())

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 101 \xff\xfe\r\nUpgrade: \xff\xfe\r\nConnection: Upgrade\r\n\r\n",
            b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: \x1b[31m\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: ws://user:hunter22@127.0.0.1:1/?k=hunter22\r\n\r\n",
            b"\x00\xff garbage\r\n\r\n",
            b"",
        ],
    )
    def test_a_nonsensical_answer_is_told_in_plain_words(
        self, run: Run, client: MakeClient, answer: bytes
    ) -> None:
        async def scenario() -> None:
            async with answering(answer) as uri:
                started = client(uri)
                await started.reached(2, BACKOFF)
                await started.stop()
            error = str(started.session.last_error)
            assert error.startswith("can't connect: ") and error.isprintable()
            assert "hunter22" not in error
            error.encode()

        run(scenario())

    def test_a_server_that_never_answers(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read()
                writer.close()

            async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                started = client(f"ws://127.0.0.1:{port}", open_timeout=0.05, reconnect="never")
                await started.task
                assert started.session.last_error == "can't connect: timed out during opening handshake"

        run(scenario())

    def test_a_close_that_answers_ours_is_no_normal_end(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                request = (await reader.readuntil(b"\r\n\r\n")).decode()
                (key,) = re.findall("(?i)Sec-WebSocket-Key: (.*)\r", request)
                upgrade = "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                writer.write(f"{upgrade}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
                writer.write(b"\x81\x011" + b"\x81\x01\xff")  # the second one isn't UTF-8
                await reader.readexactly(1)
                writer.write(b"\x88\x02\x03\xe8")  # closed with 1000, as if all were well
                writer.close()

            async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
                uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                started = client(uri, reconnect="on_error")
                await started.reached(2, LIVE)
                await started.stop()
                assert "1007" in str(started.session.last_error)

        run(scenario())


class TestConnecting:
    def test_subscriptions_are_sent_after_every_connect_in_order(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            got: list[list[str | bytes]] = []

            async def take(connection: ServerConnection) -> None:
                got.append([await connection.recv() for _ in range(4)])
                await connection.send("[1]")

            async with serving(take) as uri:
                started = client(
                    uri, subscribe=('{"raw":  true}', {"op": "sub", "args": ["\u20ac"]}, ["REQ", 1], "last")
                )
                await started.reached(3, LIVE)
                await started.stop()
            expected = ['{"raw":  true}', '{"op":"sub","args":["\u20ac"]}', '["REQ",1]', "last"]
            assert got[:2] == [expected, expected]

        run(scenario())

    def test_headers_and_subprotocols_arrive(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            seen: list[tuple[str | None, str | None, str | None]] = []

            async def look(connection: ServerConnection) -> None:
                assert connection.request is not None
                headers = connection.request.headers
                seen.append((headers["Authorization"], headers["User-Agent"], connection.subprotocol))

            async with serving(look, subprotocols=["v2", "v1"]) as uri:
                started = client(
                    uri, headers={"Authorization": "Bearer x"}, subprotocols=("v1", "v3"), reconnect="never"
                )
                await started.task
            ((authorization, agent, subprotocol),) = seen
            assert (authorization, subprotocol) == ("Bearer x", "v1")
            assert str(agent).startswith("scaleout")

        run(scenario())

    @pytest.mark.parametrize(("compression", "negotiated"), [("off", False), ("deflate", True)])
    def test_compression(self, run: Run, client: MakeClient, compression: str, negotiated: bool) -> None:
        async def scenario() -> None:
            async def send(connection: ServerConnection) -> None:
                assert bool(connection.protocol.extensions) is negotiated
                for number in range(50):
                    await connection.send(f"[{number}, {'0,' * 200}0]")

            async with serving(send) as uri:
                started = client(uri, compression=compression, reconnect="never")
                await started.task
                assert [result[0] for result in started.desk.results] == list(range(50))
                assert started.session.last_error is None

        run(scenario())

    def test_an_oversized_message_ends_the_connection(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            codes: list[int | None] = []

            async def send(connection: ServerConnection) -> None:
                await connection.send("1")
                await connection.send("2" * 101)
                await connection.wait_closed()
                codes.append(connection.close_code)

            async with serving(send) as uri:
                started = client(uri, max_message_size=100, reconnect="never")
                await started.task
                assert started.desk.results == [1]
                assert "1009 (message too big)" in str(started.session.last_error)
            assert codes == [1009]

        run(scenario())

    def test_messages_right_before_the_close_are_delivered(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            async def later(message: int) -> int:
                await asyncio.sleep(0.01)
                return message

            async def send(connection: ServerConnection) -> None:
                for number in range(300):
                    await connection.send(str(number))

            async with serving(send) as uri:
                started = client(uri, later, reconnect="never")
                await started.task
                await started.desk.drain()
                assert started.desk.results == list(range(300))
                assert started.desk.counts == (300, 300, 0, 0)

        run(scenario())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), "127.0.0.1")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("other"), "127.0.0.1")


class TestTLS:
    def connect(self, run: Run, client: MakeClient, certificates: Certificates, tls: TLS) -> Client:
        async def scenario() -> Client:
            async with serving(closing(1000), ssl=server_context(certificates)) as uri:
                started = client(uri.replace("wss", "WSS"), tls=tls, reconnect="never")
                await started.task
                return started

        connected: Client = run(scenario())
        return connected

    def test_its_own_authority_is_trusted(
        self, run: Run, client: MakeClient, certificates: Certificates
    ) -> None:
        done = self.connect(run, client, certificates, TLS(ca=certificates.ca_file))
        assert (done.session.connects, done.session.last_error, done.desk.results) == (1, None, [1])

    def test_another_authority_is_not(
        self, run: Run, client: MakeClient, certificates: Certificates, others: Certificates
    ) -> None:
        for tls in (TLS(ca=others.ca_file), TLS()):
            done = self.connect(run, client, certificates, tls)
            assert done.session.connects == 0
            assert "certificate verify failed" in str(done.session.last_error)

    def test_no_verification_if_asked(self, run: Run, client: MakeClient, certificates: Certificates) -> None:
        assert self.connect(run, client, certificates, TLS(verify=False)).session.connects == 1

    def test_a_file_that_can_not_be_read_is_named(
        self, run: Run, client: MakeClient, certificates: Certificates, tmp_path: Path
    ) -> None:
        missing, garbage = str(tmp_path / "missing.pem"), tmp_path / "garbage.pem"
        garbage.write_text("not a certificate")
        ca = certificates.ca_file
        for tls, name in (
            (TLS(ca=missing), missing),
            (TLS(ca=str(garbage)), str(garbage)),
            (TLS(ca=ca, cert=missing), missing),
            (TLS(ca=ca, cert=str(garbage), key=str(garbage)), str(garbage)),
        ):
            error = str(self.connect(run, client, certificates, tls).session.last_error)
            assert error.startswith("can't connect: the c") and name in error


class TestTheEnd:
    def test_a_stop_closes_with_1001(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            codes: list[int | None] = []

            async def flood(connection: ServerConnection) -> None:
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await connection.send("1")
                        await asyncio.sleep(0)
                codes.append(connection.close_code)

            async with serving(flood) as uri:
                started = client(uri)
                await started.reached(1, LIVE)
                await started.desk.channel.was_sent.wait()
                started.session.stop_receiving()
                received = started.desk.counts
                await started.stop()
                assert started.desk.counts == received
            assert codes == [1001]
            assert started.states == [CONNECTING, LIVE]

        run(scenario())

    def test_a_peer_that_does_not_answer_is_left(
        self, run: Run, client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scaleout.worker.links.link.GOODBYE_TIMEOUT_S", 0.05)

        async def scenario() -> None:
            async def deaf(connection: ServerConnection) -> None:
                connection.transport.pause_reading()
                await gone.wait()
                connection.transport.abort()

            gone = asyncio.Event()
            async with serving(deaf) as uri:
                started = client(uri)
                await started.reached(1, LIVE)
                await started.stop()
                gone.set()

        run(scenario())

    def test_a_stop_while_connecting_or_waiting(self, run: Run, client: MakeClient, unused_port: int) -> None:
        async def scenario() -> None:
            slow = Backoff(initial=1000.0, maximum=1000.0)
            waiting = client(f"ws://127.0.0.1:{unused_port}", backoff=slow)
            await waiting.reached(1, BACKOFF)
            await waiting.stop()

            async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                connecting = client(f"ws://127.0.0.1:{port}")
                await connecting.reached(1, CONNECTING)
                await connecting.stop()

        run(scenario())


class TestSending:
    def test_a_processor_answers_on_the_connection(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            answers: list[str | bytes] = []

            def answer(message: str, context: Context) -> None:
                context.send(f"pong {message}")
                context.send(message.encode())

            async def ask(connection: ServerConnection) -> None:
                await connection.send("7")
                answers.extend([await connection.recv(), await connection.recv()])

            async with serving(ask) as uri:
                started = client(uri, answer, reconnect="never")
                await started.task
            assert answers == ["pong 7", b"7"]

        run(scenario())

    def test_without_a_connection_sending_is_an_error(
        self, run: Run, client: MakeClient, unused_port: int
    ) -> None:
        async def scenario() -> None:
            started = client(f"ws://127.0.0.1:{unused_port}")
            with pytest.raises(SendError, match="feed is not connected"):
                started.session.send("hello")
            await started.stop()

        run(scenario())

    def test_a_peer_that_does_not_read_is_an_error(self, run: Run, client: MakeClient) -> None:
        async def scenario() -> None:
            async def deaf(connection: ServerConnection) -> None:
                connection.transport.pause_reading()
                await done.wait()
                connection.transport.abort()

            done = asyncio.Event()
            async with serving(deaf) as uri:
                started = client(uri)
                await started.reached(1, LIVE)
                with pytest.raises(SendError, match="does not read what it is sent"):
                    for _ in range(1000):
                        started.session.send(b"x" * 2**16)
                done.set()
                await started.stop()

        run(scenario())


class TestSecrets:
    def test_they_are_in_no_error_and_in_no_log(
        self, run: Run, client: MakeClient, caplog: pytest.LogCaptureFixture, unused_port: int
    ) -> None:
        async def scenario() -> list[str]:
            errors = []
            async with serving(closing(1011, "token hunter22 expired")) as uri:
                for tried in (
                    uri,
                    f"ws://hunter22@127.0.0.1:{unused_port}/?token=other-secret",
                    "wx://127.0.0.1/?token=other-secret",
                ):
                    started = client(tried, secrets=("hunter22",), reconnect="never")
                    await started.task
                    errors.append(str(started.session.last_error))
            return errors

        with caplog.at_level(logging.DEBUG, logger="scaleout"):
            errors = run(scenario())
        assert "token *** expired" in errors[0]
        assert "?token=***" in errors[2]
        told = "\n".join([*errors, *(record.getMessage() for record in caplog.records)])
        assert "hunter22" not in told and "other-secret" not in told


def test_a_bug_in_a_pipeline_reconnects_and_harms_nobody_else(run: Run, client: MakeClient) -> None:
    async def scenario() -> None:
        async def count(connection: ServerConnection) -> None:
            for number in range(3):
                await connection.send(str(number))
            await connection.wait_closed()

        def broken(*args: object) -> None:
            raise RuntimeError("a bug")

        async with serving(count) as uri:
            bad = client(uri)
            bad.desk.pipeline.handle = broken
            good = client(uri)
            await bad.reached(2, BACKOFF)
            await good.reached(1, LIVE)
            while len(good.desk.results) < 3:
                good.desk.channel.was_sent.clear()
                await good.desk.channel.was_sent.wait()
            assert good.states == [CONNECTING, LIVE]
            await bad.stop()
            await good.stop()

    run(scenario())


@pytest.mark.parametrize(("elsewhere", "expected"), [(True, None), (False, "hunter22")])
def test_a_redirect_takes_headers_to_the_same_origin_alone(
    elsewhere: bool, expected: str | None, run: Run, client: MakeClient
) -> None:
    async def scenario() -> None:
        targets: list[str] = []
        seen: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def redirect(connection: ServerConnection, request: Request) -> Response | None:
            note(connection, request)
            if request.path == "/target":
                return None
            response = connection.respond(302, "")
            response.headers["Location"] = targets[0]
            return response

        def note(connection: ServerConnection, request: Request) -> None:
            if request.path == "/target":
                seen.set_result(request.headers.get("X-Api-Key"))

        async with (
            serving(stay, process_request=note) as other,
            serving(stay, process_request=redirect) as uri,
        ):
            targets.append(f"{other if elsewhere else uri}/target")
            redirected = client(f"{uri}/start", headers={"X-Api-Key": "hunter22"})
            await redirected.reached(1, LIVE)
            assert await seen == expected
            await redirected.stop()

    run(scenario())
