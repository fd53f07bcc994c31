"""Binance's combined streams: `data.t` of trades is FIRST_ID + n; `data.U` and `data.u` of depth updates chain."""

from __future__ import annotations

import msgspec

from scaleout.simulator.dialects.base import (
    FIRST_ID,
    Dialect,
    Request,
    as_names,
    as_object,
    coin_of,
    depth_levels,
    levels_of,
    milliseconds,
    mix,
    price_of,
    size_of,
)


def _binance_message(stream: int, sequence: int) -> bytes:
    mixed, coin, ms = mix(stream, sequence), coin_of(stream), milliseconds(sequence)
    buyer = "true" if mixed & 1 else "false"
    return (
        f'{{"stream":"{coin.lower()}usdt@trade","data":{{"e":"trade","E":{ms},"s":"{coin}USDT",'
        f'"t":{FIRST_ID + sequence},"p":"{price_of(mixed)}","q":"{size_of(mixed)}","T":{ms - 1},'
        f'"m":{buyer},"M":true}}}}'
    ).encode()


def _binance_subscribe(stream: int) -> str:
    return f'{{"method":"SUBSCRIBE","params":["{coin_of(stream).lower()}usdt@trade"],"id":1}}'


def _binance_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = as_object(text)
    return [msgspec.json.encode({"result": None, "id": request.get("id")})] if "method" in request else []


def _binance_depth_message(stream: int, sequence: int) -> bytes:
    mixed, coin = mix(stream, sequence), coin_of(stream)
    first, levels = FIRST_ID + 3 * sequence, depth_levels(mixed)
    return (
        f'{{"stream":"{coin.lower()}usdt@depth","data":{{"e":"depthUpdate","E":{milliseconds(sequence)},'
        f'"s":"{coin}USDT","U":{first},"u":{first + 2},'
        f'"b":[{levels_of(mixed, levels, -1)}],"a":[{levels_of(mixed, levels // 2, 1)}]}}}}'
    ).encode()


def _binance_depth_subscribe(stream: int) -> str:
    return f'{{"method":"SUBSCRIBE","params":["{coin_of(stream).lower()}usdt@depth"],"id":1}}'


def _asks(text: str) -> Request | None:
    request = as_object(text)
    match request.get("method"):
        case "SUBSCRIBE":
            return Request("subscribe", as_names(request.get("params")))
        case "UNSUBSCRIBE":
            return Request("unsubscribe", as_names(request.get("params")))
    return None


def _refusal(text: str, problem: str) -> bytes:
    return msgspec.json.encode({"error": {"code": 2, "msg": problem}, "id": as_object(text).get("id")})


def _goodbye(at_ms: int, number: int) -> bytes:
    return b'{"e":"serverShutdown","E":%d}' % at_ms


def _trade_stream(stream: int) -> str:
    return f"{coin_of(stream).lower()}usdt@trade"


def _depth_stream(stream: int) -> str:
    return f"{coin_of(stream).lower()}usdt@depth"


BINANCE = Dialect(
    name="binance",
    message=_binance_message,
    subscribe=_binance_subscribe,
    replies=_binance_replies,
    asks=_asks,
    refusal=_refusal,
    goodbye=_goodbye,
    stream_name=_trade_stream,
    names_streams=True,
)
BINANCE_DEPTH = msgspec.structs.replace(
    BINANCE,
    name="binance-depth",
    message=_binance_depth_message,
    subscribe=_binance_depth_subscribe,
    stream_name=_depth_stream,
)
