"""The usual ways in which servers refuse a subscription, and their words for it."""

from __future__ import annotations

import msgspec

from scaleout.worker.words import one_line

_LONGEST = 200
_WORDS = ("message", "msg", "error", "errorMessage", "reason", "detail")
"""Where the words are, within a table that says that something went wrong."""

_decode = msgspec.json.Decoder().decode


def refusal_in(payload: bytes) -> str | None:
    """The server's words, if a message refuses something; else None.

    Known are `{"error": …}`, `{"success": false}`, an `error` as the value of type, event, channel, status, or op
    (Binance, Kraken, Coinbase, OKX, Deribit, Bitfinex and others), and Nostr's `["CLOSED", id, words]`.
    """
    try:
        message = _decode(payload)
    except (ValueError, RecursionError):
        return None
    if isinstance(message, list):
        if len(message) >= 2 and message[0] in ("CLOSED", "NOTICE"):
            return _shortened(str(message[-1]))
        return None
    if not isinstance(message, dict):
        return None
    is_error = any(message.get(key) == "error" for key in ("type", "event", "channel", "status", "op"))
    if is_error or message.get("success") is False or message.get("error"):
        return _shortened(_words(message) or payload.decode("utf-8", "replace"))
    return None


def _words(message: dict[str, object]) -> str | None:
    for key in _WORDS:
        match message.get(key):
            case str(text) if text and text != "error":
                return text
            case dict(inner) if inner:
                return _words(inner) or msgspec.json.encode(inner).decode()
    return None


def _shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
