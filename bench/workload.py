"""What every side does with a trade: the same types, the same function."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec


class Trade(msgspec.Struct):
    """A trade as the simulated feeds send it; other fields are skipped, and the smallest lack the last two."""

    seq: int
    symbol: str
    price: float
    size: float = 1.0
    side: str = ""


class Fill(msgspec.Struct):
    """What becomes of a trade."""

    seq: int
    symbol: str
    worth: float


def on_trade(trade: Trade) -> Fill:
    """The processor of all sides."""
    return Fill(trade.seq, trade.symbol, trade.price * trade.size)


def on_trades(trades: list[Trade]) -> Iterable[Fill]:
    """The same for all that came in one read."""
    return [Fill(trade.seq, trade.symbol, trade.price * trade.size) for trade in trades]


async def enrich(trade: Trade) -> Fill:
    """The same, one turn of the event loop later, as with an answer that is nearly there."""
    await asyncio.sleep(0)
    return Fill(trade.seq, trade.symbol, trade.price * trade.size)
