"""The simulator: a WebSocket server whose endpoints broadcast, replay or flood, and misbehave on request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from scaleout.simulator.certificates import Certificates, make_certificates, server_context
from scaleout.simulator.client import FeedClient, Phase
from scaleout.simulator.config import EndpointPlan, SimulatorConfig, plan_endpoints
from scaleout.simulator.dialects import cursor_sequence
from scaleout.simulator.entrance import SHARED, Entrance, shared_entrance, stream_key
from scaleout.simulator.feed import Feed
from scaleout.simulator.rates import RateTable
from scaleout.simulator.reception import Reception
from scaleout.simulator.records import Attempt, ConnectionRecord, Ended
from scaleout.simulator.watched import WatchedConnection

_KEPT_RECORDS = 100_000
_STREAM_PATH = "/stream/"
_STOP_TIMEOUT_S = 1.0
"""How long clients may take to answer when the simulator ends."""

_logger = logging.getLogger("scaleout.simulator")


class EndpointAddress(NamedTuple):
    """Where an endpoint is."""

    name: str
    uri: str


def streams_uri(endpoints: Sequence[EndpointAddress]) -> str:
    """Where a client subscribes to any of the streams that share a server with the first endpoint."""
    return f"{_base(endpoints)}/{SHARED}"


def stream_template(endpoints: Sequence[EndpointAddress]) -> str:
    """The URI of a stream that shares a server with the first endpoint."""
    return _base(endpoints) + _STREAM_PATH + "{stream}"


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
        self._feeds: list[Feed] = []
        self._entrances: dict[str, Entrance] = {}
        self._clients: list[FeedClient] = []
        self._past: deque[ConnectionRecord] = deque(maxlen=_KEPT_RECORDS)
        self._origin_s: float | None = None
        self._stopping = asyncio.Event()
        self._reception = Reception(self._entrance_at, self._stopping)
        self._idle = asyncio.Event()
        self._idle.set()
        self._stack = contextlib.AsyncExitStack()

    @property
    def streams_uri(self) -> str:
        """Where a client subscribes to any of the streams by name."""
        return streams_uri(self.endpoints)

    @property
    def stream_template(self) -> str:
        """The URI of one stream, with `{stream}` in the place of its name."""
        return stream_template(self.endpoints)

    @property
    def stream_names(self) -> list[str]:
        """Names of the streams, in the order of the endpoints; dialects without names have none."""
        return [plan.stream for plan in self._plans if plan.stream]

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
        return list(self._reception.attempts)

    async def wait_idle(self) -> None:
        """Wait until there is no connection, so that all records are final."""
        await self._idle.wait()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self.config.tls and self._certificates is None:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scaleout-simulator-"))
                self._certificates = make_certificates(
                    Path(directory), self.config.host, self.config.faults.certificate
                )
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
        self._feeds = [Feed(plan, config, rates) for plan in self._plans[first::step]]
        for feed in self._feeds:
            name = feed.plan.stream or feed.plan.name
            entrance = Entrance(config, {stream_key(name): feed}, feed.plan.index)
            self._entrances[feed.plan.path] = self._entrances[_stream_path(name)] = entrance
            if config.start == "server":
                feed.begin(self._now_s())
        shared = shared_entrance(config, self._feeds)
        if shared is not None:
            self._entrances[f"/{SHARED}"] = shared

    async def _listen(self) -> Server:
        config = self.config
        server = await serve(
            self._handle,
            config.host,
            config.port + self._share[0] if config.port else 0,
            process_request=self._reception.process_request,
            process_response=self._reception.process_response,
            create_connection=WatchedConnection,
            subprotocols=[Subprotocol(name) for name in self._subprotocols()] or None,
            compression="deflate" if config.compression else None,
            open_timeout=None if config.faults.bad_handshake else 10 + config.faults.handshake_delay_s,
            ping_interval=config.ping_interval or None,
            ping_timeout=config.ping_interval or None,
            close_timeout=config.close_timeout,
            ssl=server_context(self._certificates) if self.config.tls and self._certificates else None,
            logger=_logger,
        )
        port = server.sockets[0].getsockname()[1]
        base = f"{'wss' if config.tls else 'ws'}://{config.host}:{port}"
        self.endpoints = [EndpointAddress(feed.plan.name, base + feed.plan.path) for feed in self._feeds]
        return server

    def _subprotocols(self) -> list[str]:
        wanted = self.config.faults.wanted_subprotocol
        return list(dict.fromkeys((*filter(None, [wanted]), *self.config.subprotocols)))

    def _entrance_at(self, path: str) -> Entrance | None:
        _, is_stream, stream = path.partition(_STREAM_PATH)
        return self._entrances.get(_stream_path(stream) if is_stream else path)

    def _now_s(self) -> float:
        """Time since the first connection, or since the server's start where that is what counts."""
        now_s = asyncio.get_running_loop().time()
        if self._origin_s is None:
            self._origin_s = now_s
        return now_s - self._origin_s

    async def _handle(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, WatchedConnection) and websocket.request is not None
        if websocket.verdict.fault:
            await self._reception.see_off(websocket)
            return
        client = self._admit(websocket, websocket.request.path)
        pump = None if self.config.is_paced else asyncio.create_task(client.pump())
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in websocket:
                    client.on_message(message, self._now_s())
        finally:
            if pump is not None:
                await _cancelled(pump)
            await client.finish()
            self._clients.remove(client)
            self._past.append(client.record())
            if not self._clients:
                self._idle.set()

    def _admit(self, websocket: WatchedConnection, uri: str) -> FeedClient:
        target = urlsplit(uri)
        entrance = self._entrance_at(target.path)
        assert entrance is not None
        now_s = self._now_s()
        first = 0
        if entrance.feed is not None:
            entrance.feed.begin(now_s)
            first = self._first_message(entrance.feed, target.query)
        client = FeedClient(websocket, entrance, first, now_s)
        websocket.on_frame = lambda: client.on_frame(self._now_s())
        entrance.connections += 1
        self._clients.append(client)
        self._idle.clear()
        if entrance.feed is None:
            streams = parse_qs(target.query).get("streams", [""])[0]
            client.subscribe(tuple(filter(None, streams.split("/"))))
        if entrance.faults.close_at_once:
            client.step(now_s)
        return client

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
        for feed in {feed.plan.index: feed for client in self._clients for feed in client.feeds}.values():
            feed.advance(now_s)
        for client in tuple(self._clients):
            try:
                client.step(now_s)
            except Exception:
                _logger.exception(
                    "the simulator failed at %s; the connection is dropped", client.entrance.name
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


def _base(endpoints: Sequence[EndpointAddress]) -> str:
    return endpoints[0].uri.rsplit("/feed/", 1)[0]


def _stream_path(stream: str) -> str:
    return _STREAM_PATH + stream_key(unquote(stream))


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; an error that ended it before is raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
