"""Trades that say when they were due: what an open loop sends, and what comes out of it."""

from __future__ import annotations

import msgspec

from bench.workload import Fill, Trade


class TimedTrade(Trade, kw_only=True):
    """A trade, and when it was to be sent."""

    at: int
    """Unix time, ns."""


class TimedFill(Fill):
    """What becomes of it."""

    at: int


def on_timed_trade(trade: TimedTrade) -> TimedFill:
    """The processor: that of all sides, and the time passed on."""
    return TimedFill(trade.seq, trade.symbol, trade.price * trade.size, trade.at)


class Due(msgspec.Struct):
    """When a message was to be sent."""

    at: int
    """Unix time, ns."""


class TimedLine(msgspec.Struct):
    """A line of output, as far as its times go."""

    received_at: int
    """Unix time, ns."""
    data: Due
