"""Takes as many connections as a feed has, and begins to send when the last one is there; then the next ones."""

from __future__ import annotations

import contextlib
import itertools
import select
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from bench.feed import Feed, messages
from bench.generator import frames
from bench.generator.handshake import shake_hands

TICK_S = 0.0005
"""How long the pacer sleeps; what has become due meanwhile goes to as many connections."""
BACKLOG = 4096
_CLOSE = 8
_CLOSE_FRAME = b"\x88\x02\x03\xe8"


class Start(Struct, frozen=True):
    """What the program is told."""

    feed: Feed
    certificate: str | None = None
    """File of the server's certificate and key, for TLS."""
    core: int | None = None


class Server:
    """A listening socket on loopback, and what is sent to those who connect to it.

    Args:
        start: what to send, and how.
    """

    def __init__(self, start: Start) -> None:
        self._feed = start.feed
        cycle = messages(start.feed)
        self._frames = frames.encode(cycle, start.feed.deflate)
        self._context = None
        if start.certificate is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(start.certificate)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Take a side's connections, begin to send, and wait for the next side's, for ever."""
        lead, loop = frames.blocks(self._frames.lead), frames.blocks(self._frames.loop)
        while True:
            connections = [self._accept() for _ in range(self._feed.connections)]
            if self._feed.rate:
                _start(_send_paced, connections, self._frames.loop, self._feed.rate)
                continue
            for connection in connections:
                _start(_send_saturated, connection, lead, loop)

    def _accept(self) -> socket.socket:
        """The next client that comes through its handshake."""
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                shake_hands(connection, self._feed.deflate)
            except OSError:
                connection.close()
            else:
                return connection


def _start(send: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=send, args=arguments, daemon=True).start()


def _send_saturated(connection: socket.socket, lead: list[bytes], loop: list[bytes]) -> None:
    """Send as fast as the client reads, until it closes or is gone."""
    with contextlib.suppress(OSError), connection:
        for block in itertools.chain(lead, itertools.cycle(loop)):
            connection.sendall(block)
            if _has_said_something(connection) and _is_closing(connection):
                connection.sendall(_CLOSE_FRAME)
                return


def _has_said_something(connection: socket.socket) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(0))


def _is_closing(connection: socket.socket) -> bool:
    """Whether the client has closed, or is gone; what else it may have said, such as a ping, is passed over."""
    received = connection.recv(4096)
    return not received or received[0] & 0x0F == _CLOSE


def _send_paced(connections: list[socket.socket], loop: list[bytes], rate: float) -> None:
    """Send to each connection in turn, a message at a time, so that no two messages come close together."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        open_connections = set(connections)
        began_s, sent = time.perf_counter(), 0
        while open_connections:
            time.sleep(TICK_S)
            due = int((time.perf_counter() - began_s) * rate)
            for number in range(sent, due):
                turn, place = divmod(number, len(connections))
                if connections[place] in open_connections:
                    with contextlib.suppress(OSError):
                        connections[place].sendall(loop[turn % len(loop)])
            sent = due
            for key, _ in selector.select(0):
                assert isinstance(key.fileobj, socket.socket)
                _hear(key.fileobj, selector, open_connections)


def _hear(
    connection: socket.socket, selector: selectors.BaseSelector, open_connections: set[socket.socket]
) -> None:
    with contextlib.suppress(OSError):
        if not _is_closing(connection):
            return
        connection.sendall(_CLOSE_FRAME)
    selector.unregister(connection)
    open_connections.discard(connection)
    connection.close()
