"""The server's half of a WebSocket handshake by hand: for generators that are to cost as little as they can."""

from __future__ import annotations

import re

from websockets.utils import accept_key

_KEY = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^\s]+)[ \t]*\r\n", re.IGNORECASE)


def answer(request: bytes) -> bytes | None:
    """The response to an upgrade request; None while its end is missing.

    Raises:
        ValueError: it is no upgrade request.
    """
    if not request.endswith(b"\r\n\r\n"):
        return None
    key = _KEY.search(request)
    if key is None:
        raise ValueError(f"a request without a key: {request[:200]!r}")
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key[1].decode())}\r\n\r\n"
    ).encode()
