"""What a simulator serves: its configuration, and the endpoints that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from scaleout.errors import ConfigError, Fault
from scaleout.simulator import dialects
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.faults import Faults
from scaleout.simulator.rates import RateChange, zipf_rates
from scaleout.simulator.recording import recording_name

MIXED = "mixed"
"""In place of a dialect: the endpoints take all dialects in turn."""


class SimulatorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole simulator. Times are in seconds, sizes in bytes, rates in messages a second."""

    endpoints: int = 24
    """How many; with `replay`, each recording is one endpoint and this is ignored."""
    dialect: str = "trade"
    """Of the messages: one of `dialects.dialect_names()`, or `mixed`."""
    message_size: int = dialects.TRADE_BYTES
    """Exact size of the messages of the `trade` dialect, from 60 bytes."""
    rate: float = 5000.0
    """Of all endpoints together."""
    zipf: float = 1.2
    """Exponent of the distribution of rates over endpoints; 0 makes them equal."""
    changes: tuple[RateChange, ...] = ()
    """Rate changes at times since the first connection to the simulator (or its start, see `start`)."""
    shuffle_every: float = 0.0
    """Deal the rates to the endpoints anew so often; 0: never."""
    firehose: bool = False
    """Ignore rates: each connection gets trades from number 0 on as fast as it reads them."""
    replay: tuple[str, ...] = ()
    """Files of recordings, `.jsonl.gz` or `.b64.gz`, to send instead of made-up messages."""
    speed: float = 1.0
    """Of a replay: 1 keeps the recorded times, 10 is ten times as fast, 0 is as fast as each client reads."""
    resume: bool = False
    """Where each connection has its own position (`firehose`, `speed=0`): the next one goes on after what
    was written to the one before, instead of from the first message."""
    count: int = 0
    """End each endpoint (or each connection, where it has its own position) after so many messages."""
    at_end: Literal["close", "hold"] = "close"
    """After the last message: close with code 1000, or stay open and silent."""
    start: Literal["connection", "server"] = "connection"
    """When a paced endpoint begins with message 0: with its first connection, or with the server."""
    await_subscribe: bool = False
    """Send data only after the client's first message."""
    shift: float = 0.0
    """Each connection of a broadcast sees it up to so much late, drawn for each."""
    shifts: tuple[float, ...] = ()
    """How late each of an endpoint's connections sees it, in turn; these take the place of `shift`."""
    differs: bool = False
    """Messages hold `conn`, their connection's number: no two connections see the same."""
    lossless: bool = False
    """A client that reads too slowly gets the broadcast later, instead of being cut with code 1008."""
    max_lag: int = 16 * 2**20
    """How many bytes a connection's buffer may hold before it is cut or, where lossless, falls behind."""
    tick: float = 0.005
    """How often what is due is written."""
    faults: Faults = Faults()
    dialogue: Dialogue = Dialogue()
    seed: int = 1
    """Of everything random."""
    tls: bool = False
    """Serve wss:// with a certificate made at start."""
    processes: int = 1
    """How many processes share the endpoints, each with its own port (`SimulatorProcess` alone)."""
    host: str = "127.0.0.1"
    port: int = 0
    """The first process's; the others take the ones after it. 0: free ones."""
    compression: bool = False
    """Compress messages for clients that offer it, each connection for itself."""
    subprotocols: tuple[str, ...] = ()
    """Known to the server."""
    ping_interval: float = 0.0
    """The server pings so often and closes with 1011 where no answer comes in as long. 0 sends none."""
    close_timeout: float = 30.0
    """How long a closing client may take to read what was sent and to answer."""

    def __post_init__(self) -> None:
        faults = [Fault("simulator", key, problem) for key, problem in self._problems()]
        if faults:
            raise ConfigError(faults)

    def _problems(self) -> list[tuple[str, str]]:
        names = (*dialects.dialect_names(), MIXED)
        checks = [
            (self.endpoints < 1, "endpoints", f"expected at least 1, found {self.endpoints}"),
            (
                self.dialect not in names,
                "dialect",
                f"expected one of {', '.join(names)}, found {self.dialect!r}",
            ),
            (
                self.message_size < dialects.SMALLEST_TRADE_BYTES,
                "message_size",
                f"expected at least {dialects.SMALLEST_TRADE_BYTES} bytes, found {self.message_size}",
            ),
            (self.rate < 0, "rate", f"expected a number from 0, found {self.rate}"),
            (self.speed < 0, "speed", f"expected a number from 0, found {self.speed}"),
            (self.shift < 0, "shift", f"expected a number from 0, found {self.shift}"),
            (min(self.shifts, default=0) < 0, "shifts", f"expected numbers from 0, found {self.shifts}"),
            (self.differs and self.firehose, "differs", "can't be with a firehose: leave one of them out"),
            (self.tick <= 0, "tick", f"expected a number above 0, found {self.tick}"),
            (self.count < 0, "count", f"expected a number from 0, found {self.count}"),
            (
                not 0 <= self.port < 2**16,
                "port",
                f"expected a port, or 0 for free ones, found {self.port}",
            ),
            (self.processes < 1, "processes", f"expected at least 1, found {self.processes}"),
            (
                self.firehose and self.dialect != "trade",
                "firehose",
                f"sends trades alone: expected the dialect trade, found {self.dialect!r}",
            ),
            (self.firehose and bool(self.replay), "firehose", "can't be a replay too: leave one of them out"),
            (
                self.resume and self.is_paced,
                "resume",
                "needs connections with a position of their own: a firehose, or a replay with speed 0",
            ),
        ]
        return [
            *((key, problem) for is_wrong, key, problem in checks if is_wrong),
            *((f"faults.{key}", problem) for key, problem in self.faults.problems()),
            *((f"dialogue.{key}", problem) for key, problem in self.dialogue.problems()),
        ]

    @property
    def is_paced(self) -> bool:
        """Whether endpoints broadcast in their own time, instead of as fast as each connection reads."""
        return not self.firehose and not (self.replay and self.speed == 0)


class EndpointPlan(Struct, frozen=True, kw_only=True):
    """One endpoint to serve."""

    index: int
    name: str
    path: str
    """Of its URI."""
    dialect: str
    rate: float
    recording: str | None = None
    stream: str = ""
    """What a client calls it, where one connection may subscribe to many."""


def plan_endpoints(config: SimulatorConfig) -> list[EndpointPlan]:
    """The endpoints of a configuration, in order.

    Raises:
        ConfigError: a recording has a name of no known kind.
    """
    if config.replay:
        names = [recording_name(Path(file)) for file in config.replay]
        return [
            EndpointPlan(
                index=index,
                name=name if names.count(name) == 1 else f"{name}-{index}",
                path=f"/feed/{index}",
                dialect="trade",
                rate=0.0,
                recording=file,
            )
            for index, (name, file) in enumerate(zip(names, config.replay, strict=True))
        ]
    rates = zipf_rates(config.rate, config.endpoints, config.zipf)
    spoken = dialects.dialect_names() if config.dialect == MIXED else (config.dialect,)
    return [
        EndpointPlan(
            index=index,
            name=f"{spoken[index % len(spoken)]}-{index:03}",
            path=f"/feed/{index}",
            dialect=spoken[index % len(spoken)],
            rate=rate,
            stream=_stream_name(spoken[index % len(spoken)], index),
        )
        for index, rate in enumerate(rates)
    ]


def _stream_name(name: str, stream: int) -> str:
    name_of = dialects.dialect(name).stream_name
    return name_of(stream) if name_of is not None else ""
