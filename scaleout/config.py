"""What a run is made of, as frozen Structs. `loading` makes them from files and checks them."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

JSONValue = str | dict[str, Any] | list[Any]


class TLS(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server of an endpoint is verified, and how this client shows who it is."""

    ca: str | None = None
    """File of the certificate authorities to trust, PEM; by default the system's."""
    cert: str | None = None
    """File of the client certificate, PEM."""
    key: str | None = None
    """File of the client certificate's key, PEM; by default it is in `cert`."""
    verify: bool = True
    """False trusts any server: for tests alone."""


class Backoff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The delay before a reconnect: full jitter between 0 and a bound that grows."""

    initial: float = 0.5
    """First bound, in seconds."""
    maximum: float = 60.0
    """Largest bound, in seconds."""
    factor: float = 2.0
    """What the bound is multiplied by after each attempt."""


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """So many in any period: "300/5m" in a file."""

    count: int
    period: float
    """In seconds."""


class Quarantine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an endpoint that is refused again and again is left alone, and how often it is probed then."""

    after: int = 3
    """Refusals in a row."""
    probe: float = 300.0
    """Seconds between two probes."""


class Heartbeat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Heartbeats in messages: what this side sends, and what of the server's messages is life, but no data."""

    send: JSONValue | None = None
    every: float = 15.0
    """Seconds between two of those that are sent."""
    expect: JSONValue | None = None
    """The answer; without one within `every`, and without any other sign of life, the server is dead."""
    match: JSONValue | None = None
    """Heartbeats that the server sends by itself."""


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to a message that asks for one."""

    match: JSONValue
    send: JSONValue
    """A text "{field}" in it stands for that field of the message that is answered."""


class Ready(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What acknowledges a subscription."""

    match: JSONValue
    within: float = 10.0
    """Seconds after the subscription."""
    refused: JSONValue | None = None
    """What refuses it; the usual ways to say so are known without it."""


class Cursor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a feed is resumed where it was left."""

    field: str
    """Path of the value in the messages."""
    parameter: str | None = None
    """Of the URI's query; without it, "{cursor}" in `subscribe` stands for the value."""


class Rebalance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How endpoints are moved between workers while the run goes on."""

    enabled: bool = True
    """False: endpoints only move when a person, or the number of workers, asks for it."""
    by: Literal["messages", "bytes", "cpu"] = "messages"
    """What is balanced: the rate of messages, of bytes, or of CPU time for their processing."""
    half_life: float = 10.0
    """Seconds after which a measurement counts half."""
    tolerance: float = 0.02
    """How far above its share a worker may stay for good, in shares."""
    at_once: int = 8
    """Moves that may go on at the same time."""
    per_minute: int = 60
    """Moves."""
    cooldown: float = 60.0
    """Seconds for which an endpoint that was moved stays where it is."""


class Scaling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many workers there are where their number is `auto`."""

    min: int = 1
    max: int | None = None
    """None: as many as cores that this process may use."""
    up_at: float = 0.75
    """A worker is added when, for a while, the workers use more than that share of a core each, on average."""
    down_at: float = 0.35
    """Some are retired when, for a longer while, they use less than that."""
    up_after: float = 5.0
    """How long that while is, and the pause after every change, in seconds."""
    down_after: float = 30.0
    """How long the longer one is."""


class InvalidShare(Struct, frozen=True, forbid_unknown_fields=True):
    """A share of invalid messages within a time: "5%/30s" in a file."""

    share: float
    """From 0 to 1."""
    window: float
    """In seconds."""


class Host(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all workers together may ask of one host."""

    connects: Rate | None = None
    concurrent: int | None = None
    """Connections open, or being opened, at the same time."""


class Endpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One feed: where it is, how to talk to it, and what to do with its messages.

    Times are in seconds, sizes in bytes. In a file both may be strings with a unit ("5ms", "4MiB").
    """

    uri: str
    name: str = ""
    """Unique in the run; derived from the URI where it isn't given."""
    headers: dict[str, str] = {}
    subprotocols: tuple[str, ...] = ()
    """In order of preference."""
    tls: TLS = TLS()
    proxy: str | bool = True
    """An http://, https://, socks4:// or socks5:// URI; true: what the environment says; false: none."""
    subscribe: tuple[JSONValue, ...] = ()
    """Sent after every connect: strings as they are, tables and arrays as JSON.

    With `streams`, a text "{stream}" stands for one stream, so that there is a message for each, and "{streams}"
    for all those of the connection.
    """
    unsubscribe: tuple[JSONValue, ...] = ()
    """Sent for streams that are taken away, with the same stand-ins."""
    streams: tuple[str, ...] = ()
    """Spread over as few connections as the feed allows; with "{stream}" in the URI each has one of its own."""
    streams_per_connection: int | None = None
    """None: all on one connection."""
    send_rate: Rate | None = None
    """Of messages sent on a connection, pings and pongs counted; None: unlimited."""
    producer: str | None = None
    """MODULE:FUNCTION, an async generator of messages to send; started anew with each connection."""
    processor: str | None = None
    """MODULE:FUNCTION."""
    processors: int | Literal["auto"] = 0
    """Helper processes over which the messages are spread for processing; the results come in order all the same.

    0: they are processed by the worker that has the connection. `auto`: as many as the message rate asks for.
    """
    format: Literal["json", "text", "binary"] = "json"
    """What the messages are where there is no processor."""
    reconnect: Literal["always", "on_error", "never"] = "always"
    """`on_error`: ends when the server closes normally (1000); `never`: ends with its first connection."""
    backoff: Backoff = Backoff()
    quarantine: Quarantine = Quarantine()
    standby: bool = False
    """Keep a second connection open and subscribed, which takes over at once."""
    rotate_after: float | None = None
    """Move to a fresh connection when one is so old, or up to a tenth earlier; None: never."""
    handover: Literal["splice", "overlap", "break"] = "splice"
    """How the endpoint moves to another worker.

    `splice`: both workers are connected until their messages are aligned; none is lost, and none comes twice.
    `overlap`: both are connected for a moment, and what both bring comes twice: for what can't be aligned,
    but must not be lost. `break`: the old connection closes before the new one opens.
    """
    identity: str | None = None
    """Path of what tells messages apart, where the rest of them differs from connection to connection."""
    goodbye: JSONValue | None = None
    """A message by which the server says that it will close: time to move to a fresh connection."""
    stale_after: float | None = None
    """Without data for so long, the connection is given up, and heartbeats are no data; None: never."""
    heartbeat: Heartbeat | None = None
    reply: tuple[Reply, ...] = ()
    ready: Ready | None = None
    cursor: Cursor | None = None
    max_invalid: InvalidShare | None = None
    """More than that, and the connection is negotiated anew; if that doesn't help, quarantine."""
    sequence: str | None = None
    """Path of a number that counts the messages."""
    sequence_key: str | None = None
    """Path of what has numbers of its own."""
    sequence_first: str | None = None
    """Path of the first number of a message that covers several."""
    sequence_previous: str | None = None
    """Path of the number of the message before."""
    sequence_scope: Literal["endpoint", "connection"] = "endpoint"
    """`connection`: each connection is numbered for itself."""
    gap_records: bool = True
    """Write a record into the output where a gap is."""
    on_gap: str | None = None
    """`resubscribe`, `reconnect`, or MODULE:FUNCTION, which is called with the gap."""
    backpressure: Literal["block", "drop_oldest", "drop_newest", "latest"] = "block"
    """What happens while messages come faster than they are taken.

    `block`: the connections are held back, and nothing is dropped. With the other policies the connections are
    read all the time, and messages that can't be taken are kept, up to the marks below; the rest is dropped, and
    counted. `drop_oldest` keeps the newest messages. `drop_newest` keeps those that were there first. `latest`
    keeps the newest message of each key. What was kept comes in the order of arrival.
    """
    latest_key: str | None = None
    """Path of what `latest` keeps the newest message of; None: of the endpoint."""
    high_water: int = 1000
    """Messages waiting for an async processor above which the endpoint is held back, and messages (so with
    `latest` keys) that a policy keeps at the most."""
    low_water: int | None = None
    """Messages waiting for an async processor below which the endpoint goes on; `drop_newest`, once full, goes on
    keeping below it. The other policies drop no more than they must, and don't look at it. By default a quarter of
    `high_water`."""
    high_water_bytes: int = 4 * 2**20
    """As `high_water`, in bytes of payload, but a policy keeps one message however large it is; a quarter of it
    is the mark below which it goes on."""
    ordered: bool = True
    """False: results of an async processor come as they are ready."""
    max_concurrency: int = 100
    """Calls of an async processor at the same time, at the most."""
    timeout: float | None = None
    """How long an async processor may take for a message; None: for ever."""
    compression: Literal["off", "deflate"] = "off"
    max_message_size: int = 4 * 2**20
    """A larger message closes the connection with 1009."""
    open_timeout: float = 10.0
    """For TCP, TLS and handshake together."""
    ping_interval: float = 20.0
    """0 sends no pings."""
    ping_timeout: float = 20.0
    """0 waits for a pong forever."""
    weight: float = 1.0
    """Declared load relative to the other endpoints, for their placement until it has been measured."""
    worker: int | None = None
    """Id of the worker that is to have it, from 0; None: any."""
    apart: str | None = None
    """Endpoints with the same text here are kept in different workers, as far as there are enough."""
    linger: float = 0.005
    """How long results may wait for a larger batch; 0 sends after every read."""

    @property
    def goes_on_below(self) -> int:
        """The low-water mark: in messages, a quarter of the high one unless it is set."""
        return max(1, self.high_water // 4 if self.low_water is None else self.low_water)

    def __repr__(self) -> str:
        return f"<Endpoint {self.name or 'without a name'}>"  # URI, headers and messages may hold secrets


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run.

    Times are in seconds, sizes in bytes. Made in Python (`Config(endpoints=[Endpoint(uri=...)])`) or by `load`.
    """

    endpoints: tuple[Endpoint, ...] = ()
    workers: int | Literal["auto"] = 0
    """Worker processes; 0: as many as cores that this process may use, or as endpoints if they are fewer; `auto`:
    as many as the load asks for, see `scaling`."""
    pin: bool = False
    """Keep each worker to a core of its own, round robin over those that this process may use, and this process
    off them where there are more; on Linux."""
    scaling: Scaling = Scaling()
    rebalance: Rebalance = Rebalance()
    sink: tuple[str, ...] = ("-",)
    """Where results go: paths, `-` for standard output, or URIs."""
    sink_backlog: int = 4 * 2**20
    """Bytes waiting for the slowest sink above which no results are taken from the workers; it goes on at a quarter
    of that."""
    envelope: bool = True
    """False writes results alone, without endpoint and receive time."""
    duration: float | None = None
    """Stop reading after that time; None: never."""
    limit: int | None = None
    """Stop reading after that many messages over all endpoints; None: never."""
    summary: str | None = None
    """File for the summary, JSON; None: none is written."""
    dead_letters: str | None = None
    """File of the dead letters, an SQLite database; None: they are counted, not kept."""
    max_dead_letters: int = 100_000
    """Above it, the oldest leave."""
    max_dead_letter_bytes: int = 2**30
    """The same in bytes of their payloads and texts."""
    control: str | None = None
    """Path of a Unix socket for commands to the live run."""
    state: str | None = None
    """File for what outlives the run: cursors, and measured rates. By default beside the configuration file,
    where one is needed."""
    hosts: dict[str, Host] = {}
    """Budgets by host, or host:port."""
    view: Literal["auto", "plain", "none"] = "auto"
    """A line a second and a table at the end; `auto` shows the line on a terminal alone."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    heartbeat_timeout: float = 10.0
    """A worker whose event loop is silent for so long is stuck: it is killed and restarted."""
    drain_timeout: float = 10.0
    """How long a stopping run waits for workers and sinks to take what is in flight."""
    secrets: tuple[str, ...] = ()
    """Values that came from the environment; they are blotted out of every text for people."""

    def __repr__(self) -> str:
        workers = f"{self.workers} workers" if self.workers else "as many workers as cores"
        return f"<Config: {len(self.endpoints)} endpoints, {workers}>"
