"""What the end of a connection, or of an attempt, calls for: retry, wait, or ask a person."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

LONGEST_RETRY_AFTER_S = 3 * 86400.0
"""A larger `Retry-After` is cut to this: the longest ban that real feeds are known to give."""


class Remedy(Enum):
    """What is to be done."""

    RETRY = "retry"
    """Reconnect by the backoff: the network, or the server's own business."""
    SLOW_RETRY = "slow retry"
    """Reconnect, but later: the server asks for less, and coming back soon makes it worse."""
    REFUSED = "refused"
    """Trying again won't help by itself: retried slowly a few times, then quarantined until a person looks."""


_CLOSE_CODES = {
    1008: Remedy.SLOW_RETRY,  # policy violation: what feeds send to those who exceed a rate
    1013: Remedy.SLOW_RETRY,  # try again later
    3000: Remedy.REFUSED,  # unauthorized
    3003: Remedy.REFUSED,  # forbidden
    # Private codes mean what each application likes. Two follow a convention, 4000 + the HTTP status, widely enough
    # to be believed; 4001 and 4003 don't: they are anything from an unknown opcode to an unused connection.
    4401: Remedy.REFUSED,
    4403: Remedy.REFUSED,
}

_STATUSES = {
    408: Remedy.SLOW_RETRY,  # the request didn't arrive in time: the server, or the way to it, is overloaded
    418: Remedy.SLOW_RETRY,  # banned for ignoring 429, in Binance's reading
    425: Remedy.SLOW_RETRY,  # too early
    429: Remedy.SLOW_RETRY,
}

_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def for_close_code(code: int) -> Remedy:
    """What a connection's close code calls for.

    A normal end (1000) is a retry here, too: whether it is an end for good depends on the endpoint, not the code.
    """
    return _CLOSE_CODES.get(code, Remedy.RETRY)


def for_status(status: int) -> Remedy:
    """What the HTTP status of a handshake that failed calls for.

    A redirect that comes here wasn't followed, so it won't be the next time either.
    """
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 500:
        return Remedy.REFUSED
    return Remedy.SLOW_RETRY if 500 <= status < 600 else Remedy.RETRY


def retry_after_s(value: str, now_unix_s: float) -> float | None:
    """Read the header `Retry-After`: seconds, or an HTTP date.

    Args:
        value: the header's value.
        now_unix_s: Unix time in seconds, which a date is compared to.

    Returns:
        Seconds from now on, between 0 and `LONGEST_RETRY_AFTER_S`; None when the value can't be read.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
            # A date without a zone is in UTC; left as it is, it would be taken for this machine's local time.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_unix_s
        except (ValueError, IndexError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)
