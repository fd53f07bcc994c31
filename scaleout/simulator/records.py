"""What a simulator remembers of its connections, so that a test can compute what a client must have got."""

from __future__ import annotations

import enum

from msgspec import Struct

from scaleout.simulator.faults.knobs import BadFrame, BadHandshake


class Ended(enum.Enum):
    """How a connection ended."""

    OPEN = "open"
    """It hasn't."""
    CLOSED = "closed"
    """The simulator closed it; all that was sent before arrives at a client that reads on."""
    RESET = "reset"
    """The simulator reset it: the last of what was sent may not have arrived."""
    EOF = "eof"
    """The simulator ended the TCP stream without a closing handshake; what was sent before arrives."""
    CUT = "cut"
    """The client didn't do what the server wants of it, and was closed: see `Cut`."""
    CLIENT = "client"
    """The client closed it or went away: the last of what was sent may not have been read."""
    STOPPED = "stopped"
    """The simulator itself ended."""


class Cut(enum.Enum):
    """Why a client was cut."""

    SLOW = "slow"
    """It read too slowly."""
    IDLE = "idle"
    """It sent nothing for too long."""
    UNANSWERED = "unanswered"
    """It didn't answer a test request."""
    INBOUND = "inbound"
    """It sent too much within a second."""
    UNSUBSCRIBED = "unsubscribed"
    """It didn't subscribe in time."""


class StreamRecord(Struct, frozen=True, kw_only=True):
    """What a connection that subscribes to streams by name was sent of one, from subscription to end."""

    name: str
    endpoint: str
    """Whose messages the stream's are."""
    first: int | None
    """Number of the first data message; None: none was sent."""
    last: int | None
    messages: int
    skipped: int
    repeated: int
    subscribed_at: float
    """Unix time."""
    unsubscribed_at: float | None


class ConnectionRecord(Struct, frozen=True, kw_only=True):
    """One connection. Numbers are those of an endpoint's data messages; all else has none."""

    endpoint: str
    index: int
    """The connection's number at its endpoint, from 0."""
    first: int | None
    """Number of the first data message sent; None: none was, or they are of `streams`."""
    last: int | None
    """Number of the last; all between were sent too, once and in order, but for what faults of the stream
    change: see `numbers_sent`."""
    messages: int
    """How many data messages were sent, over all streams."""
    skipped: int
    """How many numbers were left out."""
    repeated: int
    """How many messages were sent once more."""
    streams: tuple[StreamRecord, ...]
    """Of a connection that subscribes to streams by name: each subscription, in order."""
    garbage: int
    """How many garbage messages were sent besides."""
    replies: int
    """How many messages were sent in answer to the client's."""
    heartbeats: int
    notices: int
    """How many goodbyes and test requests were sent."""
    goodbye_at: float | None
    """Unix time."""
    poisoned: bool
    """Whether an invalid or oversized message, or a bad frame, came last."""
    bad_frame: BadFrame
    """Which of them was sent."""
    pings: int
    pongs: int
    """Answers to these pings that came back."""
    bytes: int
    """Of all frames sent."""
    received: tuple[str, ...]
    """The client's first messages, at most 1,000."""
    received_at: tuple[float, ...]
    """Unix times of these."""
    received_count: int
    inbound: int
    """How many frames the client sent: messages, pings and pongs."""
    busiest_inbound: int
    """The most of them that came within a second."""
    path: str
    """Of the URI, with the query."""
    subprotocol: str | None
    compressed: bool
    """Whether compression was negotiated."""
    opened_at: float
    """Unix time."""
    closed_at: float | None
    close_code: int | None
    """The code the connection ended with; 1006 without a closing handshake."""
    ended: Ended
    cut: Cut | None

    @property
    def texts(self) -> int:
        """How many whole messages of any kind were sent, but for a poisonous last one."""
        return self.messages + self.garbage + self.replies + self.heartbeats + self.notices


class Attempt(Struct, frozen=True, kw_only=True):
    """One handshake that reached the simulator."""

    endpoint: str
    at: float
    """Unix time of the request."""
    status: int
    """Of the answer: 101, or that of the refusal; 0: what came, if anything, was no whole HTTP response."""
    fault: BadHandshake
    """How the handshake went wrong."""
    path: str
    """With the query."""
    query: str
    headers: tuple[tuple[str, str], ...]
    """Of the request."""
    subprotocols: tuple[str, ...]
    """What the client offered."""
    extensions: str
    """What the client offered."""
    session_reused: bool | None
    """Whether the TLS session was resumed; None: without TLS."""
