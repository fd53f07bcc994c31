"""OKX's books: `data[0].seqId` is n, `data[0].prevSeqId` n - 1."""

from __future__ import annotations

import msgspec

from scaleout.simulator.dialects.base import (
    Dialect,
    Request,
    as_object,
    coin_of,
    depth_levels,
    levels_of,
    milliseconds,
    mix,
)


def _okx_message(stream: int, sequence: int) -> bytes:
    mixed = mix(stream, sequence)
    levels = depth_levels(mixed)
    return (
        f'{{"arg":{{"channel":"books","instId":"{coin_of(stream)}-USDT"}},"action":"update","data":[{{'
        f'"asks":[{levels_of(mixed, levels, 1)}],"bids":[{levels_of(mixed, levels // 2, -1)}],'
        f'"ts":"{milliseconds(sequence)}","checksum":{mixed - 2**30},'
        f'"prevSeqId":{sequence - 1},"seqId":{sequence}}}]}}'
    ).encode()


def _okx_subscribe(stream: int) -> str:
    return f'{{"op":"subscribe","args":[{{"channel":"books","instId":"{coin_of(stream)}-USDT"}}]}}'


def _okx_replies(stream: int, text: str, number: int) -> list[bytes]:
    if text == "ping":
        return [b"pong"]
    request = as_object(text)
    arguments = request.get("args")
    if request.get("op") not in ("subscribe", "unsubscribe") or not isinstance(arguments, list):
        return []
    return [
        msgspec.json.encode({"event": request["op"], "arg": argument, "connId": f"{stream:08x}"})
        for argument in arguments
    ]


def _asks(text: str) -> Request | None:
    if text == "ping":
        return Request("ping")
    match as_object(text).get("op"):
        case "subscribe" | "unsubscribe" as kind:
            return Request(kind)
    return None


def _refusal(text: str, problem: str) -> bytes:
    return msgspec.json.encode({"event": "error", "code": "60018", "msg": problem})


OKX = Dialect(
    name="okx",
    message=_okx_message,
    subscribe=_okx_subscribe,
    replies=_okx_replies,
    asks=_asks,
    refusal=_refusal,
)
