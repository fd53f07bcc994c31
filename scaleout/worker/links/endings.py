"""Why a connection, or the attempt to open one, has ended: in words, and what is to be done."""

from __future__ import annotations

import os
import re
import time
from enum import Enum

from msgspec import Struct
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    ProtocolError,
    SecurityError,
)
from websockets.frames import CloseCode

from scaleout.core import remedies
from scaleout.core.remedies import Remedy
from scaleout.secrets import redact_uri
from scaleout.worker.words import text_of

_NORMAL_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RCVD)
_STATUSES_OF_OFFERS = (400, 406, 426)
"""By which servers say, too, that they don't like what is offered."""
_BAD_REDIRECTS = (SecurityError, InvalidURI)
"""What following a redirect raises: it leads in circles, away from TLS, or nowhere."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class Renegotiation(Enum):
    """What to offer differently at the next connect."""

    WITHOUT_COMPRESSION = "without compression"
    NEXT_SUBPROTOCOL = "next subprotocol"
    ANYTHING_ELSE = "anything else"
    """The server doesn't say what it is that it doesn't like."""
    AS_BEFORE = "as before"


class Ending(Struct, frozen=True):
    """An end."""

    remedy: Remedy = Remedy.RETRY
    error: str | None = None
    """What went wrong, for people; None: nothing did."""
    is_normal: bool = False
    """Whether the server closed in good order, because it was done."""
    retry_after_s: float = 0.0
    """What the server asked to wait."""
    renegotiation: Renegotiation | None = None


def of_attempt(exc: Exception) -> Ending:
    """Why a connect failed."""
    error = f"can't connect: {words_of(exc)}"
    if isinstance(exc, NegotiationError):
        is_subprotocol = "subprotocol" in str(exc)
        what = Renegotiation.NEXT_SUBPROTOCOL if is_subprotocol else Renegotiation.WITHOUT_COMPRESSION
        return Ending(Remedy.REFUSED, error, renegotiation=what)
    if isinstance(exc, InvalidStatus):
        response = exc.response
        remedy = remedies.for_status(response.status_code)
        asked = remedies.retry_after_s(response.headers.get("Retry-After", ""), time.time())
        may_be_the_offers = response.status_code in _STATUSES_OF_OFFERS
        return Ending(
            remedy,
            error + _said(response.body),
            retry_after_s=asked or 0.0,
            renegotiation=Renegotiation.ANYTHING_ELSE if may_be_the_offers else None,
        )
    if type(exc) in _BAD_REDIRECTS:
        return Ending(Remedy.REFUSED, error)
    return Ending(Remedy.RETRY, error)


def _said(body: bytes | bytearray | None) -> str:
    """The words of a refusal, where there are any."""
    text = bytes(body or b"")[:200].decode("utf-8", "replace").strip()
    return f': "{text}"' if text and text.isprintable() and not text.startswith("<") else ""


def of_connection(closed: ConnectionClosed) -> Ending:
    """Why a connection ended."""
    if closed.rcvd is not None and closed.rcvd.code in _NORMAL_CODES:
        return Ending(is_normal=True)
    error = f"connection lost: {words_of(closed)}"
    remedy = remedies.for_close_code(closed.rcvd.code) if closed.rcvd is not None else Remedy.RETRY
    cause = closed.__cause__
    if isinstance(cause, ProtocolError) and "decompression" in str(cause):
        return Ending(remedy, error, renegotiation=Renegotiation.WITHOUT_COMPRESSION)
    return Ending(remedy, error)


def words_of(exc: BaseException) -> str:
    """What an exception says, with what caused it, and with nothing secret of a URI."""
    if isinstance(exc, ConnectionError) and exc.errno:
        said = os.strerror(exc.errno)  # "Connection refused", whatever the loop makes of it
    else:
        said = text_of(exc) or type(exc).__name__
    cause = exc.__cause__
    if cause is not None and (why := text_of(cause)) and why not in said:
        said = f"{said} ({why})"
    return _URI.sub(lambda found: redact_uri(found[0]), said)
