"""Kraken v2: `data[0].trade_id` is FIRST_ID + n."""

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


def _kraken_message(stream: int, sequence: int) -> bytes:
    mixed = mix(stream, sequence)
    side = "buy" if mixed & 1 else "sell"
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{coin_of(stream)}/USD","side":"{side}",'
        f'"price":{price_of(mixed)},"qty":{size_of(mixed)},"ord_type":"limit","trade_id":{FIRST_ID + sequence},'
        f'"timestamp":"{iso(sequence)}"}}]}}'
    ).encode()


def _kraken_subscribe(stream: int) -> str:
    return f'{{"method":"subscribe","params":{{"channel":"trade","symbol":["{coin_of(stream)}/USD"]}},"req_id":1}}'


def _kraken_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = as_object(text)
    method = request.get("method")
    if method == "ping":
        return [msgspec.json.encode({"method": "pong", "req_id": request.get("req_id")})]
    if method not in ("subscribe", "unsubscribe"):
        return []
    result = {"channel": "trade", "snapshot": False, "symbol": f"{coin_of(stream)}/USD"}
    return [
        msgspec.json.encode(
            {"method": method, "result": result, "success": True, "req_id": request.get("req_id")}
        )
    ]


def _asks(text: str) -> Request | None:
    match as_object(text).get("method"):
        case "subscribe" | "unsubscribe" | "ping" as kind:
            return Request(kind)
    return None


def _refusal(text: str, problem: str) -> bytes:
    request = as_object(text)
    said = {"method": request.get("method"), "success": False, "error": problem}
    return msgspec.json.encode({**said, "req_id": request.get("req_id")})


def _heartbeat(nth: int, number: int) -> bytes:
    return b'{"channel":"heartbeat"}'


KRAKEN = Dialect(
    name="kraken",
    message=_kraken_message,
    subscribe=_kraken_subscribe,
    replies=_kraken_replies,
    asks=_asks,
    refusal=_refusal,
    heartbeat=_heartbeat,
)
