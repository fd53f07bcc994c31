"""Coinbase: `events[0].trades[0].trade_id` is FIRST_ID + n, a string; `sequence_num` counts per connection."""

from __future__ import annotations

import msgspec

from scaleout.simulator.dialects.base import (
    FIRST_ID,
    Dialect,
    Request,
    as_object,
    coin_of,
    iso,
    mix,
    price_of,
    size_of,
)

SEQUENCE_MARK = b'"sequence_num":0,'


def numbered(body: bytes, number: int) -> bytes:
    """A body with its connection's own number, for dialects that count per connection."""
    return body.replace(SEQUENCE_MARK, b'"sequence_num":%d,' % number, 1)


def _coinbase_message(stream: int, sequence: int) -> bytes:
    mixed, time = mix(stream, sequence), iso(sequence)
    side = "BUY" if mixed & 1 else "SELL"
    return (
        f'{{"channel":"market_trades","client_id":"","timestamp":"{time}",{SEQUENCE_MARK.decode()}'
        f'"events":[{{"type":"update","trades":[{{"trade_id":"{FIRST_ID + sequence}",'
        f'"product_id":"{coin_of(stream)}-USD",'
        f'"price":"{price_of(mixed)}","size":"{size_of(mixed)}","side":"{side}","time":"{time}"}}]}}]}}'
    ).encode()


def _coinbase_subscribe(stream: int) -> str:
    return f'{{"type":"subscribe","channel":"market_trades","product_ids":["{coin_of(stream)}-USD"]}}'


def _coinbase_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = as_object(text)
    if request.get("type") not in ("subscribe", "unsubscribe"):
        return []
    reply = {
        "channel": "subscriptions",
        "client_id": "",
        "timestamp": iso(number),
        "sequence_num": number,
        "events": [{"subscriptions": {str(request.get("channel", "")): request.get("product_ids", [])}}],
    }
    return [msgspec.json.encode(reply)]


def _asks(text: str) -> Request | None:
    match as_object(text).get("type"):
        case "subscribe" | "unsubscribe" as kind:
            return Request(kind)
    return None


def _heartbeat(nth: int, number: int) -> bytes:
    return (
        f'{{"channel":"heartbeats","client_id":"","timestamp":"{iso(number)}","sequence_num":{number},'
        f'"events":[{{"current_time":"{iso(number)}","heartbeat_counter":{nth}}}]}}'
    ).encode()


COINBASE = Dialect(
    name="coinbase",
    message=_coinbase_message,
    subscribe=_coinbase_subscribe,
    replies=_coinbase_replies,
    numbered_per_connection=True,
    asks=_asks,
    heartbeat=_heartbeat,
)
