"""Handshakes that go wrong, as the library's own client sees them, and what is remembered of handshakes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, get_args
from urllib.parse import SplitResult, urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
    SecurityError,
)
from websockets.typing import Subprotocol

from scaleout.errors import ConfigError
from scaleout.simulator import Faults, Simulator, SimulatorConfig
from scaleout.simulator.faults import BadHandshake

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]

SEEN: dict[str, tuple[type[BaseException], int]] = {
    "garbage": (InvalidMessage, 0),
    "wrong_accept": (InvalidHeader, 101),
    "no_upgrade": (InvalidHandshake, 101),
    "unasked_extension": (NegotiationError, 101),
    "unasked_subprotocol": (NegotiationError, 101),
    "redirect_loop": (SecurityError, 302),
    "no_answer": (TimeoutError, 0),
    "close": (InvalidMessage, 0),
    "reset": (InvalidMessage, 0),
    "half_answer": (InvalidMessage, 0),
    "endless_headers": (InvalidMessage, 0),
}
"""What the library's client raises, and the status that is remembered."""


def simulator_of(faults: Faults, **keys: Any) -> Simulator:
    return Simulator(SimulatorConfig(**{"endpoints": 1, "rate": 5000, "faults": faults, **keys}))


def request_of(parts: SplitResult) -> bytes:
    return (
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def asked(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection on which the request has been sent."""
    parts = urlsplit(uri)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request_of(parts))
    return reader, writer


def test_every_bad_handshake_is_tried() -> None:
    assert {*SEEN, "", "redirect"} == {*get_args(BadHandshake)}


@pytest.mark.parametrize("fault", SEEN)
def test_a_bad_handshake_fails_in_its_own_way_and_the_next_one_is_good(
    fault: BadHandshake, run: Run, take: Take
) -> None:
    error, status = SEEN[fault]

    async def scenario() -> None:
        first = 11 if fault == "redirect_loop" else 1
        async with simulator_of(Faults(bad_handshake=fault, bad_handshake_first=first)) as simulator:
            uri = simulator.endpoints[0].uri
            with pytest.raises((error, InvalidHandshake)) as failed:
                async with connect(uri, proxy=None, open_timeout=0.5):
                    pass
            causes = [failed.value, failed.value.__cause__, failed.value.__context__]
            assert any(isinstance(cause, error) for cause in causes), causes
            assert len((await take(uri, limit=5)).messages) == 5
            await simulator.wait_idle()
            told = [(attempt.status, attempt.fault) for attempt in simulator.attempts]
            assert told == [(status, fault)] * first + [(101, "")]
            assert len(simulator.connections) == 1, "a spoiled handshake makes no connection"

    run(scenario())


def test_a_reset_handshake_is_a_reset(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(bad_handshake="reset")) as simulator:
            reader, writer = await asked(simulator.endpoints[0].uri)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(scenario())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_on(status: Any, run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(bad_handshake="redirect", redirect_status=status)) as simulator:
            uri = simulator.endpoints[0].uri
            assert (
                len((await take(uri, limit=5)).messages)
                == len((await take(uri + "?a=b", limit=5)).messages)
                == 5
            )
            told = [(attempt.status, attempt.query) for attempt in simulator.attempts]
            assert told == [(status, ""), (101, "redirected=1"), (status, "a=b"), (101, "a=b&redirected=1")]

    run(scenario())


def test_a_redirect_can_lead_elsewhere(run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults()) as good:
            faults = Faults(bad_handshake="redirect", redirect_to=good.endpoints[0].uri)
            async with simulator_of(faults) as bad:
                assert len((await take(bad.endpoints[0].uri, limit=5)).messages) == 5
            assert len(good.attempts) == 1

    run(scenario())


@pytest.mark.parametrize("fault", ["no_answer", "endless_headers", "wrong_accept"])
def test_clients_that_stay_do_not_hold_up_the_end(fault: BadHandshake, run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(bad_handshake=fault)) as simulator:
            reader, writer = await asked(simulator.endpoints[0].uri)
            if fault != "no_answer":
                await reader.readuntil(b"\r\n")
        writer.close()

    run(scenario())


def test_compression_can_be_refused(run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(refuse_compression=True), compression=True) as simulator:
            uri = simulator.endpoints[0].uri
            with pytest.raises(InvalidStatus, match="400"):
                async with connect(uri, proxy=None):
                    pass
            assert len((await take(uri, limit=5)).messages) == 5
            first, second = simulator.attempts
            assert (first.status, second.status, second.extensions) == (400, 101, "")
            assert first.extensions.startswith("permessage-deflate")

    run(scenario())


def test_a_subprotocol_must_be_offered_first_where_it_is_wanted(run: Run) -> None:
    def offer(*names: str) -> list[Subprotocol] | None:
        return [Subprotocol(name) for name in names] or None

    async def scenario() -> None:
        faults = Faults(wanted_subprotocol="v2")
        async with simulator_of(faults, subprotocols=("v1", "v2")) as simulator:
            uri = simulator.endpoints[0].uri
            for offered in (offer("v1", "v2"), offer()):
                with pytest.raises(InvalidStatus, match="400"):
                    async with connect(uri, proxy=None, subprotocols=offered):
                        pass
            async with connect(uri, proxy=None, subprotocols=offer("v2", "v1")) as connection:
                assert connection.subprotocol == "v2"
            await simulator.wait_idle()
            assert [attempt.subprotocols for attempt in simulator.attempts] == [
                ("v1", "v2"),
                (),
                ("v2", "v1"),
            ]
            assert [record.subprotocol for record in simulator.connections] == ["v2"]

    run(scenario())


def test_faults_may_befall_one_endpoint_alone(run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(only_endpoint=1, refuse_first=100)
        async with simulator_of(faults, endpoints=2, zipf=0.0) as simulator:
            good, bad = (uri for _, uri in simulator.endpoints)
            assert len((await take(good, limit=5)).messages) == 5
            with pytest.raises(InvalidStatus, match="503"):
                await take(bad)

    run(scenario())


def test_resumed_tls_sessions_are_seen(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(), tls=True) as simulator:
            parts = urlsplit(simulator.endpoints[0].uri)
            context = ssl.create_default_context(cafile=simulator.ca_file)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            await asyncio.to_thread(_handshake_twice, context, parts)
            assert [attempt.session_reused for attempt in simulator.attempts] == [False, True]
        async with simulator_of(Faults()) as plain:
            async with connect(plain.endpoints[0].uri, proxy=None):
                pass
            assert [attempt.session_reused for attempt in plain.attempts] == [None]

    run(scenario())


def _handshake_twice(context: ssl.SSLContext, parts: SplitResult) -> None:
    session = None
    for _ in range(2):
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname, session=session) as secured,
        ):
            secured.sendall(request_of(parts))
            assert secured.recv(12) == b"HTTP/1.1 101"
            session = secured.session


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("wrong_name", "mismatch"), ("expired", "has expired"), ("unknown", "verify failed")],
)
def test_certificates_can_be_wrong(kind: Any, reason: str, run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(Faults(certificate=kind), tls=True) as simulator:
            context = ssl.create_default_context(cafile=simulator.ca_file)
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                async with connect(simulator.endpoints[0].uri, proxy=None, ssl=context):
                    pass

    run(scenario())


def test_faults_that_cannot_be_are_said() -> None:
    faults = Faults(goodbye_before_s=1.0, disconnect_code=1006, refuse_share=1.5, skip_every=1)
    with pytest.raises(ConfigError) as failed:
        SimulatorConfig(faults=faults)
    assert {fault.key for fault in failed.value.faults} == {
        "faults.goodbye_before_s",
        "faults.disconnect_code",
        "faults.refuse_share",
        "faults.skip_every",
    }
