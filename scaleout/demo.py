"""The demo: two dozen uneven simulated feeds, a sample processor, nothing to set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from scaleout import loading, streams
from scaleout.config import Config
from scaleout.simulator import SimulatorConfig, SimulatorProcess

FEEDS = 24
RATE_PER_S = 20_000.0
UNEVENNESS = 1.2
"""Exponent of the Zipf distribution of rates over the feeds."""
LARGE = 250_000.0
"""What a trade must be worth for the sample processor to pass it on."""


class Trade(msgspec.Struct):
    """A trade as the simulated feeds send it; other fields are skipped."""

    seq: int
    symbol: str
    price: float
    size: float


class LargeTrade(msgspec.Struct):
    """What the sample processor makes of a large trade."""

    seq: int
    symbol: str
    worth: float


def large_trades(trade: Trade) -> LargeTrade | None:
    """The sample processor: passes on what is worth a look, and filters the rest out."""
    worth = trade.price * trade.size
    return LargeTrade(trade.seq, trade.symbol, round(worth, 2)) if worth >= LARGE else None


def run(
    overrides: Mapping[str, object],
    endpoint_overrides: Mapping[str, object],
    run_config: Callable[[Config], int],
) -> int:
    """Start the simulator, run the workers on it, and say what happens.

    Args:
        overrides: keys of the run from the command line.
        endpoint_overrides: keys of all endpoints from the command line.
        run_config: runs a checked configuration, and returns the exit code.
    """
    with SimulatorProcess(SimulatorConfig(endpoints=FEEDS, rate=RATE_PER_S, zipf=UNEVENNESS)) as simulator:
        config = loading.from_mapping(
            {
                "sink": "null:",
                "view": "plain",
                "log_level": "warning",
                "defaults": {"processor": "scaleout.demo:large_trades"},
                "endpoints": [{"name": name, "uri": uri} for name, uri in simulator.endpoints],
            },
            "demo",
            overrides=overrides,
            endpoint_overrides=endpoint_overrides,
            import_processors=True,
        )
        streams.tell(introduction(config))
        return run_config(config)


def introduction(config: Config) -> str:
    """What is about to happen, for a newcomer."""
    keeps = config.sink != ("null:",)
    ends = f"It ends after {config.duration:g} s." if config.duration else "Ctrl-C ends it."
    return "\n".join(
        [
            f"Demo: {FEEDS} simulated feeds send {RATE_PER_S:,.0f} trades a second, very unevenly.",
            f"A processor passes on trades worth {LARGE:,.0f} or more and filters the others out.",
            *([] if keeps else ["Results are thrown away; add --sink large.jsonl to keep them."]),
            ends,
            "",
        ]
    )
