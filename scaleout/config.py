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
    """Sent after every connect: strings as they are, tables and arrays as JSON."""
    processor: str | None = None
    """MODULE:FUNCTION."""
    format: Literal["json", "text", "binary"] = "json"
    """What the messages are where there is no processor."""
    reconnect: Literal["always", "on_error", "never"] = "always"
    """`on_error`: ends when the server closes normally (1000); `never`: ends with its first connection."""
    backoff: Backoff = Backoff()
    compression: Literal["off", "deflate"] = "off"
    max_message_size: int = 4 * 2**20
    open_timeout: float = 10.0
    ping_interval: float = 20.0
    """0 sends no pings."""
    ping_timeout: float = 20.0
    """0 waits for a pong forever."""
    weight: float = 1.0
    """Declared load relative to the other endpoints, for the placement over workers."""
    linger: float = 0.005
    """How long results may wait for a larger batch; 0 sends after every read."""

    def __repr__(self) -> str:
        return f"<Endpoint {self.name or 'without a name'}>"  # URI, headers and messages may hold secrets


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run.

    Times are in seconds. Made in Python (`Config(endpoints=[Endpoint(uri=...)])`) or by `load`.
    """

    endpoints: tuple[Endpoint, ...] = ()
    workers: int = 0
    """Worker processes; 0: as many as cores that this process may use, or as endpoints if they are fewer."""
    sink: tuple[str, ...] = ("-",)
    """Where results go: paths, `-` for standard output, or URIs."""
    envelope: bool = True
    """False writes results alone, without endpoint and receive time."""
    duration: float | None = None
    """Stop after that time."""
    limit: int | None = None
    """Stop reading after that many messages over all endpoints."""
    summary: str | None = None
    """File for the summary, JSON."""
    dead_letters: str | None = None
    """File for the dead letters, JSON lines."""
    view: Literal["auto", "plain", "none"] = "auto"
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
