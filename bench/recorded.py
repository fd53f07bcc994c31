"""What every side does with the messages of recorded feeds: a type and a processor a feed."""

from __future__ import annotations

import msgspec

Levels = list[tuple[str, str]]


class Event(msgspec.Struct):
    """What becomes of a message of any feed."""

    kind: str
    key: str
    number: int


class BinanceData(msgspec.Struct):
    """A book ticker, a trade or a difference of the book."""

    s: str
    u: int = 0
    t: int = 0
    E: int = 0
    b: Levels | str | int = ""
    a: Levels | str | int = ""


class BinanceMessage(msgspec.Struct):
    """A message of a combined stream."""

    stream: str
    data: BinanceData


def on_binance(message: BinanceMessage) -> Event:
    """Spot and futures."""
    return Event(message.stream, message.data.s, message.data.u or message.data.t)


class CoinbaseMessage(msgspec.Struct):
    """Of the old interface."""

    type: str
    product_id: str = ""
    sequence: int = 0
    time: str = ""
    changes: list[tuple[str, str, str]] = []


def on_coinbase(message: CoinbaseMessage) -> Event:
    """Coinbase Pro."""
    return Event(message.type, message.product_id, message.sequence or len(message.changes))


class KrakenMessage(msgspec.Struct):
    """Of the futures."""

    feed: str = ""
    event: str = ""
    product_id: str = ""
    seq: int = 0
    price: float = 0.0
    qty: float = 0.0


def on_kraken(message: KrakenMessage) -> Event:
    """Kraken Futures."""
    return Event(message.feed or message.event, message.product_id, message.seq)


class KucoinData(msgspec.Struct):
    """Of a message."""

    sequence: str = ""
    symbol: str = ""
    sequenceEnd: int = 0


class KucoinMessage(msgspec.Struct):
    """Of any topic."""

    type: str
    topic: str = ""
    subject: str = ""
    data: KucoinData | None = None


def on_kucoin(message: KucoinMessage) -> Event:
    """KuCoin."""
    return Event(message.subject, message.topic, message.data.sequenceEnd if message.data else 0)


class BitmexRow(msgspec.Struct):
    """A row of a table, as far as all tables have it."""

    symbol: str = ""
    id: int = 0
    side: str = ""
    size: float | None = None
    price: float | None = None


class BitmexMessage(msgspec.Struct):
    """A change of a table."""

    table: str = ""
    action: str = ""
    data: list[BitmexRow] = []


def on_bitmex(message: BitmexMessage) -> Event:
    """BitMEX."""
    return Event(message.table, message.action, len(message.data))


class NostrEvent(msgspec.Struct):
    """A post."""

    id: str
    pubkey: str
    kind: int
    created_at: int
    content: str
    tags: list[list[str]]


def on_nostr(event: NostrEvent) -> Event:
    """Nostr."""
    return Event(str(event.kind), event.id, event.created_at)
