"""The usual ways in which servers refuse a subscription, their words for it, and whether they mean it for good."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from scaleout.core.fields import decoded
from scaleout.core.remedies import Remedy
from scaleout.worker.words import one_line

LONGEST_WORDS = 200
_WORDS = ("message", "msg", "error", "errorMessage", "err-msg", "ret_msg", "reason", "detail")
"""Where the words are, within a table that says that something went wrong."""
_FOR_A_WHILE = re.compile(
    r"rate.?limit|limit.{0,20}exceed|exceed.{0,40}(rate|limit)|too.(many|frequent|fast)|try again|temporar"
    r"|unavailable|overload|maintenance",
    re.IGNORECASE,
)
"""What refuses for the moment alone."""


class Refusal(Struct, frozen=True):
    """What a server said."""

    words: str

    @property
    def remedy(self) -> Remedy:
        """What it calls for."""
        return Remedy.SLOW_RETRY if _FOR_A_WHILE.search(self.words) else Remedy.REFUSED


def refusal_in(payload: bytes) -> Refusal | None:
    """What a message says, if it refuses something; else None.

    Known are `{"error": …}`, `{"success": false}`, an `error` as the value of type, event, channel, status, or op
    (Binance, Kraken, Coinbase, OKX, Deribit, Bitfinex and others), and Nostr's `["CLOSED", id, words]`.
    """
    message = decoded(payload)
    if isinstance(message, list):
        is_closed = len(message) >= 2 and message[0] == "CLOSED"
        return Refusal(shortened(str(message[-1]))) if is_closed else None
    if not isinstance(message, dict):
        return None
    is_error = any(message.get(key) == "error" for key in ("type", "event", "channel", "status", "op"))
    if is_error or message.get("success") is False or message.get("error"):
        return Refusal(shortened(_words(message) or text_in(payload)))
    return None


def _words(message: dict[str, object]) -> str | None:
    for key in _WORDS:
        match message.get(key):
            case str(text) if text and text != "error":
                return text
            case dict(inner) if inner:
                return _words(inner) or msgspec.json.encode(inner).decode()
    return None


def text_in(payload: bytes) -> str:
    """A message, whatever it is, as a text for people."""
    return shortened(payload.decode("utf-8", "replace"))


def shortened(text: str) -> str:
    """The beginning of a text, in one line."""
    line = one_line(text)
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}…"
