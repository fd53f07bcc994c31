"""The server's side of a WebSocket handshake on a blocking socket."""

from __future__ import annotations

import socket

from websockets.utils import accept_key

from bench.feed import Deflate

MAX_REQUEST_BYTES = 16 * 1024


def shake_hands(connection: socket.socket, deflate: Deflate) -> None:
    """Take a client's request and answer it.

    Raises:
        ConnectionError: the client went away, sent something else, or doesn't offer the compression wanted.
    """
    headers = _headers(_request(connection))
    key = headers.get("sec-websocket-key")
    if key is None:
        raise ConnectionError("not a WebSocket handshake")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    if deflate != "off":
        if "permessage-deflate" not in headers.get("sec-websocket-extensions", ""):
            raise ConnectionError("the client offers no compression")
        parameter = "; server_no_context_takeover" if deflate == "fresh" else ""
        lines.append(f"Sec-WebSocket-Extensions: permessage-deflate{parameter}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())


def _request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        received = connection.recv(4096)
        if not received or len(request) + len(received) > MAX_REQUEST_BYTES:
            raise ConnectionError("the client sent no whole request")
        request += received
    return request


def _headers(request: bytes) -> dict[str, str]:
    """By name in lower case; the values of one that comes several times are joined."""
    found: dict[str, str] = {}
    for line in request.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            found[name] = f"{found[name]}, {value.strip()}" if name in found else value.strip()
    return found
