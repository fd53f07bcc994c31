"""Answers handshakes, as verdicts say, and remembers them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from scaleout.simulator.entrance import Entrance
from scaleout.simulator.faults import REDIRECTED, Offer, Verdict, judge
from scaleout.simulator.records import Attempt
from scaleout.simulator.watched import WatchedConnection

_KEPT_ATTEMPTS = 100_000
_GARBAGE = b"\x16\x03\x01 220 this is no HTTP \xff\xfe\r\n\r\n"
_HALF_AN_ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConne"
_HEADERS = b"HTTP/1.1 101 Switching Protocols\r\n" + b"".join(
    b"X-Header-%d: %s\r\n" % (number, b"x" * 100) for number in range(10_000)
)


class Reception:
    """The hooks that a server calls for each handshake.

    Args:
        entrance_at: path of a URI → where it leads; None: nowhere.
        stopping: set when the simulator ends.
    """

    def __init__(self, entrance_at: Callable[[str], Entrance | None], stopping: asyncio.Event) -> None:
        self.attempts: deque[Attempt] = deque(maxlen=_KEPT_ATTEMPTS)
        self._entrance_at = entrance_at
        self._stopping = stopping

    async def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer, other than with the library's 101, or return None."""
        assert isinstance(connection, WatchedConnection)
        target = urlsplit(request.path)
        entrance = self._entrance_at(target.path)
        if entrance is None:
            return connection.respond(404, "There is no such feed.\n")
        attempt = entrance.attempts
        entrance.attempts += 1
        faults = entrance.faults
        offer = Offer(
            query=target.query,
            subprotocols=_listed(request, "Sec-WebSocket-Protocol"),
            extensions=", ".join(request.headers.get_all("Sec-WebSocket-Extensions")),
        )
        verdict = judge(faults, attempt, offer, entrance.random("handshake", attempt))
        connection.verdict = verdict
        self.attempts.append(_attempt(entrance, connection, request, offer, verdict))
        await self._pass(connection, faults.handshake_delay_s)
        if verdict.status == 0:
            await self._misbehave(connection)
        if verdict.status in (0, 101):
            return None
        response = connection.respond(verdict.status, verdict.problem)
        if faults.retry_after_s is not None:
            response.headers["Retry-After"] = str(faults.retry_after_s)
        if verdict.fault:
            elsewhere = f"{target.path}?{target.query}&{REDIRECTED}" if target.query else f"?{REDIRECTED}"
            is_loop = verdict.fault == "redirect_loop"
            response.headers["Location"] = request.path if is_loop else faults.redirect_to or elsewhere
        return response

    def process_response(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Spoil the library's 101 where that is the verdict."""
        assert isinstance(connection, WatchedConnection)
        headers = response.headers
        match connection.verdict.fault:
            case "wrong_accept":
                del headers["Sec-WebSocket-Accept"]
                headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
            case "no_upgrade":
                del headers["Upgrade"]
            case "unasked_extension":
                headers["Sec-WebSocket-Extensions"] = "x-unasked"
            case "unasked_subprotocol":
                headers["Sec-WebSocket-Protocol"] = "unasked"

    async def see_off(self, connection: WatchedConnection) -> None:
        """Stay with a connection whose client can't want it, until it goes."""
        await self._pass(connection)
        connection.transport.abort()

    async def _misbehave(self, connection: WatchedConnection) -> None:
        transport = connection.transport
        match connection.verdict.fault:
            case "garbage":
                transport.write(_GARBAGE)
                transport.close()
            case "half_answer":
                transport.write(_HALF_AN_ANSWER)
                transport.close()
            case "endless_headers":
                transport.write(_HEADERS)
            case "close":
                transport.close()
            case "reset":
                connection.reset()
        await self._pass(connection)
        transport.abort()
        await connection.wait_closed()

    async def _pass(self, connection: WatchedConnection, time_s: float | None = None) -> None:
        """Let time pass, but no longer than the connection or the simulator is there."""
        if time_s == 0:
            return
        stopping = asyncio.ensure_future(self._stopping.wait())
        lost = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait([stopping, lost], timeout=time_s, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        lost.cancel()
        await asyncio.wait([stopping, lost])


def _listed(request: Request, header: str) -> tuple[str, ...]:
    values = ",".join(request.headers.get_all(header)).split(",")
    return tuple(value.strip() for value in values if value.strip())


def _attempt(
    entrance: Entrance, connection: WatchedConnection, request: Request, offer: Offer, verdict: Verdict
) -> Attempt:
    secured = connection.transport.get_extra_info("ssl_object")
    return Attempt(
        endpoint=entrance.name,
        at=time.time(),
        status=verdict.status,
        fault=verdict.fault,
        path=request.path,
        query=offer.query,
        headers=tuple(request.headers.raw_items()),
        subprotocols=offer.subprotocols,
        extensions=offer.extensions,
        session_reused=None if secured is None else bool(secured.session_reused),
    )
