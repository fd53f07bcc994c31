"""What is said on a run's control socket: a JSON object a line, one reply for each request, in order.

    {"command": "status"}                                    → {"reply": "status", "status": {…}}
    {"command": "resume", "endpoints": ["btc"]}              → {"reply": "resumed", "endpoints": ["btc"]}
    {"command": "send", "endpoint": "btc", "text": "ping"}   → {"reply": "done"}
    {"command": "streams", "endpoint": "btc", "add": ["a"]}  → {"reply": "done"}
    {"command": "retry", "ids": [1, 2]}                      → {"reply": "retried", "retried": 2, …}

What can't be done is answered with {"reply": "refused", "problem": "why"}.
"""

from __future__ import annotations

from msgspec import Struct

MAX_REQUEST_BYTES = 8 * 2**20
"""Of a line; one holds an edited payload of the default `max_message_size`, in base64."""
MAX_IDS = 1_000
"""Letters in a request."""

# Requests


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Asks something of a run."""


class GetStatus(Request, frozen=True, tag="status"):
    """What is known of the run at this moment?"""


class Resume(Request, frozen=True, tag="resume"):
    """End quarantines and waits: connect at once."""

    endpoints: tuple[str, ...] = ()
    """Without any: all that are quarantined or wait between two attempts."""


class Send(Request, frozen=True, tag="send"):
    """Send a text on an endpoint's connection."""

    endpoint: str
    text: str


class ChangeStreams(Request, frozen=True, tag="streams"):
    """Add streams to an endpoint, and take others away."""

    endpoint: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Retry(Request, frozen=True, tag="retry"):
    """Try dead letters again, each through its endpoint's processor."""

    ids: tuple[int, ...]
    """At most `MAX_IDS`."""
    edited: dict[int, bytes] = {}
    """Payloads that a person has changed, by letter; in base64."""
    store: str | None = None
    """The file that these ids are of; None: whichever the run has."""


AnyRequest = GetStatus | Resume | Send | ChangeStreams | Retry

# Replies


class WorkerView(Struct, frozen=True):
    """A worker at a moment."""

    id: int
    state: str
    restarts: int
    cpu_s: float
    received: int
    """Messages."""
    lag_s: float
    """How late its loop was with its last heartbeat."""
    backlog_bytes: int


class EndpointView(Struct, frozen=True):
    """An endpoint at a moment."""

    name: str
    worker: int
    """The id of the worker that has it."""
    state: str
    rate: float
    """Messages per second, over the last few seconds."""
    received: int
    """Messages."""
    reason: str | None
    """What went wrong last, in words."""
    since: float | None
    """Unix time of the last change of state."""
    stall: str | None
    """Why it brings no data although it is live."""
    connects: int
    """Connections opened so far."""
    streams: tuple[str, ...]


class Status(Struct, frozen=True):
    """A run at a moment."""

    workers: tuple[WorkerView, ...]
    endpoints: tuple[EndpointView, ...]
    totals: dict[str, int]
    """The books, by term."""


class Reply(Struct, frozen=True, kw_only=True, tag_field="reply"):
    """Answers a request."""


class Report(Reply, frozen=True, tag="status"):
    """The status that was asked for."""

    status: Status


class Resumed(Reply, frozen=True, tag="resumed"):
    """Which endpoints connect at once."""

    endpoints: tuple[str, ...]


class Done(Reply, frozen=True, tag="done"):
    """It is done."""


class Retried(Reply, frozen=True, tag="retried"):
    """What the retries have come to, in letters."""

    retried: int = 0
    """All that were tried; those below, together."""
    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    """Dead again."""
    left: int = 0
    """Not tried, or without an outcome so far: they are as they were."""
    problems: tuple[str, ...] = ()
    """Why, in words."""


class Refused(Reply, frozen=True, tag="refused"):
    """It isn't done."""

    problem: str


AnyReply = Report | Resumed | Done | Retried | Refused
