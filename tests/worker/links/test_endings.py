"""Ends and failed attempts: what they call for, and what people are told."""

from __future__ import annotations

import datetime
import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    ProtocolError,
    SecurityError,
    TooManyHeaders,
)
from websockets.frames import Close
from websockets.http11 import Response

from scaleout.core.remedies import Remedy
from scaleout.worker.links.endings import Ending, Renegotiation, of_attempt, of_connection, words_of

RETRY, SLOW, REFUSED = Remedy.RETRY, Remedy.SLOW_RETRY, Remedy.REFUSED


def status(code: int, body: bytes = b"", **headers: str) -> InvalidStatus:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return InvalidStatus(Response(code, "", fields, body))


def closed(code: int | None, reason: str = "", cause: Exception | None = None) -> ConnectionClosedError:
    exc = ConnectionClosedError(Close(code, reason) if code is not None else None, None)
    exc.__cause__ = cause
    return exc


@pytest.mark.parametrize(
    ("exc", "remedy", "renegotiation"),
    [
        (ConnectionRefusedError(111, "Connection refused"), RETRY, None),
        (TimeoutError("timed out during opening handshake"), RETRY, None),
        (OSError("feed.test has no address"), RETRY, None),
        (ssl.SSLCertVerificationError(1, "certificate has expired"), RETRY, None),
        (InvalidHandshake("wrong accept"), RETRY, None),
        (TooManyHeaders("128 headers"), RETRY, None),
        (status(401), REFUSED, None),
        (status(403), REFUSED, None),
        (status(404), REFUSED, None),
        (status(400), REFUSED, Renegotiation.ANYTHING_ELSE),
        (status(406), REFUSED, Renegotiation.ANYTHING_ELSE),
        (status(426), REFUSED, Renegotiation.ANYTHING_ELSE),
        (status(302), REFUSED, None),
        (status(418), SLOW, None),
        (status(429), SLOW, None),
        (status(503), SLOW, None),
        (status(200), RETRY, None),
        (SecurityError("more than 10 redirects"), REFUSED, None),
        (InvalidURI("http://x", "scheme isn't ws or wss"), REFUSED, None),
        (NegotiationError("unsupported subprotocol: v9"), REFUSED, Renegotiation.NEXT_SUBPROTOCOL),
        (NegotiationError("no subprotocols supported"), REFUSED, Renegotiation.NEXT_SUBPROTOCOL),
        (NegotiationError("Unsupported extension: x"), REFUSED, Renegotiation.WITHOUT_COMPRESSION),
    ],
)
def test_a_failed_attempt(exc: Exception, remedy: Remedy, renegotiation: Renegotiation | None) -> None:
    ending = of_attempt(exc)
    assert (ending.remedy, ending.renegotiation, ending.is_normal) == (remedy, renegotiation, False)
    assert str(ending.error).startswith("can't connect: ")


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert of_attempt(status(429, Retry_After="17")).retry_after_s == 17
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    date = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert 90 < of_attempt(status(503, Retry_After=date)).retry_after_s <= 100
    assert of_attempt(status(503, Retry_After="soon")).retry_after_s == 0
    assert of_attempt(status(503)).retry_after_s == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"Too fast.\n", ': "Too fast."'),
        (b"", ""),
        (b"<html>no</html>", ""),
        (b"a\x1b[31m", ""),
        (b"x" * 1000, f': "{"x" * 200}"'),
        (b"\xff", ': "\xef\xbf\xbd"'.encode("latin-1").decode()),
    ],
)
def test_the_words_of_a_refusal_are_told(body: bytes, said: str) -> None:
    error = f"can't connect: server rejected WebSocket connection: HTTP 429{said}"
    assert of_attempt(status(429, body)).error == error


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(1001, RETRY), (1006, RETRY), (1008, SLOW), (1011, RETRY), (1012, RETRY), (1013, SLOW), (3000, REFUSED),
     (4403, REFUSED), (4000, RETRY), (None, RETRY)],
)  # fmt: skip
def test_the_end_of_a_connection(code: int | None, remedy: Remedy) -> None:
    ending = of_connection(closed(code, "why"))
    assert (ending.remedy, ending.is_normal, ending.renegotiation) == (remedy, False, None)
    assert str(ending.error).startswith("connection lost: ")
    assert code is None or f"{code} " in str(ending.error)


@pytest.mark.parametrize("code", [1000, 1005])
def test_a_normal_end_is_no_error(code: int) -> None:
    assert of_connection(ConnectionClosedOK(Close(code, ""), Close(code, ""), True)) == Ending(is_normal=True)


def test_a_decompression_error_calls_for_no_compression() -> None:
    ending = of_connection(closed(None, cause=ProtocolError("decompression failed")))
    assert ending.renegotiation is Renegotiation.WITHOUT_COMPRESSION
    assert of_connection(closed(None, cause=ProtocolError("reserved bits"))).renegotiation is None


def test_words_have_the_cause_and_no_secret() -> None:
    exc = ValueError("bad ws://user:hunter22@feed.test/?token=hunter22")
    exc.__cause__ = KeyError("the cause")
    assert "hunter22" not in words_of(exc) and "the cause" in words_of(exc)
    assert words_of(ConnectionRefusedError(111, "[Errno 111] whatever")) == "Connection refused"
    assert words_of(ValueError()) == "ValueError"
