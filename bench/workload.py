"""What every side does with a message: the same types, the same function."""

from __future__ import annotations

import msgspec


class Trade(msgspec.Struct):
    """A trade as the simulated feeds send it; other fields are skipped."""

    seq: int
    symbol: str
    price: float
    size: float
    side: str


class Fill(msgspec.Struct):
    """What becomes of a trade."""

    seq: int
    symbol: str
    worth: float


def on_trade(trade: Trade) -> Fill:
    """The processor of all sides."""
    return Fill(trade.seq, trade.symbol, trade.price * trade.size)
