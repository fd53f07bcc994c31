"""What a simulator remembers of its connections, so that a test can compute what a client must have got."""

from __future__ import annotations

import enum

from msgspec import Struct


class Ended(enum.Enum):
    """How a connection ended."""

    OPEN = "open"
    """It hasn't."""
    CLOSED = "closed"
    """The simulator closed it; all that was sent before arrives at a client that reads on."""
    RESET = "reset"
    """The simulator reset it: the last of what was sent may not have arrived."""
    CUT = "cut"
    """The client read too slowly: closed with code 1008."""
    CLIENT = "client"
    """The client closed it or went away: the last of what was sent may not have been read."""
    STOPPED = "stopped"
    """The simulator itself ended."""


class ConnectionRecord(Struct, frozen=True, kw_only=True):
    """One connection. Numbers are those of an endpoint's data messages; garbage and replies have none."""

    endpoint: str
    index: int
    """The connection's number at its endpoint, from 0."""
    first: int | None
    """Number of the first data message sent; None: none was."""
    last: int | None
    """Number of the last; all between were sent too, once and in order."""
    messages: int
    """How many data messages were sent."""
    garbage: int
    """How many garbage messages were sent besides."""
    replies: int
    """How many messages were sent in answer to the client's."""
    poisoned: bool
    """Whether an invalid or oversized message came last."""
    pings: int
    pongs: int
    """Answers to these pings that came back."""
    bytes: int
    """Of all frames sent."""
    received: tuple[str, ...]
    """The client's first messages, at most 1,000."""
    received_count: int
    opened_at: float
    """Unix time."""
    closed_at: float | None
    close_code: int | None
    """The code the connection ended with; 1006 without a closing handshake."""
    ended: Ended


class Attempt(Struct, frozen=True, kw_only=True):
    """One handshake that reached the simulator."""

    endpoint: str
    at: float
    """Unix time of the request."""
    status: int
    """Of the answer: 101, or that of the refusal."""
    path: str
    """With the query."""
    headers: tuple[tuple[str, str], ...]
    """Of the request."""
