"""What a generator sends: a cycle of messages, over and over, on each connection from its first message on.

A cycle is encoded once, so that sending costs no more than copying; and what a side should have made of the k-th
message of a connection can be told without asking the generator.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Literal

from msgspec import Struct

from scaleout.simulator.dialects import TRADE_BYTES, TRADE_CYCLE, trade_parts
from scaleout.simulator.recording import load_recording

FEEDS_VARIABLE = "SCALEOUT_FEEDS"
"""Names the folder of recorded feeds."""
CYCLE_BYTES = 8 * 2**20
LONGEST_CYCLE = 50_000
"""Messages; numbers of so many digits keep a message of 60 bytes valid."""

Deflate = Literal["off", "takeover", "fresh"]
"""permessage-deflate: off, with context takeover, or each message compressed for itself."""


class Feed(Struct, frozen=True):
    """All that a generator has to know."""

    connections: int = 1
    message_bytes: int = TRADE_BYTES
    """Of a made-up trade."""
    recording: str | None = None
    """Name of a recorded feed to send instead of trades."""
    rate: float = 0.0
    """Messages a second of all connections together, one at a time on each; 0: as fast as each is read."""
    tls: bool = False
    deflate: Deflate = "off"

    @property
    def cycle_messages(self) -> int:
        """After so many messages a connection gets the first again; unknown for a recording until it is read."""
        return max(1_000, min(LONGEST_CYCLE, CYCLE_BYTES // self.message_bytes))


def messages(feed: Feed) -> list[bytes]:
    """A cycle of a feed.

    Raises:
        ConfigError: a recording can't be read.
        LookupError: the folder of recordings isn't known.
    """
    if feed.recording is not None:
        return list(load_recording(_recordings() / f"{feed.recording}.jsonl.gz").messages)
    parts = functools.cache(trade_parts)
    return [
        b"%d".join(parts(0, number % TRADE_CYCLE, len(str(number)), feed.message_bytes)) % number
        for number in range(feed.cycle_messages)
    ]


def missing_recording(feed: Feed) -> str | None:
    """Why a feed's recording can't be sent; None where it can, or where there is none to send."""
    if feed.recording is None:
        return None
    if FEEDS_VARIABLE not in os.environ:
        return f"{FEEDS_VARIABLE} names no folder of recorded feeds"
    path = _recordings() / f"{feed.recording}.jsonl.gz"
    return None if path.is_file() else f"there is no file {path}"


def _recordings() -> Path:
    return Path(os.environ[FEEDS_VARIABLE])
