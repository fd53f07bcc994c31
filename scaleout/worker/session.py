"""One endpoint's life in a worker: connect, subscribe, receive, reconnect, apart from all others."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any, TypeVar

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from websockets.version import version as WEBSOCKETS_VERSION

from scaleout.config import TLS, Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.lifecycle import EndpointState, endpoint_step
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.secrets import redact_uri
from scaleout.worker.connection import FeedConnection
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Pipeline
from scaleout.worker.words import text_of

CLOSE_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 1.0
"""How long the closing handshakes of a stopping run may take, all together."""
SEND_BUFFER_BYTES = 2**20
"""What a peer that doesn't read may leave in the write buffer before sending fails."""

NORMAL_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RCVD)

T = TypeVar("T")

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")

OnChange = Callable[["Session"], None]

USER_AGENT = f"scaleout websockets/{WEBSOCKETS_VERSION}"


class Session:
    """Keeps one endpoint connected.

    Args:
        endpoint: what to connect to, and how.
        outbox: holds the connection back when the pipe is full.
        on_change: called after each change of `state`.
        logger: knows the endpoint.
        rng: randomness of the backoff.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        outbox: Outbox,
        on_change: OnChange,
        logger: EndpointLogger,
        rng: Random,
    ) -> None:
        self.endpoint = endpoint
        self.state = EndpointState.WAITING
        self.connects = 0
        self.last_error: str | None = None
        self._outbox = outbox
        self._on_change = on_change
        self._log = logger
        self._backoff = BackoffState(endpoint.backoff, rng)
        self._connection: FeedConnection | None = None
        self._is_stopping = False
        self._pipeline: Pipeline | None = None

    def __repr__(self) -> str:
        return f"<Session {self.endpoint.name}: {self.state.value}, {self.connects} connects>"

    def deliver_to(self, pipeline: Pipeline) -> None:
        """Use this pipeline; to be called before `run`."""
        self._pipeline = pipeline

    def _enter(self, state: EndpointState) -> None:
        self.state = endpoint_step(self.state, state)
        self._on_change(self)

    # The loop

    async def run(self) -> None:
        """Stay connected until the endpoint has ended for good, or the task is cancelled."""
        while True:
            self._enter(EndpointState.CONNECTING)
            ended_well = await self._connect_and_receive()
            if self.endpoint.reconnect == "never" or (self.endpoint.reconnect == "on_error" and ended_well):
                self._enter(EndpointState.ENDED)
                return
            self._enter(EndpointState.BACKOFF)
            delay = self._backoff.next_delay()
            self._log.info("reconnecting in %.1f s", delay)
            await asyncio.sleep(delay)

    async def _connect_and_receive(self) -> bool:
        """One connection, from the attempt to its end; whether the server ended it normally."""
        try:
            connection = await self._connect()
        except Exception as exc:
            self._note_error(f"can't connect: {_words(exc)}")
            return False
        loop = asyncio.get_running_loop()
        opened_at, received_before = loop.time(), self._received
        try:
            return await self._receive(connection)
        except Exception as exc:  # a fault of this program must not take the neighbours along
            self._log.exception("internal error, reconnecting")
            self._note_error(f"internal error: {_words(exc)}")
            return False
        finally:
            self._backoff.session_ended(loop.time() - opened_at, self._received - received_before)

    @property
    def _received(self) -> int:
        return self._pipeline.received if self._pipeline is not None else 0

    async def _connect(self) -> FeedConnection:
        endpoint = self.endpoint
        options: dict[str, Any] = {}
        if endpoint.uri.lower().startswith("wss:"):
            options["ssl"] = tls_context(endpoint.tls)
        connection = await _Connect(
            endpoint.uri,
            create_connection=FeedConnection,
            additional_headers=endpoint.headers,
            user_agent_header=USER_AGENT,
            subprotocols=[Subprotocol(name) for name in endpoint.subprotocols] or None,
            compression="deflate" if endpoint.compression == "deflate" else None,
            proxy=endpoint.proxy or None,
            max_size=endpoint.max_message_size,
            open_timeout=endpoint.open_timeout,
            ping_interval=endpoint.ping_interval or None,
            ping_timeout=endpoint.ping_timeout or None,
            close_timeout=CLOSE_TIMEOUT_S,
            **options,
        )
        assert isinstance(connection, FeedConnection)
        return connection

    async def _receive(self, connection: FeedConnection) -> bool:
        assert self._pipeline is not None
        self._connection = connection
        self.connects += 1
        self._outbox.valve.attach(connection)
        self._pipeline.attach(connection)
        try:
            self._enter(EndpointState.LIVE)
            self._log.info("live")
            connection.deliver_to(self._pipeline.receive)
            try:
                for message in self.endpoint.subscribe:
                    text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
                    await connection.send(text)
            except ConnectionClosed:
                pass  # the connection's end says why
            await connection.wait_closed()
            return self._take_leave(connection)
        finally:
            self._outbox.valve.detach(connection)
            self._pipeline.detach(connection)
            if not self._is_stopping:
                self._connection = None
                connection.transport.abort()

    def _take_leave(self, connection: FeedConnection) -> bool:
        """Note why the connection ended; whether the server ended it normally."""
        closed = connection.close_exc
        if closed.rcvd is not None and closed.rcvd.code in NORMAL_CODES:
            self._log.info("the server closed the connection normally")
            return True
        self._note_error(f"connection lost: {_words(closed)}")
        return False

    def _note_error(self, error: str) -> None:
        self.last_error = self._log.redact(_URI.sub(lambda found: redact_uri(found[0]), error))
        self._log.warning("%s", self.last_error)

    # Sending

    def send(self, message: str | bytes) -> None:
        """Send a message on the connection there is.

        Raises:
            SendError: there is none, or its peer doesn't read what it is sent.
        """
        connection = self._connection
        if connection is None or connection.protocol.state is not State.OPEN:
            raise SendError(f"{self.endpoint.name} is not connected")
        if connection.transport.get_write_buffer_size() > SEND_BUFFER_BYTES:
            raise SendError(f"{self.endpoint.name} does not read what it is sent")
        if isinstance(message, str):
            connection.protocol.send_text(message.encode())
        else:
            connection.protocol.send_binary(message)
        connection.send_data()

    # The end

    def stop_receiving(self) -> None:
        """Receive nothing from now on."""
        self._is_stopping = True
        if self._connection is not None:
            self._connection.discard_messages()

    async def say_goodbye(self) -> None:
        """Close the connection there is with 1001, and abort it when the peer takes its time."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await connection.close(CloseCode.GOING_AWAY)
        except TimeoutError:
            pass
        except Exception:  # nor may a goodbye that fails disturb those who hand over their messages
            self._log.exception("internal error while closing the connection")
        finally:
            connection.transport.abort()


class _Connect(connect):
    """Follows redirects, but takes no header of the endpoint's, which may be a secret, to another origin."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where to go instead, or what went wrong."""
        found = super().process_redirect(exc)
        if isinstance(found, str):
            target, origin = parse_uri(found), self.ws_uri
            if (target.secure, target.host, target.port) != (origin.secure, origin.host, origin.port):
                self.additional_headers = None
        return found


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
    return context


def _from_file(name: str | None, what: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except OSError as exc:  # `ssl.SSLError` is one, too, and none of them says which file
        raise OSError(f"the {what} of tls can't be read from {name}: {exc.strerror or exc}") from exc


def _words(exc: BaseException) -> str:
    """What an exception says, with what caused it."""
    if isinstance(exc, ConnectionError) and exc.errno:
        said = os.strerror(exc.errno)  # "Connection refused", whatever the loop makes of it
    else:
        said = text_of(exc) or type(exc).__name__
    cause = exc.__cause__
    if cause is not None and (why := text_of(cause)) and why not in said:
        said = f"{said} ({why})"
    return said
