"""How a dialect is described, and what made-up messages are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

FIRST_ID = 5_000_000
FIRST_TIME_US = 1_700_000_000_000_000

_FIRST_TIME = datetime.fromtimestamp(FIRST_TIME_US / 1e6, UTC)
_COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "DOT")
_WORDS = ("market", "moved", "again", "nobody", "knows", "why", "so", "we", "write", "notes", "about", "it")


class Request(Struct, frozen=True):
    """What a client asks for."""

    kind: Literal["subscribe", "unsubscribe", "ping"]
    streams: tuple[str, ...] = ()
    """Names of the streams, in dialects that name them."""


def no_request(text: str) -> Request | None:
    """Nothing is ever asked for."""
    return None


def plain_heartbeat(nth: int, number: int) -> bytes:
    """A heartbeat of feeds that have no form of their own."""
    return b'{"type":"heartbeat","n":%d}' % nth


def plain_goodbye(at_ms: int, number: int) -> bytes:
    """A goodbye of feeds that have no form of their own."""
    return b'{"type":"goodbye"}'


def plain_refusal(text: str, problem: str) -> bytes:
    """A refusal of feeds that have no form of their own."""
    return msgspec.json.encode({"type": "error", "message": problem})


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
    asks: Callable[[str], Request | None] = no_request
    """(client's message) -> what it asks for; None: nothing that is known."""
    refusal: Callable[[str, str], bytes] = plain_refusal
    """(client's message, problem) -> body."""
    heartbeat: Callable[[int, int], bytes] = plain_heartbeat
    """(how many came before it, connection's number) -> body."""
    goodbye: Callable[[int, int], bytes] = plain_goodbye
    """(Unix time in milliseconds, connection's number) -> body."""
    stream_name: Callable[[int], str] | None = None
    """(stream) -> its name, where one connection may subscribe to many by name."""
    names_streams: bool = False
    """Whether messages hold their stream's name anyway."""


def mix(stream: int, sequence: int) -> int:
    """A number that looks random and is always the same for the same message."""
    mixed = (sequence * 2_654_435_761 + stream * 2_246_822_519 + 374_761_393) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return mixed * 2_246_822_519 & 0x7FFFFFFF


def coin_of(stream: int) -> str:
    """The coin that a stream is about."""
    series, place = divmod(stream, len(_COINS))
    return _COINS[place] + (str(series) if series else "")


def price_of(mixed: int) -> str:
    """A price, as digits."""
    return f"{10_000 + mixed % 50_000}.{mixed % 100:02}"


def size_of(mixed: int) -> str:
    """How much was traded, as digits."""
    return f"{mixed % 13}.{mixed % 100_000:05}"


def iso(sequence: int) -> str:
    """A message's time as text: they come a millisecond apart."""
    return (_FIRST_TIME + timedelta(milliseconds=sequence)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def milliseconds(sequence: int) -> int:
    """A message's time in milliseconds of Unix time."""
    return FIRST_TIME_US // 1000 + sequence


def levels_of(mixed: int, count: int, side: int) -> str:
    """Levels of one side of a book, as JSON without the brackets."""
    middle, bits = 10_000 + mixed % 50_000, mixed | mixed << 31
    return ",".join(
        f'["{middle + side * level}.{(bits >> level) % 100:02}","{(bits >> level % 7) % 3000 / 1000:.3f}"]'
        for level in range(1, count + 1)
    )


def depth_levels(mixed: int) -> int:
    """Mostly few levels; one message in a hundred has very many."""
    return 60 if mixed % 100 == 0 else 1 + mixed % 6


def prose(mixed: int) -> str:
    """A short text of words; one in three holds characters beyond ASCII."""
    words = [_WORDS[(mixed >> place) % len(_WORDS)] for place in range(4 + mixed % 20)]
    return " ".join(words) + (" ☕ šťastně 日本" if mixed % 3 == 0 else "")


def as_object(text: str) -> dict[str, object]:
    """A JSON object; {} where it is none."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def as_names(value: object) -> tuple[str, ...]:
    """The texts of a list; () where it is none."""
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def no_replies(stream: int, text: str, number: int) -> list[bytes]:
    """Nothing is ever answered."""
    return []
