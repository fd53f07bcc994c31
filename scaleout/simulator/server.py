"""The simulator: a WebSocket server whose endpoints broadcast, replay or flood, and misbehave on request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from scaleout.simulator.certificates import Certificates, make_certificates, server_context
from scaleout.simulator.client import FeedClient, Phase, PongCounter
from scaleout.simulator.config import EndpointPlan, SimulatorConfig, plan_endpoints
from scaleout.simulator.dialects import cursor_sequence
from scaleout.simulator.faults import is_refused
from scaleout.simulator.feed import Feed
from scaleout.simulator.rates import RateTable
from scaleout.simulator.records import Attempt, ConnectionRecord, Ended

_KEPT_RECORDS = 100_000
_STOP_TIMEOUT_S = 1.0
"""How long clients may take to answer when the simulator ends."""

_logger = logging.getLogger("scaleout.simulator")


class EndpointAddress(NamedTuple):
    """Where an endpoint is."""

    name: str
    uri: str


class Simulator:
    """Serves endpoints from the running event loop: `async with Simulator(config) as simulator`.

    Args:
        config: what to serve; `processes` is ignored.
        share: (k, n) serves every n-th endpoint from the k-th on.
        certificates: to use instead of new ones.

    Raises:
        ConfigError: a recording can't be read.
        MissingExtraError: TLS is wanted and the library that makes certificates isn't installed.
        OSError: the port is taken.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        share: tuple[int, int] = (0, 1),
        certificates: Certificates | None = None,
    ) -> None:
        self.config = config if config is not None else SimulatorConfig()
        self.endpoints: list[EndpointAddress] = []
        self._plans: list[EndpointPlan] = plan_endpoints(self.config)
        self._share = share
        self._certificates = certificates
        self._feeds: dict[str, Feed] = {}
        self._clients: list[FeedClient] = []
        self._past: deque[ConnectionRecord] = deque(maxlen=_KEPT_RECORDS)
        self._attempts: deque[Attempt] = deque(maxlen=_KEPT_RECORDS)
        self._origin_s: float | None = None
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stack = contextlib.AsyncExitStack()

    @property
    def ca_file(self) -> str | None:
        """What a client has to trust; None without TLS."""
        return self._certificates.ca_file if self._certificates else None

    @property
    def connections(self) -> list[ConnectionRecord]:
        """All connections there have been, the ended ones first; the latest 100,000."""
        return [*self._past, *(client.record() for client in self._clients)]

    @property
    def attempts(self) -> list[Attempt]:
        """All handshakes there have been, in order; the latest 100,000."""
        return list(self._attempts)

    async def wait_idle(self) -> None:
        """Wait until there is no connection, so that all records are final."""
        await self._idle.wait()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self.config.tls and self._certificates is None:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scaleout-simulator-"))
                self._certificates = make_certificates(Path(directory), self.config.host)
            self._make_feeds()
            server = await self._listen()
            stack.push_async_callback(self._stop, server)
            scheduler = asyncio.create_task(self._schedule())
            stack.push_async_callback(_cancelled, scheduler)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def _make_feeds(self) -> None:
        first, step = self._share
        config = self.config
        rates = RateTable(
            [plan.rate for plan in self._plans], config.changes, config.shuffle_every, config.seed
        )
        self._feeds = {plan.path: Feed(plan, config, rates) for plan in self._plans[first::step]}
        if config.start == "server":
            for feed in self._feeds.values():
                feed.begin(self._now_s())

    async def _listen(self) -> Server:
        config = self.config
        server = await serve(
            self._handle,
            config.host,
            config.port + self._share[0] if config.port else 0,
            process_request=self._answer,
            create_connection=PongCounter,
            subprotocols=[Subprotocol(name) for name in config.subprotocols] or None,
            compression="deflate" if config.compression else None,
            open_timeout=10 + config.faults.handshake_delay_s,
            ping_interval=config.ping_interval or None,
            ping_timeout=config.ping_interval or None,
            close_timeout=config.close_timeout,
            ssl=server_context(self._certificates) if self.config.tls and self._certificates else None,
            logger=_logger,
        )
        port = server.sockets[0].getsockname()[1]
        base = f"{'wss' if config.tls else 'ws'}://{config.host}:{port}"
        self.endpoints = [EndpointAddress(feed.plan.name, base + path) for path, feed in self._feeds.items()]
        return server

    def _now_s(self) -> float:
        """Time since the first connection, or since the server's start where that is what counts."""
        now_s = asyncio.get_running_loop().time()
        if self._origin_s is None:
            self._origin_s = now_s
        return now_s - self._origin_s

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        feed = self._feeds.get(urlsplit(request.path).path)
        if feed is None:
            return connection.respond(404, "There is no such feed.\n")
        attempt = feed.attempts
        feed.attempts += 1
        faults = self.config.faults
        refused = is_refused(faults, attempt, feed.random("handshake", attempt))
        self._attempts.append(
            Attempt(
                endpoint=feed.plan.name,
                at=time.time(),
                status=faults.refuse_status if refused else 101,
                path=request.path,
                headers=tuple(request.headers.raw_items()),
            )
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(faults.handshake_delay_s):
                await self._stopping.wait()
        if not refused:
            return None
        response = connection.respond(faults.refuse_status, "Refused as asked.\n")
        if faults.retry_after_s is not None:
            response.headers["Retry-After"] = str(faults.retry_after_s)
        return response

    async def _handle(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, PongCounter) and websocket.request is not None
        target = urlsplit(websocket.request.path)
        feed = self._feeds[target.path]
        now_s = self._now_s()
        feed.begin(now_s)
        client = FeedClient(websocket, feed, self._first_message(feed, target.query), now_s)
        feed.connections += 1
        self._clients.append(client)
        self._idle.clear()
        pump = None if self.config.is_paced else asyncio.create_task(client.pump())
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in websocket:
                    client.on_message(message)
        finally:
            if pump is not None:
                await _cancelled(pump)
            await client.finish()
            self._clients.remove(client)
            self._past.append(client.record())
            if not self._clients:
                self._idle.set()

    def _first_message(self, feed: Feed, query: str) -> int:
        if not self.config.is_paced:
            return feed.handed_out if self.config.resume else 0
        cursor = parse_qs(query).get("cursor", [""])[0] if feed.dialect.name == "jetstream" else ""
        asked = cursor_sequence(cursor)
        return feed.position if asked is None else min(asked, feed.position)

    async def _schedule(self) -> None:
        """Every tick, bring each feed to where it should be and each of its connections along."""
        while True:
            await asyncio.sleep(self.config.tick)
            if self._clients:
                self._step(self._now_s())

    def _step(self, now_s: float) -> None:
        for feed in {client.feed.plan.path: client.feed for client in self._clients}.values():
            feed.advance(now_s)
        for client in tuple(self._clients):
            try:
                client.step(now_s)
            except Exception:
                _logger.exception(
                    "the simulator failed at %s; the connection is dropped", client.feed.plan.name
                )
                client.abort()

    async def _stop(self, server: Server) -> None:
        self._stopping.set()
        server.close(close_connections=False)
        closing = [
            asyncio.create_task(client.close(1001, Ended.STOPPED))
            for client in self._clients
            if client.phase is not Phase.ENDING
        ]
        if closing:
            await asyncio.wait(closing, timeout=_STOP_TIMEOUT_S)
        for client in tuple(self._clients):
            client.abort()
        await server.wait_closed()
        await asyncio.gather(*closing)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; an error that ended it before is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
