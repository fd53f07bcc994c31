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

import msgspec

from scaleout.simulator.dialects.base import FIRST_ID, FIRST_TIME_US, Dialect, Request
from scaleout.simulator.dialects.binance import BINANCE, BINANCE_DEPTH
from scaleout.simulator.dialects.coinbase import COINBASE, numbered
from scaleout.simulator.dialects.jetstream import JETSTREAM, cursor_sequence
from scaleout.simulator.dialects.kraken import KRAKEN
from scaleout.simulator.dialects.nostr import NOSTR
from scaleout.simulator.dialects.okx import OKX
from scaleout.simulator.dialects.trade import (
    SMALLEST_TRADE_BYTES,
    TRADE,
    TRADE_BYTES,
    TRADE_CYCLE,
    trade_message,
    trade_parts,
)

__all__ = [
    "FIRST_ID",
    "FIRST_TIME_US",
    "SMALLEST_TRADE_BYTES",
    "TRADE_BYTES",
    "TRADE_CYCLE",
    "Dialect",
    "Request",
    "cursor_sequence",
    "dialect",
    "dialect_names",
    "numbered",
    "trade_message",
    "trade_parts",
]

_DIALECTS = {
    spoken.name: spoken for spoken in (TRADE, BINANCE, BINANCE_DEPTH, COINBASE, KRAKEN, OKX, JETSTREAM, NOSTR)
}


def dialect(name: str, message_bytes: int = TRADE_BYTES) -> Dialect:
    """The dialect of that name; `message_bytes` is the exact size of the messages of `trade`."""
    if name == TRADE.name and message_bytes != TRADE_BYTES:
        return msgspec.structs.replace(
            TRADE, message=lambda stream, sequence: trade_message(stream, sequence, message_bytes)
        )
    return _DIALECTS[name]


def dialect_names() -> tuple[str, ...]:
    """The names that `dialect` takes."""
    return tuple(_DIALECTS)
