"""Opens connections: directly or through a proxy, at one address after the other, redirected without secrets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from websockets.version import version as WEBSOCKETS_VERSION

from scaleout.config import TLS, Endpoint
from scaleout.worker.connection import FeedConnection
from scaleout.worker.polling import Poller
from scaleout.worker.proxies import Proxies
from scaleout.worker.resolver import Answer, Resolver, is_address
from scaleout.worker.tls import forget_if_unanswered, tls_context

CLOSE_TIMEOUT_S = 2.0
"""How long a server may take to end a connection that is closed; the next connect waits for it, or for this."""
LEAST_SHARE_S = 2.0
"""What the first addresses of a host get at least, of the time to open; without that, many would get too little."""

USER_AGENT = f"scaleout websockets/{WEBSOCKETS_VERSION}"


async def _at_once(uri: str) -> None:
    pass


class Dialer:
    """Opens all connections of a worker, so that each profits from those before it.

    Args:
        poller: reads them, where it can; None: each is read by its transport.
    """

    def __init__(self, poller: Poller | None = None) -> None:
        self._poller = poller
        self._resolver = Resolver()
        self._proxies = Proxies()

    async def dial(
        self,
        endpoint: Endpoint,
        *,
        uri: str,
        subprotocols: Sequence[str],
        compression: bool,
        on_redirect: Callable[[str], Awaitable[None]] = _at_once,
    ) -> FeedConnection:
        """Connect, directly or through the endpoint's proxy.

        Args:
            endpoint: how to connect: TLS, headers, proxy, limits and timeouts.
            uri: where to.
            subprotocols: to offer, in order of preference.
            compression: whether to offer it.
            on_redirect: awaited with the URI that a redirect leads to, before that is connected to.

        Raises:
            OSError: the server can't be reached, its TLS fails, or a file of `tls` can't be read.
            TimeoutError: it took longer than `open_timeout`.
            websockets.exceptions.InvalidURI, InvalidProxy, InvalidHandshake: as `websockets.connect` says.
        """
        connection = await _Connect(
            uri,
            resolver=self._resolver,
            proxies=self._proxies,
            tls=endpoint.tls,
            on_redirect=on_redirect,
            create_connection=FeedConnection,
            additional_headers=endpoint.headers,
            user_agent_header=USER_AGENT,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            compression="deflate" if compression else None,
            proxy=endpoint.proxy or None,
            max_size=endpoint.max_message_size,
            open_timeout=endpoint.open_timeout,
            ping_interval=endpoint.ping_interval or None,
            ping_timeout=endpoint.ping_timeout or None,
            close_timeout=CLOSE_TIMEOUT_S,
        )
        assert isinstance(connection, FeedConnection)
        _acknowledge_less(connection)
        if self._poller is not None:
            connection.read_by(self._poller)
        return connection


def _acknowledge_less(connection: ClientConnection) -> None:
    """Acknowledge every second segment, as RFC 5681 has it, where Linux would acknowledge each that is read.

    With a message in each segment, that is a third of all that a message costs. Linux leaves this mode by itself
    where a sender waits for an acknowledgement.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connected = connection.transport.get_extra_info("socket")
        with suppress(OSError):  # it isn't TCP, or has just ended
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


class _Connect(connect):
    """Tries the addresses of the host one by one; tells no other origin what may be secret.

    Addresses are handed to the library as `host` and `port`, and anew for each server it is redirected to.
    Connected sockets are not handed to it, because uvloop before 0.23 closes their descriptors twice if cancelled.
    """

    def __init__(
        self,
        uri: str,
        *,
        resolver: Resolver,
        proxies: Proxies,
        tls: TLS,
        on_redirect: Callable[[str], Awaitable[None]],
        **options: Any,
    ) -> None:
        super().__init__(uri, **options)
        self._resolver = resolver
        self._proxies = proxies
        self._asks_for_proxy = self.proxy is True
        self._tls = tls
        self._on_redirect = on_redirect
        self._is_redirected = False

    async def open_tcp_connection(self) -> ClientConnection:
        """Connect to the server that `ws_uri` names, with TLS if it says so."""
        server = self.ws_uri
        if self._is_redirected:
            await self._on_redirect(self.uri)
        self._is_redirected = True  # if this is called again
        if not server.secure:
            return await self._open({})
        context = tls_context(self._tls)
        try:
            return await self._open({"ssl": context})
        except BaseException:
            forget_if_unanswered(context, server.host)
            raise

    async def _open(self, options: dict[str, Any]) -> ClientConnection:
        server = self.ws_uri
        if self._asks_for_proxy:  # the library would ask anew for each connection
            self.proxy = self._proxies.proxy_for(server)
        if self.proxy is not None or is_address(server.host):  # what a name means is then the proxy's matter
            self.create_connection_kwargs = options
            return await super().open_tcp_connection()
        try:
            return await self._try_addresses(await self._resolver.look_up(server.host, server.port), options)
        finally:
            self.create_connection_kwargs = options  # the address is not that of a server redirected to

    async def _try_addresses(self, answer: Answer, options: dict[str, Any]) -> ClientConnection:
        failures: dict[str, OSError] = {}
        *firsts, last = answer.in_order()
        share_s = max(LEAST_SHARE_S, (self.open_timeout or 0.0) / (len(firsts) + 1))
        for address in (*firsts, last):
            self.create_connection_kwargs = {**options, "host": address.host, "port": address.port}
            try:
                async with asyncio.timeout(share_s if address is not last else None):
                    return await super().open_tcp_connection()
            except BaseException as exc:
                self._resolver.note_failure(answer, address)
                if not isinstance(exc, OSError) or isinstance(exc, ssl.SSLError):
                    raise
                failures[address.host] = exc
        raise _all_failed(self.ws_uri.host, failures)

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where to go instead, without the endpoint's headers if that is another origin; or what went wrong."""
        found = super().process_redirect(exc)
        if isinstance(found, str):
            target, origin = parse_uri(found), self.ws_uri
            if (target.secure, target.host, target.port) != (origin.secure, origin.host, origin.port):
                self.additional_headers = None
        return found


def _all_failed(host: str, failures: dict[str, OSError]) -> OSError:
    first, *others = failures.values()
    if all((type(other), other.errno) == (type(first), first.errno) for other in others):
        return first
    told = ", ".join(
        f"{address} ({exc.strerror or str(exc) or 'timed out'})" for address, exc in failures.items()
    )
    return OSError(f"no address of {host} can be connected to: {told}")
