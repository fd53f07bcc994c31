"""Handshakes by hand, with the library on the other side."""

from __future__ import annotations

import pytest
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from bench.handshake import answer


def request() -> tuple[ClientProtocol, bytes]:
    client = ClientProtocol(parse_uri("ws://localhost/feed"))
    client.send_request(client.connect())
    return client, b"".join(client.data_to_send())


def test_the_library_takes_the_answer() -> None:
    client, asked = request()
    response = answer(asked)
    assert response is not None
    client.receive_data(response)
    assert client.state is State.OPEN


def test_half_a_request_has_no_answer_yet() -> None:
    _, asked = request()
    assert answer(b"") is None
    assert answer(asked[:-1]) is None


def test_what_asks_for_no_upgrade_is_refused() -> None:
    with pytest.raises(ValueError, match="without a key"):
        answer(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
