"""Message bodies in the words of real feeds: a pure function of the endpoint's and the message's number.

Every message carries its number `n` (from 0 at each endpoint), so that gaps and repeats can be counted:

    trade          seq = n
    binance        data.t = FIRST_ID + n                       trades of a combined stream
    binance-depth  data.u = FIRST_ID + 3 n + 2, data.U = the u before + 1
    coinbase       events[0].trades[0].trade_id = FIRST_ID + n, a string; sequence_num counts
                   per connection, replies too
    kraken         data[0].trade_id = FIRST_ID + n
    okx            data[0].seqId = n, data[0].prevSeqId = n - 1
    jetstream      time_us = FIRST_TIME_US + 1,000 n
    nostr          the first word of [2].content is "#n"
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

FIRST_ID = 5_000_000
FIRST_TIME_US = 1_700_000_000_000_000
TRADE_BYTES = 131
"""Size of a trade message where no other is asked for."""
TRADE_CYCLE = 1000
"""But for the number itself, a trade depends on it modulo this alone: so blocks can be pre-encoded."""
SMALLEST_TRADE_BYTES = 60

_FIRST_TIME = datetime.fromtimestamp(FIRST_TIME_US / 1e6, UTC)
_COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "DOT")
_WORDS = ("market", "moved", "again", "nobody", "knows", "why", "so", "we", "write", "notes", "about", "it")
_SEQUENCE_MARK = b'"sequence_num":0,'


class Dialect(Struct, frozen=True, kw_only=True):
    """How one kind of feed talks."""

    name: str
    message: Callable[[int, int], bytes]
    """(stream, sequence) -> body."""
    subscribe: Callable[[int], str]
    """(stream) -> what a client sends after it has connected."""
    replies: Callable[[int, str, int], list[bytes]]
    """(stream, client's message, connection's number of the first reply) -> bodies."""
    numbered_per_connection: bool = False
    """Whether bodies hold a number that counts the messages of a connection: see `numbered`."""


def numbered(body: bytes, number: int) -> bytes:
    """A body with its connection's own number, for dialects that count per connection."""
    return body.replace(_SEQUENCE_MARK, b'"sequence_num":%d,' % number, 1)


def dialect(name: str, message_bytes: int = TRADE_BYTES) -> Dialect:
    """The dialect of that name; `message_bytes` is the exact size of the messages of `trade`."""
    if name == "trade" and message_bytes != TRADE_BYTES:
        return msgspec.structs.replace(
            _DIALECTS["trade"],
            message=lambda stream, sequence: trade_message(stream, sequence, message_bytes),
        )
    return _DIALECTS[name]


def dialect_names() -> tuple[str, ...]:
    """The names that `dialect` takes."""
    return tuple(_DIALECTS)


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
    mixed = _mix(stream, phase)
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


def _mix(stream: int, sequence: int) -> int:
    """A number that looks random and is always the same for the same message."""
    mixed = (sequence * 2_654_435_761 + stream * 2_246_822_519 + 374_761_393) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return mixed * 2_246_822_519 & 0x7FFFFFFF


def _coin(stream: int) -> str:
    series, place = divmod(stream, len(_COINS))
    return _COINS[place] + (str(series) if series else "")


def _price(mixed: int) -> str:
    return f"{10_000 + mixed % 50_000}.{mixed % 100:02}"


def _size(mixed: int) -> str:
    return f"{mixed % 13}.{mixed % 100_000:05}"


def _iso(sequence: int) -> str:
    return (_FIRST_TIME + timedelta(milliseconds=sequence)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _milliseconds(sequence: int) -> int:
    return FIRST_TIME_US // 1000 + sequence


def _levels(mixed: int, count: int, side: int) -> str:
    middle, bits = 10_000 + mixed % 50_000, mixed | mixed << 31
    return ",".join(
        f'["{middle + side * level}.{(bits >> level) % 100:02}","{(bits >> level % 7) % 3000 / 1000:.3f}"]'
        for level in range(1, count + 1)
    )


def _depth_levels(mixed: int) -> int:
    """Mostly few levels; one message in a hundred has very many."""
    return 60 if mixed % 100 == 0 else 1 + mixed % 6


def _trade_subscribe(stream: int) -> str:
    return f'{{"op":"subscribe","symbol":"SIM-{stream % 10_000:04}"}}'


def _binance_message(stream: int, sequence: int) -> bytes:
    mixed, coin, ms = _mix(stream, sequence), _coin(stream), _milliseconds(sequence)
    buyer = "true" if mixed & 1 else "false"
    return (
        f'{{"stream":"{coin.lower()}usdt@trade","data":{{"e":"trade","E":{ms},"s":"{coin}USDT",'
        f'"t":{FIRST_ID + sequence},"p":"{_price(mixed)}","q":"{_size(mixed)}","T":{ms - 1},'
        f'"m":{buyer},"M":true}}}}'
    ).encode()


def _binance_subscribe(stream: int) -> str:
    return f'{{"method":"SUBSCRIBE","params":["{_coin(stream).lower()}usdt@trade"],"id":1}}'


def _binance_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = _object(text)
    return [msgspec.json.encode({"result": None, "id": request.get("id")})] if "method" in request else []


def _binance_depth_message(stream: int, sequence: int) -> bytes:
    mixed, coin = _mix(stream, sequence), _coin(stream)
    first, levels = FIRST_ID + 3 * sequence, _depth_levels(mixed)
    return (
        f'{{"stream":"{coin.lower()}usdt@depth","data":{{"e":"depthUpdate","E":{_milliseconds(sequence)},'
        f'"s":"{coin}USDT","U":{first},"u":{first + 2},'
        f'"b":[{_levels(mixed, levels, -1)}],"a":[{_levels(mixed, levels // 2, 1)}]}}}}'
    ).encode()


def _binance_depth_subscribe(stream: int) -> str:
    return f'{{"method":"SUBSCRIBE","params":["{_coin(stream).lower()}usdt@depth"],"id":1}}'


def _coinbase_message(stream: int, sequence: int) -> bytes:
    mixed, time = _mix(stream, sequence), _iso(sequence)
    side = "BUY" if mixed & 1 else "SELL"
    return (
        f'{{"channel":"market_trades","client_id":"","timestamp":"{time}",{_SEQUENCE_MARK.decode()}'
        f'"events":[{{"type":"update","trades":[{{"trade_id":"{FIRST_ID + sequence}",'
        f'"product_id":"{_coin(stream)}-USD",'
        f'"price":"{_price(mixed)}","size":"{_size(mixed)}","side":"{side}","time":"{time}"}}]}}]}}'
    ).encode()


def _coinbase_subscribe(stream: int) -> str:
    return f'{{"type":"subscribe","channel":"market_trades","product_ids":["{_coin(stream)}-USD"]}}'


def _coinbase_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = _object(text)
    if request.get("type") not in ("subscribe", "unsubscribe"):
        return []
    reply = {
        "channel": "subscriptions",
        "client_id": "",
        "timestamp": _iso(number),
        "sequence_num": number,
        "events": [{"subscriptions": {str(request.get("channel", "")): request.get("product_ids", [])}}],
    }
    return [msgspec.json.encode(reply)]


def _kraken_message(stream: int, sequence: int) -> bytes:
    mixed = _mix(stream, sequence)
    side = "buy" if mixed & 1 else "sell"
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{_coin(stream)}/USD","side":"{side}",'
        f'"price":{_price(mixed)},"qty":{_size(mixed)},"ord_type":"limit","trade_id":{FIRST_ID + sequence},'
        f'"timestamp":"{_iso(sequence)}"}}]}}'
    ).encode()


def _kraken_subscribe(stream: int) -> str:
    return (
        f'{{"method":"subscribe","params":{{"channel":"trade","symbol":["{_coin(stream)}/USD"]}},"req_id":1}}'
    )


def _kraken_replies(stream: int, text: str, number: int) -> list[bytes]:
    request = _object(text)
    method = request.get("method")
    if method == "ping":
        return [msgspec.json.encode({"method": "pong", "req_id": request.get("req_id")})]
    if method not in ("subscribe", "unsubscribe"):
        return []
    result = {"channel": "trade", "snapshot": False, "symbol": f"{_coin(stream)}/USD"}
    return [
        msgspec.json.encode(
            {"method": method, "result": result, "success": True, "req_id": request.get("req_id")}
        )
    ]


def _okx_message(stream: int, sequence: int) -> bytes:
    mixed = _mix(stream, sequence)
    levels = _depth_levels(mixed)
    return (
        f'{{"arg":{{"channel":"books","instId":"{_coin(stream)}-USDT"}},"action":"update","data":[{{'
        f'"asks":[{_levels(mixed, levels, 1)}],"bids":[{_levels(mixed, levels // 2, -1)}],'
        f'"ts":"{_milliseconds(sequence)}","checksum":{mixed - 2**30},'
        f'"prevSeqId":{sequence - 1},"seqId":{sequence}}}]}}'
    ).encode()


def _okx_subscribe(stream: int) -> str:
    return f'{{"op":"subscribe","args":[{{"channel":"books","instId":"{_coin(stream)}-USDT"}}]}}'


def _okx_replies(stream: int, text: str, number: int) -> list[bytes]:
    if text == "ping":
        return [b"pong"]
    request = _object(text)
    arguments = request.get("args")
    if request.get("op") not in ("subscribe", "unsubscribe") or not isinstance(arguments, list):
        return []
    return [
        msgspec.json.encode({"event": request["op"], "arg": argument, "connId": f"{stream:08x}"})
        for argument in arguments
    ]


def _jetstream_message(stream: int, sequence: int) -> bytes:
    mixed = _mix(stream, sequence)
    author = hashlib.blake2b(b"%d" % (mixed % 5000), digest_size=12).hexdigest()
    content = hashlib.blake2b(b"%d/%d" % (stream, sequence), digest_size=28).hexdigest()
    key = f"3k{sequence:011}"
    return (
        f'{{"did":"did:plc:{author}","time_us":{FIRST_TIME_US + 1000 * sequence},"kind":"commit","commit":{{'
        f'"rev":"{key}","operation":"create","collection":"app.bsky.feed.post","rkey":"{key}","record":{{'
        f'"$type":"app.bsky.feed.post","createdAt":"{_iso(sequence)}","langs":["en"],"text":"{_prose(mixed)}"}},'
        f'"cid":"baf{content}"}}}}'
    ).encode()


def _jetstream_subscribe(stream: int) -> str:
    return '{"type":"options_update","payload":{"wantedCollections":["app.bsky.feed.post"]}}'


def cursor_sequence(cursor: str) -> int | None:
    """The first message that a Jetstream cursor asks for: the one at that time or the first after it."""
    if not cursor.isascii() or not cursor.isdigit():
        return None
    return max(0, -(-(int(cursor) - FIRST_TIME_US) // 1000))


def _nostr_message(stream: int, sequence: int) -> bytes:
    mixed = _mix(stream, sequence)
    name = b"%d/%d" % (stream, sequence)
    signature = hashlib.blake2b(name, digest_size=64).hexdigest()
    return (
        f'["EVENT","feed",{{"content":"#{sequence} {_prose(mixed)}",'
        f'"created_at":{_milliseconds(sequence) // 1000},'
        f'"id":"{hashlib.sha256(name).hexdigest()}","kind":1,"pubkey":"{mixed % 5000:064x}",'
        f'"sig":"{signature}","tags":[["t","feed{stream}"]]}}]'
    ).encode()


def _nostr_subscribe(stream: int) -> str:
    return f'["REQ","feed",{{"kinds":[1],"#t":["feed{stream}"]}}]'


def _nostr_replies(stream: int, text: str, number: int) -> list[bytes]:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [b'["NOTICE","invalid: not JSON"]']
    match request:
        case ["REQ", str(subscription), *_]:
            return [msgspec.json.encode(["EOSE", subscription])]
        case ["CLOSE", str(subscription)]:
            return [msgspec.json.encode(["CLOSED", subscription, ""])]
    return [b'["NOTICE","invalid: unknown message"]']


def _prose(mixed: int) -> str:
    """A short text of words; one in three holds characters beyond ASCII."""
    words = [_WORDS[(mixed >> place) % len(_WORDS)] for place in range(4 + mixed % 20)]
    return " ".join(words) + (" ☕ šťastně 日本" if mixed % 3 == 0 else "")


def _object(text: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def _no_replies(stream: int, text: str, number: int) -> list[bytes]:
    return []


_DIALECTS = {
    made.name: made
    for made in (
        Dialect(name="trade", message=trade_message, subscribe=_trade_subscribe, replies=_no_replies),
        Dialect(
            name="binance", message=_binance_message, subscribe=_binance_subscribe, replies=_binance_replies
        ),
        Dialect(
            name="binance-depth",
            message=_binance_depth_message,
            subscribe=_binance_depth_subscribe,
            replies=_binance_replies,
        ),
        Dialect(
            name="coinbase",
            message=_coinbase_message,
            subscribe=_coinbase_subscribe,
            replies=_coinbase_replies,
            numbered_per_connection=True,
        ),
        Dialect(name="kraken", message=_kraken_message, subscribe=_kraken_subscribe, replies=_kraken_replies),
        Dialect(name="okx", message=_okx_message, subscribe=_okx_subscribe, replies=_okx_replies),
        Dialect(
            name="jetstream", message=_jetstream_message, subscribe=_jetstream_subscribe, replies=_no_replies
        ),
        Dialect(name="nostr", message=_nostr_message, subscribe=_nostr_subscribe, replies=_nostr_replies),
    )
}
