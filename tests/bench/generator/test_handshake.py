"""The server's answer to clients, good and bad."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.feed import Deflate
from bench.generator.handshake import shake_hands

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def answer(ends: tuple[socket.socket, socket.socket], request: bytes, deflate: Deflate = "off") -> bytes:
    client, server = ends
    client.sendall(request)
    shake_hands(server, deflate)
    return client.recv(4096)


def test_a_request_is_accepted(ends: tuple[socket.socket, socket.socket]) -> None:
    said = answer(ends, REQUEST + OFFER + b"\r\n")
    assert said.startswith(b"HTTP/1.1 101 ") and said.endswith(b"\r\n\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in said
    assert b"permessage-deflate" not in said


def test_compression_is_agreed_on(ends: tuple[socket.socket, socket.socket]) -> None:
    assert b"Extensions: permessage-deflate\r\n" in answer(ends, REQUEST + OFFER + b"\r\n", "takeover")


def test_compression_without_context(ends: tuple[socket.socket, socket.socket]) -> None:
    said = answer(ends, REQUEST + OFFER + b"\r\n", "fresh")
    assert b"Extensions: permessage-deflate; server_no_context_takeover\r\n" in said


def test_a_request_in_pieces_is_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    thread = threading.Thread(target=shake_hands, args=(server, "off"))
    thread.start()
    for piece in (REQUEST[:30], REQUEST[30:], b"\r\n"):
        client.sendall(piece)
    thread.join()
    assert client.recv(4096).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("request_", "deflate", "problem"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "off", "not a WebSocket handshake"),
        (REQUEST + b"\r\n", "takeover", "offers no compression"),
        (b"x" * 20_000, "off", "no whole request"),
    ],
)
def test_what_is_no_handshake_is_refused(
    ends: tuple[socket.socket, socket.socket], request_: bytes, deflate: Deflate, problem: str
) -> None:
    with pytest.raises(ConnectionError, match=problem):
        answer(ends, request_, deflate)


def test_a_client_that_leaves_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    client.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        shake_hands(server, "off")
