"""Opens connections: TLS sessions resumed per host, DNS answers kept for their time, redirects without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.proxy import get_proxy
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from websockets.version import version as WEBSOCKETS_VERSION

from scaleout.config import TLS, Endpoint
from scaleout.worker.connection import FeedConnection

CLOSE_TIMEOUT_S = 2.0
"""How long a server may take to end a connection that is closed; the next connect waits for it, or for this."""
DNS_TTL_S = 30.0
"""How long addresses are kept: the system's resolver doesn't say for how long they hold."""
LEAST_SHARE_S = 2.0
"""What the first addresses of a host get at least, of the time to open; without that, many would get too little."""
VERIFY_AGAIN_AFTER_S = 3600.0
"""A resumed session shows no certificate: so long after a server has shown its own, it is asked for it again."""
MAX_TLS_HOSTS = 256
"""Of so many hosts the last TLS connection is kept."""

USER_AGENT = f"scaleout websockets/{WEBSOCKETS_VERSION}"

T = TypeVar("T")


async def _at_once(uri: str) -> None:
    pass


class Dialer:
    """Opens all connections of a worker, so that each profits from those before it."""

    def __init__(self) -> None:
        self._names = _Names()

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
            names=self._names,
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
        return connection


def is_resumed(connection: ClientConnection) -> bool | None:
    """Whether the TLS session of a connection is an earlier one; None without TLS."""
    tls = connection.transport.get_extra_info("ssl_object")
    return tls.session_reused if isinstance(tls, ssl.SSLObject) else None


class _Connect(connect):
    """Tries the addresses of the host one by one; tells no other origin what may be secret.

    Addresses are handed to the library as `host` and `port`, and anew for each server it is redirected to.
    Connected sockets are not handed to it, because uvloop before 0.23 closes their descriptors twice if cancelled.
    """

    def __init__(
        self,
        uri: str,
        *,
        names: _Names,
        tls: TLS,
        on_redirect: Callable[[str], Awaitable[None]],
        **options: Any,
    ) -> None:
        super().__init__(uri, **options)
        self._names = names
        self._tls = tls
        self._on_redirect = on_redirect
        self._opened = 0

    async def open_tcp_connection(self) -> ClientConnection:
        """Connect to the server that `ws_uri` names, with TLS if it says so."""
        server = self.ws_uri
        if self._opened:
            await self._on_redirect(self.uri)
        self._opened += 1
        if not server.secure:
            return await self._open({})
        context = tls_context(self._tls)
        try:
            return await self._open({"ssl": context})
        except BaseException:
            _forget_if_unanswered(context, server.host)
            raise

    async def _open(self, options: dict[str, Any]) -> ClientConnection:
        server = self.ws_uri
        proxy = get_proxy(server) if self.proxy is True else self.proxy
        if proxy is not None or _is_address(server.host):  # what a name means is then the proxy's matter
            self.create_connection_kwargs = options
            return await super().open_tcp_connection()
        try:
            return await self._try_addresses(await self._names.look_up(server.host, server.port), options)
        finally:
            self.create_connection_kwargs = options  # the address is not that of a server redirected to

    async def _try_addresses(self, answer: _Answer, options: dict[str, Any]) -> ClientConnection:
        failures: dict[str, OSError] = {}
        *firsts, last = answer.in_order()
        share_s = max(LEAST_SHARE_S, (self.open_timeout or 0.0) / (len(firsts) + 1))
        for address in (*firsts, last):
            self.create_connection_kwargs = {**options, "host": address.host, "port": address.port}
            try:
                async with asyncio.timeout(share_s if address is not last else None):
                    return await super().open_tcp_connection()
            except BaseException as exc:
                self._names.note_failure(answer, address)
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


# Names


class _Address(NamedTuple):
    family: int
    host: str
    port: int


class _Answer:
    """The addresses of a host."""

    def __init__(self, key: tuple[str, int], addresses: Sequence[_Address], expires_at: float) -> None:
        self.key = key
        self.expires_at = expires_at
        self.failed: set[_Address] = set()
        family = addresses[0].family
        self._preferred = [address for address in addresses if address.family == family]
        self._others = [address for address in addresses if address.family != family]
        self._uses = 0

    @property
    def has_failed(self) -> bool:
        """Whether no address is left that may do."""
        return len(self.failed) == len(self._preferred) + len(self._others)

    def in_order(self) -> list[_Address]:
        """All addresses; those that the system prefers take turns at being first, failed ones come last."""
        turn = self._uses % len(self._preferred)
        self._uses += 1
        ordered = [*self._preferred[turn:], *self._preferred[:turn], *self._others]
        return sorted(ordered, key=self.failed.__contains__)


class _Names:
    """Looks up the addresses of hosts, once for all who ask at the same time and within `DNS_TTL_S`."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[_Answer]] = {}

    async def look_up(self, host: str, port: int) -> _Answer:
        """The addresses of a host.

        Raises:
            OSError: it has none; that isn't kept.
        """
        key = (host, port)
        answer = self._answers.get(key)
        if answer is not None and asyncio.get_running_loop().time() < answer.expires_at:
            return answer
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.create_task(self._look_up(key))
            lookup.add_done_callback(lambda _: self._lookups.pop(key))
        return await asyncio.shield(lookup)  # it goes on for the others when one gives up

    async def _look_up(self, key: tuple[str, int]) -> _Answer:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*key, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc  # a name that can't even be asked for
            raise OSError(f"{key[0]} has no address: {why}") from None
        addresses = [_Address(family, str(at[0]), int(at[1])) for family, _, _, _, at in found]
        if not addresses:
            raise OSError(f"{key[0]} has no address")
        now = loop.time()
        self._answers = {known: kept for known, kept in self._answers.items() if now < kept.expires_at}
        answer = self._answers[key] = _Answer(key, list(dict.fromkeys(addresses)), now + DNS_TTL_S)
        return answer

    def note_failure(self, answer: _Answer, address: _Address) -> None:
        """Remember that an address didn't do; with the last one the whole answer is forgotten."""
        answer.failed.add(address)
        if answer.has_failed and self._answers.get(answer.key) is answer:
            del self._answers[answer.key]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# TLS


class _ResumingTLS(ssl.SSLObject):
    """A TLS connection that resumes the session of the last one with the same settings to the same host.

    A resumed handshake shows no certificate, so nothing is verified in it, not even the host's name: OpenSSL
    resumes a session that one server has opened at any other that accepts it. So a session is offered to
    no other host, and by no other context (which Python would refuse, too); and it comes from a
    handshake that has succeeded, because only then is the connection remembered. The server may refuse to
    resume; the handshake is then a full one, and all is verified.

    Tickets come after the handshake, so the session is taken from the earlier connection only when it is needed.
    """

    _has_begun = False
    _is_unanswered = False
    """Whether its session has been offered and nobody knows yet what becomes of it."""
    _verified_at = 0.0

    def do_handshake(self) -> None:
        """Begin the handshake, or go on with it."""
        if not self._has_begun:
            self._has_begun = True
            self._verified_at = self._offer_session()
        super().do_handshake()  # raises as long as it isn't done
        if not self.session_reused:
            self._verified_at = time.monotonic()
        _last.pop(_key(self), None)  # what comes last leaves last
        _last[_key(self)] = self
        while len(_last) > MAX_TLS_HOSTS:
            del _last[next(iter(_last))]

    def _offer_session(self) -> float:
        """Offer the session there is; when its server was verified."""
        last = _last.get(_key(self))
        if last is None or time.monotonic() - last._verified_at > VERIFY_AGAIN_AFTER_S:
            return 0.0
        last._is_unanswered = True
        with contextlib.suppress(ValueError):  # OpenSSL can't copy every session; a full handshake needs none
            session = last.session
            if session is not None and session.id:  # without an ID, no ticket has come yet
                self.session = session
        return last._verified_at


_last: dict[tuple[ssl.SSLContext, str | None], _ResumingTLS] = {}
"""The last connection of each TLS context to each host, alive or not."""


def _key(tls: ssl.SSLObject) -> tuple[ssl.SSLContext, str | None]:
    return tls.context, tls.server_hostname


def _forget_if_unanswered(context: ssl.SSLContext, host: str) -> None:
    """After a failure: a server that hangs up at the sight of a session must not see it again."""
    last = _last.get((context, host))
    if last is not None and last._is_unanswered:
        del _last[context, host]


def forget_sessions() -> None:
    """Resume nothing of what there was."""
    _last.clear()


@lru_cache(maxsize=64)
def tls_context(tls: TLS) -> ssl.SSLContext:
    """The TLS settings of an endpoint; the server is verified unless that was switched off.

    Raises:
        OSError: a file can't be read or isn't what it should be; the message names it.
    """
    context = _from_file(tls.ca, "certificate authorities", lambda: ssl.create_default_context(cafile=tls.ca))
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        certificate = tls.cert
        files = certificate if tls.key is None else f"{certificate}, {tls.key}"
        _from_file(files, "client certificate", lambda: context.load_cert_chain(certificate, tls.key))
    context.sslobject_class = _ResumingTLS  # documented, for a single context, too
    return context


def _from_file(name: str | None, what: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except OSError as exc:  # `ssl.SSLError` is one, too, and none of them says which file
        raise OSError(f"the {what} of tls can't be read from {name}: {exc.strerror or exc}") from exc
