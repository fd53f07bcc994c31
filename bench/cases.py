"""The cases: what is sent, and which sides are measured on it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from scaleout.simulator import SimulatorConfig

SideName = Literal["scaleout_ndjson", "picows_msgspec", "websockets_msgspec"]

OURS: SideName = "scaleout_ndjson"
SIDES: dict[SideName, str] = {
    "scaleout_ndjson": "scaleout, worker + aggregator, NDJSON to disk",
    "picows_msgspec": "picows + msgspec, one process, output counted",
    "websockets_msgspec": "websockets + msgspec, one process, output counted",
}
"""What each is in a table; the keys are modules of `bench.sides`."""

MANY_CONNECTIONS = 200
MANY_PER_S = 50_000.0


class Case(Struct, frozen=True):
    """One comparison."""

    name: str
    title: str
    simulator: SimulatorConfig
    """With twice the endpoints: a side may need two runs, and each has to be the first to connect."""
    connections: int


def bulk(connections: int = 1) -> Case:
    """Saturated connections: as many messages in a read as fit."""
    what = "one saturated connection" if connections == 1 else f"{connections} saturated connections"
    return Case("bulk", what, SimulatorConfig(endpoints=2 * connections, firehose=True), connections)


def many(connections: int = MANY_CONNECTIONS) -> Case:
    """Many slow connections: one message in a read, so that the cost is by the read."""
    config = SimulatorConfig(
        endpoints=2 * connections, rate=2 * MANY_PER_S, zipf=0.0, tick=connections / MANY_PER_S, lossless=True
    )
    title = f"{connections} connections, {MANY_PER_S:,.0f} messages a second in total, one in a read"
    return Case("many", title, config, connections)


CASES = {"bulk": bulk, "many": many}
