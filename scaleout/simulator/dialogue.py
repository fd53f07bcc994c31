"""What a server says besides its data, and what it wants of its clients: the knobs alone."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Dialogue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs; by default a server answers as its dialect does and wants nothing. 0 means never."""

    heartbeat_every_s: float = 0.0
    """The dialect's heartbeat, a message without data, comes so often, in seconds, from the opening on."""
    test_request_every_s: float = 0.0
    """The server asks so often, in seconds, whether the client is there."""
    test_request: Literal["deribit", "huobi"] = "deribit"
    """How: with a `test_request`, to which the method `public/test` is the answer, or with `{"ping":n}`, to
    which `{"pong":n}` is."""
    test_request_within_s: float = 1.0
    """A client that hasn't answered by then is closed with code 1000."""
    idle_cut_s: float = 0.0
    """A client that has sent no message for so long, in seconds, is closed with code 4004."""
    subscribe_within_s: float = 0.0
    """A client that hasn't asked for anything so long after the opening is closed with code 1008."""
    max_inbound_per_s: int = 0
    """A client that sends more frames within a second, pings and pongs counted, is closed with code 1008."""
    ack_delay_s: float = 0.0
    """A subscription is answered so late, in seconds; the data that waits for it comes after that."""
    ack_never: bool = False
    """A subscription is never answered, and data that waits for it never comes."""
    reject_subscriptions: int = 0
    """The first so many subscriptions at each endpoint are answered with the dialect's error."""
    max_streams: int = 0
    """How many streams a connection may subscribe to; more are answered with the dialect's error."""
    deaf: bool = False
    """The server never reads what the client sends."""

    def problems(self) -> list[tuple[str, str]]:
        """The knobs that can't be, and why."""
        return [
            (name, f"expected a number from 0, found {value}")
            for name in self.__struct_fields__
            if isinstance(value := getattr(self, name), int | float) and value < 0
        ]
