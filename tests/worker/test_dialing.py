"""Dialing on loopback: what is resumed and what never is, which addresses are tried, where secrets don't go."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from scaleout.config import TLS, Endpoint
from scaleout.simulator.certificates import Certificates, make_certificates, server_context
from scaleout.worker import dialing
from scaleout.worker import resolver as resolver_module
from scaleout.worker import tls as tls_module
from scaleout.worker.connection import FeedConnection
from scaleout.worker.dialing import Dialer
from scaleout.worker.polling import IS_AVAILABLE, Owner, Poller
from scaleout.worker.reading import Reader
from scaleout.worker.tls import forget_sessions, is_resumed

Run = Callable[[Awaitable[Any]], Any]
Where = list[tuple[str, int]]

NAME = "feed.test"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No session of another test."""
    forget_sessions()
    yield
    forget_sessions()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), NAME)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of another authority, for another name."""
    return make_certificates(tmp_path_factory.mktemp("other"), "other.test")


@pytest.fixture
def tls(certificates: Certificates) -> TLS:
    """Trusts the tests' authority."""
    return TLS(ca=certificates.ca_file)


class Resolver:
    """Takes the place of the system's."""

    def __init__(self) -> None:
        self.answers: dict[str, Where] = {}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def install(self) -> None:
        """Answer on the running loop."""
        loop: Any = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
            self.asked.append(host)
            if self.gate is not None:
                await self.gate.wait()
            if host not in self.answers:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in self.answers[host]]

        loop.getaddrinfo = getaddrinfo


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def sandbox(run: Run, resolver: Resolver) -> Run:
    """Runs a coroutine with the resolver in place."""

    async def scenario(awaitable: Awaitable[Any]) -> Any:
        resolver.install()
        return await awaitable

    return lambda awaitable: run(scenario(awaitable))


async def stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[int]:
    """A server on loopback that sends nothing; its port."""
    async with serve(stay, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def accepting(answer: bytes | None = None) -> AsyncIterator[int]:
    """A server that hangs up, or says nothing at all, or answers bytes and hangs up; its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def dial(dialer: Dialer, uri: str, **keys: Any) -> FeedConnection:
    endpoint = Endpoint(uri=uri, **{"proxy": False, **keys})
    return await dialer.dial(endpoint, uri=uri, subprotocols=(), compression=False)


async def resumed(dialer: Dialer, uri: str, **keys: Any) -> bool | None:
    """Connect, close, and tell whether that was resumed; by the close the tickets have come."""
    connection = await dial(dialer, uri, **keys)
    try:
        return is_resumed(connection)
    finally:
        await connection.close()


def server_tls(certificates: Certificates, version: ssl.TLSVersion = TLS_1_3) -> ssl.SSLContext:
    context = server_context(certificates)
    context.minimum_version = context.maximum_version = version
    return context


class Clock:
    """Takes the place of the module of the same use."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class TestResumption:
    @pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
    @pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
    def test_the_second_connection_resumes_the_first(
        self, certificates: Certificates, tls: TLS, version: ssl.TLSVersion, new_loop: Callable[[], Any]
    ) -> None:
        async def scenario() -> list[bool | None]:
            async with serving(ssl=server_tls(certificates, version)) as port:
                dialer = Dialer()
                uri = f"wss://127.0.0.1:{port}"
                return [await resumed(dialer, uri, tls=tls) for _ in range(4)]

        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(asyncio.wait_for(scenario(), 30)) == [False, True, True, True]

    def test_so_does_one_after_a_connection_that_was_cut(
        self, run: Run, certificates: Certificates, tls: TLS
    ) -> None:
        async def scenario() -> None:
            cut = asyncio.Event()

            async def send_and_cut(connection: ServerConnection) -> None:
                await connection.send("1")
                await cut.wait()
                connection.transport.abort()

            async with serve(send_and_cut, "127.0.0.1", 0, ssl=server_tls(certificates)) as server:
                uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                dialer = Dialer()
                connection = await dial(dialer, uri, tls=tls)
                got = asyncio.get_running_loop().create_future()
                connection.deliver_to(lambda payloads, *_: got.set_result(payloads))
                await got
                cut.set()
                await connection.wait_closed()
                assert await resumed(dialer, uri, tls=tls) is True

        run(scenario())

    def test_several_connections_share_a_session(
        self, run: Run, certificates: Certificates, tls: TLS
    ) -> None:
        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates)) as port:
                dialer = Dialer()
                uri = f"wss://127.0.0.1:{port}"
                await resumed(dialer, uri, tls=tls)
                assert await asyncio.gather(*(resumed(dialer, uri, tls=tls) for _ in range(5))) == [True] * 5

        run(scenario())

    def test_without_tls_there_is_nothing_to_resume(self, run: Run) -> None:
        async def scenario() -> None:
            async with serving() as port:
                assert await resumed(Dialer(), f"ws://127.0.0.1:{port}") is None

        run(scenario())

    @pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
    def test_other_settings_resume_nothing(
        self,
        run: Run,
        certificates: Certificates,
        others: Certificates,
        tls: TLS,
        tmp_path: Path,
        version: ssl.TLSVersion,
    ) -> None:
        ca_copy = tmp_path / "ca.pem"
        ca_copy.write_bytes(Path(certificates.ca_file).read_bytes())

        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates, version)) as port:
                dialer = Dialer()
                uri = f"wss://127.0.0.1:{port}"
                for settings in (
                    TLS(ca=certificates.ca_file, verify=False),
                    TLS(ca=certificates.ca_file, cert=others.server_file),
                    TLS(ca=str(ca_copy)),
                    tls,
                ):
                    assert await resumed(dialer, uri, tls=settings) is False
                    assert await resumed(dialer, uri, tls=settings) is True

        run(scenario())

    @pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
    def test_another_host_is_offered_nothing_and_verified(
        self, sandbox: Run, resolver: Resolver, certificates: Certificates, tls: TLS, version: ssl.TLSVersion
    ) -> None:
        """One server stands behind all three names; its certificate is for two of them."""

        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates, version)) as port:
                for name in (NAME, "localhost", "wrong.test"):
                    resolver.answers[name] = [("127.0.0.1", port)]
                dialer = Dialer()
                assert await resumed(dialer, f"wss://{NAME}:{port}", tls=tls) is False
                assert await resumed(dialer, f"wss://localhost:{port}", tls=tls) is False
                for _ in range(2):
                    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                        await resumed(dialer, f"wss://wrong.test:{port}", tls=tls)
                assert await resumed(dialer, f"wss://{NAME}:{port}", tls=tls) is True
                assert await resumed(dialer, f"wss://localhost:{port}", tls=tls) is True

        sandbox(scenario())

    @pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
    def test_an_impostor_is_not_trusted_after_a_success(
        self,
        sandbox: Run,
        resolver: Resolver,
        certificates: Certificates,
        others: Certificates,
        tls: TLS,
        version: ssl.TLSVersion,
    ) -> None:
        async def scenario() -> None:
            dialer = Dialer()
            async with (
                serving(ssl=server_tls(certificates, version)) as port,
                serving(ssl=server_tls(others, version)) as impostor,
            ):
                good, bad = f"wss://{NAME}:{port}", f"wss://{NAME}:{impostor}"
                resolver.answers[NAME] = [("127.0.0.1", port)]
                assert await resumed(dialer, good, tls=tls) is False
                resolver.answers[NAME] = [("127.0.0.1", impostor)]
                for _ in range(3):
                    with pytest.raises(ssl.SSLCertVerificationError):
                        await resumed(dialer, bad, tls=tls)
                    assert not tls_module._last
                assert await resumed(dialer, good, tls=tls) is False

        sandbox(scenario())

    def test_a_server_that_hangs_up_at_a_session_gets_a_full_handshake(
        self, sandbox: Run, resolver: Resolver, certificates: Certificates, tls: TLS
    ) -> None:
        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates)) as port, accepting(b"") as rude:
                dialer = Dialer()
                uri = f"wss://localhost:{port}"
                resolver.answers["localhost"] = [("127.0.0.1", port)]
                await resumed(dialer, uri, tls=tls)
                resolver.answers["localhost"] = [("127.0.0.1", rude)]
                with pytest.raises(OSError):
                    await resumed(dialer, f"wss://localhost:{rude}", tls=tls)
                assert not tls_module._last
                assert await resumed(dialer, uri, tls=tls) is False

        sandbox(scenario())

    def test_a_server_that_is_down_takes_no_session_along(
        self, sandbox: Run, resolver: Resolver, certificates: Certificates, tls: TLS, unused_port: int
    ) -> None:
        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates)) as port:
                dialer = Dialer()
                await resumed(dialer, f"wss://127.0.0.1:{port}", tls=tls)
                with pytest.raises(ConnectionRefusedError):
                    await resumed(dialer, f"wss://127.0.0.1:{unused_port}", tls=tls)
                assert await resumed(dialer, f"wss://127.0.0.1:{port}", tls=tls) is True

        sandbox(scenario())

    def test_a_certificate_is_asked_for_again_after_a_while(
        self, run: Run, certificates: Certificates, tls: TLS, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates)) as port:
                dialer = Dialer()
                uri = f"wss://127.0.0.1:{port}"
                clock = Clock()
                monkeypatch.setattr(tls_module, "time", clock)
                seen = []
                for clock.now in (1_000.0, 4_000.0, 4_599.0, 4_601.0, 8_000.0):
                    seen.append(await resumed(dialer, uri, tls=tls))
                assert seen == [False, True, True, False, True]

        run(scenario())

    def test_few_hosts_are_remembered(
        self, run: Run, certificates: Certificates, tls: TLS, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_module, "MAX_TLS_HOSTS", 1)

        async def scenario() -> None:
            async with serving(ssl=server_tls(certificates)) as port:
                dialer = Dialer()
                for host in ("localhost", "127.0.0.1"):
                    await resumed(dialer, f"wss://{host}:{port}", tls=tls)
                assert [host for _, host in tls_module._last] == ["127.0.0.1"]

        run(scenario())


class TestNames:
    def test_a_name_is_looked_up_once(self, sandbox: Run, resolver: Resolver) -> None:
        async def scenario() -> None:
            async with serving() as port:
                resolver.answers[NAME] = [("127.0.0.1", port)]
                dialer = Dialer()
                for _ in range(3):
                    await resumed(dialer, f"ws://{NAME}:{port}")
                await resumed(dialer, f"ws://127.0.0.1:{port}")
                assert resolver.asked == [NAME]

        sandbox(scenario())

    def test_and_again_after_its_time(
        self, sandbox: Run, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resolver_module, "DNS_TTL_S", 0.0)

        async def scenario() -> None:
            async with serving() as port:
                resolver.answers[NAME] = [("127.0.0.1", port)]
                dialer = Dialer()
                for _ in range(3):
                    await resumed(dialer, f"ws://{NAME}:{port}")
                assert resolver.asked == [NAME] * 3

        sandbox(scenario())

    def test_those_who_ask_at_once_share_a_lookup_that_survives_one_of_them(
        self, sandbox: Run, resolver: Resolver
    ) -> None:
        async def scenario() -> None:
            async with serving() as port:
                resolver.answers[NAME] = [("127.0.0.1", port)]
                resolver.gate = asyncio.Event()
                dialer = Dialer()
                uri = f"ws://{NAME}:{port}"
                with pytest.raises(TimeoutError):
                    await resumed(dialer, uri, open_timeout=0.01)
                waiting = [asyncio.create_task(resumed(dialer, uri)) for _ in range(4)]
                await asyncio.sleep(0)
                resolver.gate.set()
                await asyncio.gather(*waiting)
                assert resolver.asked == [NAME]

        sandbox(scenario())

    def test_an_unknown_name_is_asked_for_each_time(self, sandbox: Run, resolver: Resolver) -> None:
        async def scenario() -> None:
            async with serving() as port:
                dialer = Dialer()
                for _ in range(2):
                    with pytest.raises(OSError, match=f"{NAME} has no address: .*not known"):
                        await resumed(dialer, f"ws://{NAME}:{port}")
                resolver.answers[NAME] = [("127.0.0.1", port)]
                await resumed(dialer, f"ws://{NAME}:{port}")
                assert resolver.asked == [NAME] * 3

        sandbox(scenario())

    def test_the_next_address_is_tried_and_then_first(
        self, sandbox: Run, resolver: Resolver, unused_port: int
    ) -> None:
        async def scenario() -> None:
            async with serving() as port:
                resolver.answers[NAME] = [("127.0.0.1", unused_port), ("127.0.0.1", port)]
                dialer = Dialer()
                for _ in range(3):
                    connection = await dial(dialer, f"ws://{NAME}:1")
                    assert connection.remote_address[1] == port
                    await connection.close()
                answer = await dialer._resolver.look_up(NAME, 1)
                assert [address.port for address in answer.in_order()] == [port, unused_port]
                assert resolver.asked == [NAME]

        sandbox(scenario())

    def test_a_silent_address_gets_its_share_of_the_time(
        self,
        sandbox: Run,
        resolver: Resolver,
        certificates: Certificates,
        tls: TLS,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(dialing, "LEAST_SHARE_S", 0.05)

        async def scenario() -> None:
            async with accepting() as silent, serving(ssl=server_tls(certificates)) as port:
                resolver.answers[NAME] = [("127.0.0.1", silent), ("127.0.0.1", port)]
                connection = await dial(Dialer(), f"wss://{NAME}", tls=tls, open_timeout=1.0)
                assert connection.remote_address[1] == port
                await connection.close()

        sandbox(scenario())

    def test_a_wrong_certificate_is_told_and_the_next_attempt_goes_elsewhere(
        self, sandbox: Run, resolver: Resolver, certificates: Certificates, others: Certificates, tls: TLS
    ) -> None:
        async def scenario() -> None:
            async with (
                serving(ssl=server_tls(others)) as wrong,
                serving(ssl=server_tls(certificates)) as port,
            ):
                resolver.answers[NAME] = [("127.0.0.1", wrong), ("127.0.0.1", port)]
                dialer = Dialer()
                with pytest.raises(ssl.SSLCertVerificationError):
                    await resumed(dialer, f"wss://{NAME}", tls=tls)
                assert await resumed(dialer, f"wss://{NAME}", tls=tls) is False
                assert resolver.asked == [NAME]

        sandbox(scenario())

    def test_when_all_addresses_failed_the_name_is_looked_up_again(
        self, sandbox: Run, resolver: Resolver, unused_port: int
    ) -> None:
        async def scenario() -> None:
            dialer = Dialer()
            resolver.answers[NAME] = [("127.0.0.1", unused_port), ("127.0.0.2", unused_port)]
            with pytest.raises(ConnectionRefusedError):
                await resumed(dialer, f"ws://{NAME}:1")
            async with serving() as port:
                resolver.answers[NAME] = [("127.0.0.1", port)]
                await resumed(dialer, f"ws://{NAME}:1")
            assert resolver.asked == [NAME, NAME]

        sandbox(scenario())

    def test_a_single_silent_address_is_forgotten_too(
        self, sandbox: Run, resolver: Resolver, tls: TLS
    ) -> None:
        async def scenario() -> None:
            dialer = Dialer()
            async with accepting() as silent:
                resolver.answers[NAME] = [("127.0.0.1", silent)]
                for _ in range(2):
                    with pytest.raises(TimeoutError):
                        await resumed(dialer, f"wss://{NAME}", tls=tls, open_timeout=0.05)
            assert resolver.asked == [NAME, NAME]

        sandbox(scenario())

    def test_different_failures_are_told_one_by_one(
        self, sandbox: Run, resolver: Resolver, tls: TLS, unused_port: int
    ) -> None:
        async def scenario() -> None:
            async with accepting(b"") as rude:
                resolver.answers[NAME] = [("127.0.0.2", unused_port), ("127.0.0.1", rude)]
                with pytest.raises(
                    OSError, match=f"no address of {NAME} can be connected to: 127.0.0.2"
                ) as info:
                    await resumed(Dialer(), f"wss://{NAME}", tls=tls)
                assert "Connection refused), 127.0.0.1 (" in str(info.value)

        sandbox(scenario())


class TestRedirects:
    def redirecting(self, location: Callable[[], str]) -> Callable[..., Response]:
        def redirect(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(302, "")
            response.headers["Location"] = location()
            return response

        return redirect

    def test_to_another_host_goes_to_its_address_without_headers(
        self, sandbox: Run, resolver: Resolver
    ) -> None:
        async def scenario() -> None:
            seen: list[tuple[str | None, str | None]] = []

            def note(connection: ServerConnection, request: Request) -> None:
                seen.append((request.headers["Host"], request.headers.get("X-Api-Key")))

            async with (
                serving(process_request=note) as target,
                serving(process_request=self.redirecting(lambda: f"ws://other.test:{target}/x")) as port,
            ):
                resolver.answers = {
                    NAME: [("127.0.0.1", port)],
                    "other.test": [("127.0.0.1", target)],
                }
                dialer = Dialer()
                for _ in range(2):
                    connection = await dial(dialer, f"ws://{NAME}:{port}", headers={"X-Api-Key": "hunter22"})
                    assert connection.remote_address[1] == target
                    await connection.close()
                assert seen == [(f"other.test:{target}", None)] * 2
                assert resolver.asked == [NAME, "other.test"]

        sandbox(scenario())

    def test_to_tls_uses_the_settings_of_the_endpoint(
        self, sandbox: Run, resolver: Resolver, certificates: Certificates, tls: TLS
    ) -> None:
        async def scenario() -> None:
            async with (
                serving(ssl=server_tls(certificates)) as target,
                serving(process_request=self.redirecting(lambda: f"wss://{NAME}:{target}")) as port,
            ):
                resolver.answers[NAME] = [("127.0.0.1", target)]
                dialer = Dialer()
                uri = f"ws://127.0.0.1:{port}"
                assert [await resumed(dialer, uri, tls=tls) for _ in range(2)] == [False, True]
                with pytest.raises(ssl.SSLCertVerificationError):
                    await resumed(dialer, uri)

        sandbox(scenario())

    def test_an_answer_that_is_no_redirect_is_raised(self, run: Run) -> None:
        async def scenario() -> None:
            async with serving(process_request=lambda connection, _: connection.respond(503, "")) as port:
                with pytest.raises(InvalidStatus, match="503"):
                    await resumed(Dialer(), f"ws://localhost:{port}")

        run(scenario())


@contextlib.asynccontextmanager
async def proxying() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy for which every name means loopback; its URI, and what it was asked for."""
    asked: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = request.split()[1]
        asked.append(target)
        near, far = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, far), pump(near, writer))

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


class TestProxies:
    @pytest.mark.parametrize("by_environment", [False, True])
    def test_names_are_left_to_the_proxy_and_sessions_resumed(
        self,
        sandbox: Run,
        resolver: Resolver,
        certificates: Certificates,
        tls: TLS,
        by_environment: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def scenario() -> None:
            async with proxying() as (proxy, asked), serving(ssl=server_tls(certificates)) as port:
                if by_environment:
                    monkeypatch.setenv("https_proxy", proxy)
                    monkeypatch.setenv("no_proxy", "")
                keys: dict[str, Any] = {"tls": tls, "proxy": True if by_environment else proxy}
                dialer = Dialer()
                uri = f"wss://{NAME}:{port}"
                assert [await resumed(dialer, uri, **keys) for _ in range(2)] == [False, True]
                assert asked == [f"{NAME}:{port}"] * 2
                assert resolver.asked == []

        sandbox(scenario())


def test_what_is_offered_to_the_server(run: Run) -> None:
    async def scenario() -> None:
        async with serving(subprotocols=["v1"]) as port:
            uri = f"ws://127.0.0.1:{port}"
            endpoint = Endpoint(uri=uri, proxy=False, subprotocols=("ignored",), headers={"X-A": "b"})
            connection = await Dialer().dial(endpoint, uri=uri, subprotocols=("v2", "v1"), compression=True)
            assert connection.subprotocol == "v1"
            assert connection.protocol.extensions
            assert connection.request is not None
            headers = connection.request.headers
            assert headers["X-A"] == "b" and headers["User-Agent"].startswith("scaleout")
            await connection.close()
        async with serving() as port:
            plain = await dial(Dialer(), f"ws://127.0.0.1:{port}")
            assert plain.subprotocol is None and not plain.protocol.extensions
            await plain.close()

    run(scenario())


@pytest.mark.skipif(not IS_AVAILABLE, reason="this system has no epoll")
def test_the_poller_reads_what_is_plain_and_transports_what_is_encrypted(
    run: Run, certificates: Certificates, tls: TLS
) -> None:
    class Counting(Poller):
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            super().__init__(loop)
            self.added = 0

        def add(self, fd: int, reader: Reader, owner: Owner) -> None:
            self.added += 1
            super().add(fd, reader, owner)

    async def scenario() -> None:
        poller = Counting(asyncio.get_running_loop())
        dialer = Dialer(poller)
        async with serving() as plain, serving(ssl=server_tls(certificates)) as encrypted:
            for uri, added in ((f"ws://127.0.0.1:{plain}", 1), (f"wss://127.0.0.1:{encrypted}", 1)):
                connection = await dial(dialer, uri, tls=tls)
                assert poller.added == added
                await connection.close()
                assert connection.close_code == 1000
        poller.close()

    run(scenario())


@pytest.mark.skipif(
    not hasattr(socket, "TCP_QUICKACK"), reason="Linux alone lets acknowledgements be delayed"
)
def test_not_every_segment_is_acknowledged_at_once(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as port:
            connection = await dial(Dialer(), f"ws://127.0.0.1:{port}")
            connected = connection.transport.get_extra_info("socket")
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
            await connection.close()

    run(scenario())
