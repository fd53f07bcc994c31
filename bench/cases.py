"""The cases that compare sides: what is sent, and who receives it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from bench.feed import Feed
from bench.sides.result import Kind

OURS = "scaleout"
"""The side that the others are compared to; every case has it."""


class Side(Struct, frozen=True):
    """One of those who receive."""

    name: str
    label: str
    """What it is in a table."""
    program: str
    """A module of `bench.sides`."""
    environment: dict[str, str] = {}
    feed: Feed | None = None
    """Where it is not the case's."""
    processor: str | None = None
    """MODULE:FUNCTION, where it is not the case's."""
    processes: int = 1
    """They share the connections: its own workers, or as many runs of it, which know nothing of each other."""
    has_workers: bool = False
    """Whether one run starts as many as there are to be."""
    is_quick: bool = True
    """Whether a quick run has it in every case; the first case has all sides all the same."""


class Case(Struct, frozen=True):
    """One comparison."""

    name: str
    title: str
    feed: Feed
    sides: tuple[Side, ...]
    kind: Kind = "each"
    processor: str | None = "bench.workload:on_trade"
    """MODULE:FUNCTION of all sides; None: messages pass."""
    reference: str | None = "bench.workload:on_trade"
    """One that takes a message and gives the same result."""
    is_headline: bool = False
    """Whether a quick run has it."""


SCALEOUT = Side(OURS, "scaleout, worker + aggregator, NDJSON to disk", "scaleout_ndjson", has_workers=True)
UNCOMPILED = replace(
    SCALEOUT,
    name="scaleout_pure",
    label="scaleout, nothing compiled (SCALEOUT_PURE=1)",
    environment={"SCALEOUT_PURE": "1"},
)
PICOWS = Side("picows", "picows + msgspec", "picows_msgspec")
WEBSOCKETS = Side("websockets", "websockets + msgspec", "websockets_msgspec")
AIOHTTP = Side("aiohttp", "aiohttp + msgspec", "aiohttp_msgspec", is_quick=False)
WEBSOCKET_CLIENT = Side(
    "websocket_client",
    "websocket-client + orjson, a thread a connection",
    "websocket_client_orjson",
    is_quick=False,
)
NODE = Side("node_ws", "Node, ws", "node_ws", is_quick=False)
LIMIT = Side("limit", "the limit in Python: a bare socket and msgspec", "bare_loop", is_quick=False)


def _over(side: Side, processes: int) -> Side:
    """The same over several processes; a peer's have no aggregator, and no order among them."""
    how = f"{processes} workers" if side.has_workers else f"{processes} processes, each with its own output"
    return replace(
        side,
        name=f"{side.name}_{processes}",
        label=f"{side.label}; {how}",
        processes=processes,
        is_quick=False,
    )


FEW = (SCALEOUT, PICOWS, WEBSOCKETS)
PYTHON = (SCALEOUT, PICOWS, AIOHTTP, WEBSOCKETS)
ALL = (SCALEOUT, UNCOMPILED, LIMIT, PICOWS, AIOHTTP, NODE, WEBSOCKETS, WEBSOCKET_CLIENT)

MANY_PER_S = 50_000.0
SIZES = {"60b": ("60 bytes", 60), "1k": ("1 KiB", 1024), "16k": ("16 KiB", 16 * 1024)}
RECORDINGS = {
    "binance-futures": ("binance_usdm_btcusdt", "bench.recorded:on_binance"),
    "binance-spot": ("binance_spot_btcusdt", "bench.recorded:on_binance"),
    "bitmex": ("bitmex", "bench.recorded:on_bitmex"),
    "coinbase": ("coinbase_pro", "bench.recorded:on_coinbase"),
    "kraken": ("kraken_futures", "bench.recorded:on_kraken"),
    "kucoin": ("kucoin", "bench.recorded:on_kucoin"),
    "nostr": ("nostr_events", "bench.recorded:on_nostr"),
}
"""By the end of the case's name: the file, and what is made of its messages."""


def _bulk() -> Iterator[Case]:
    """Saturated connections: as many messages in a read as fit."""
    yield Case("bulk", "one saturated connection, trades of 131 bytes", Feed(), ALL, is_headline=True)
    for count in (8, 64):
        over_two = tuple(_over(side, 2) for side in FEW)
        yield Case(
            f"bulk-{count}", f"{count} saturated connections", Feed(connections=count), (*FEW, *over_two)
        )
    for name, (size, size_bytes) in SIZES.items():
        yield Case(
            f"bulk-{name}", f"one saturated connection, trades of {size}", Feed(message_bytes=size_bytes), FEW
        )
    for name, (recording, processor) in RECORDINGS.items():
        yield Case(
            f"feed-{name}",
            f"one saturated connection, the recorded feed {recording}",
            Feed(recording=recording),
            FEW,
            processor=processor,
            reference=processor,
        )


def _many() -> Iterator[Case]:
    """Many slow connections: one message in a read, so that the cost is by the read."""
    for connections in (200, 2_000, 10_000):
        is_headline = connections == 200
        yield Case(
            "many" if is_headline else f"many-{connections}",
            f"{connections:,} connections, {MANY_PER_S:,.0f} messages a second in total, one in a read",
            Feed(connections=connections, rate=MANY_PER_S),
            (*PYTHON, NODE, WEBSOCKET_CLIENT) if is_headline else FEW,
            is_headline=is_headline,
        )


def _encrypted() -> Iterator[Case]:
    plain = replace(SCALEOUT, name="scaleout_plain", label="scaleout, the same without TLS", feed=Feed())
    yield Case(
        "tls",
        "one saturated connection over TLS 1.3",
        Feed(tls=True),
        (SCALEOUT, plain, PICOWS, replace(WEBSOCKETS, is_quick=False)),
        is_headline=True,
    )


def _compressed() -> Iterator[Case]:
    sides = (SCALEOUT, AIOHTTP, WEBSOCKETS)
    yield Case(
        "deflate",
        "one saturated connection, permessage-deflate with context takeover",
        Feed(deflate="takeover"),
        sides,
        is_headline=True,
    )
    yield Case(
        "deflate-fresh",
        "one saturated connection, permessage-deflate, each message for itself",
        Feed(deflate="fresh"),
        sides,
    )


def _passed() -> Iterator[Case]:
    yield Case(
        "pass",
        "one saturated connection, no processor: checked to be JSON, NDJSON with envelopes to disk on all sides",
        Feed(),
        PYTHON,
        kind="pass",
        processor=None,
        reference=None,
        is_headline=True,
    )


def _other_processors() -> Iterator[Case]:
    batch = replace(
        SCALEOUT, label=f"{SCALEOUT.label}; a batch processor", processor="bench.workload:on_trades"
    )
    each = replace(SCALEOUT, name="scaleout_each", label="scaleout, message by message")
    yield Case(
        "batch",
        "one saturated connection, a processor that takes all that came in one read, where there is such a thing",
        Feed(),
        (batch, each, PICOWS, replace(WEBSOCKETS, is_quick=False)),
        is_headline=True,
    )
    yield Case(
        "async",
        "one saturated connection, a processor that is awaited, many at once, results in order",
        Feed(),
        PYTHON,
        kind="async",
        processor="bench.workload:enrich",
        is_headline=True,
    )


CASES: dict[str, Case] = {
    case.name: case
    for group in (_bulk, _many, _encrypted, _compressed, _passed, _other_processors)
    for case in group()
}
"""By name, in the order in which they run."""


def quick(case: Case) -> Case:
    """A case with the sides that a quick run has."""
    if case.name == next(iter(CASES)):
        return case
    return replace(case, sides=tuple(side for side in case.sides if side.is_quick))
