"""TLS as an endpoint wants it: verified, and with the last session of the same host resumed."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from websockets.asyncio.client import ClientConnection

from scaleout.config import TLS

VERIFY_AGAIN_AFTER_S = 3600.0
"""A resumed session shows no certificate: so long after a server has shown its own, it is asked for it again."""
MAX_TLS_HOSTS = 256
"""Of so many hosts the last TLS connection is kept."""

T = TypeVar("T")


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


def forget_if_unanswered(context: ssl.SSLContext, host: str) -> None:
    """After a failure: a server that hangs up at the sight of a session must not see it again."""
    last = _last.get((context, host))
    if last is not None and last._is_unanswered:
        del _last[context, host]


def forget_sessions() -> None:
    """Resume nothing of what there was."""
    _last.clear()


def is_resumed(connection: ClientConnection) -> bool | None:
    """Whether the TLS session of a connection is an earlier one; None without TLS."""
    tls = connection.transport.get_extra_info("ssl_object")
    return tls.session_reused if isinstance(tls, ssl.SSLObject) else None


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
