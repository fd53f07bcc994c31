"""Trades of a made-up feed, of any exact size; `seq` is the message's number.

A subscription that names streams is acknowledged; one to a symbol is not.
"""

from __future__ import annotations

import msgspec

from scaleout.simulator.dialects.base import Dialect, Request, as_names, as_object, mix

TRADE_BYTES = 131
"""Size of a trade message where no other is asked for."""
TRADE_CYCLE = 1000
"""But for the number itself, a trade depends on it modulo this alone: so blocks can be pre-encoded."""
SMALLEST_TRADE_BYTES = 60


def trade_message(stream: int, sequence: int, size: int = TRADE_BYTES) -> bytes:
    """A trade of exactly `size` bytes: at least `SMALLEST_TRADE_BYTES`, and numbers of up to 15 digits."""
    head, tail = trade_parts(stream, sequence % TRADE_CYCLE, len(str(sequence)), size)
    return b"%b%d%b" % (head, sequence, tail)


def trade_parts(stream: int, phase: int, digits: int, size: int) -> tuple[bytes, bytes]:
    """What comes before and after the number in a trade message.

    Args:
        stream: the endpoint's number.
        phase: the message's number modulo `TRADE_CYCLE`.
        digits: how many digits the number has.
        size: of the whole message, in bytes.
    """
    mixed = mix(stream, phase)
    price = 10_000 + mixed % 50_000
    tail = f',"symbol":"SIM-{stream % 10_000:04}","price":{price}.{10 + mixed % 89}'
    if size >= TRADE_BYTES - 1:
        side = "buy" if mixed & 1 else "sell"
        tail += f',"size":{1 + mixed % 9}.{1 + mixed % 999:03},"side":"{side}"'
    head = '{"seq":'
    room = size - len(head) - digits - len(tail) - 1
    filler = f',"id":"{_filler(mixed, room - 8)}"' if room >= 8 else " " * room
    return head.encode(), f"{tail}{filler}}}".encode()


def _filler(mixed: int, length: int) -> str:
    return (f"{mixed:010}-" * (length // 11 + 1))[:length]


def _trade_subscribe(stream: int) -> str:
    return f'{{"op":"subscribe","symbol":"SIM-{stream % 10_000:04}"}}'


def _stream_name(stream: int) -> str:
    return f"feed{stream}"


def _asks(text: str) -> Request | None:
    if text == "ping":
        return Request("ping")
    request = as_object(text)
    match request.get("op"):
        case "subscribe" | "unsubscribe" as kind:
            return Request(kind, as_names(request.get("streams")))
    return None


def _replies(stream: int, text: str, number: int) -> list[bytes]:
    request = _asks(text)
    if request is None:
        return []
    if request.kind == "ping":
        return [b"pong"]
    said = {"type": f"{request.kind}d", "streams": request.streams}
    return [msgspec.json.encode(said)] if request.streams else []


TRADE = Dialect(
    name="trade",
    message=trade_message,
    subscribe=_trade_subscribe,
    replies=_replies,
    asks=_asks,
    stream_name=_stream_name,
)
