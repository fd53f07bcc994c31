"""What is said on a run's control socket: a JSON object a line, one reply for each request, in order.

    {"command": "status"}                                    → {"reply": "status", "status": {…}}
    {"command": "add", "endpoints": [{"uri": "wss://…"}]}    → {"reply": "added", "endpoints": ["…"]}
    {"command": "remove", "endpoints": ["btc"]}              → {"reply": "removed", "endpoints": ["btc"]}
    {"command": "pause", "endpoints": ["btc"]}               → {"reply": "paused", "endpoints": ["btc"]}
    {"command": "resume", "endpoints": ["btc"]}              → {"reply": "resumed", "endpoints": ["btc"]}
    {"command": "move", "endpoint": "btc", "worker": 1}      → {"reply": "moved", "moves": [{…}]}
    {"command": "rebalance"}                                 → {"reply": "moved", "moves": [{…}, …]}
    {"command": "scale", "workers": 4}                       → {"reply": "scaled", "workers": [0, 1, 2, 3]}
    {"command": "reload"}                                    → {"reply": "reloaded", "added": ["btc"], …}
    {"command": "drain"}                                     → {"reply": "drained", "totals": {…}}
    {"command": "send", "endpoint": "btc", "text": "ping"}   → {"reply": "done"}
    {"command": "streams", "endpoint": "btc", "add": ["a"]}  → {"reply": "done"}
    {"command": "retry", "ids": [1, 2]}                      → {"reply": "retried", "retried": 2, …}

What can't be done is answered with {"reply": "refused", "problem": "why"}; where keys of a configuration are
wrong, "faults" says which.
"""

from __future__ import annotations

from msgspec import Struct

from scaleout.control.views import MoveView, Status
from scaleout.errors import Fault

MAX_REQUEST_BYTES = 8 * 2**20
"""Of a line; one holds an edited payload of the default `max_message_size`, in base64."""
MAX_IDS = 1_000
"""Letters in a request."""

# Requests


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Asks something of a run."""


class GetStatus(Request, frozen=True, tag="status"):
    """What is known of the run at this moment?"""


class Add(Request, frozen=True, tag="add"):
    """Add endpoints: all of them, or none."""

    endpoints: tuple[dict[str, object], ...]
    """With the keys that they have in a configuration."""
    source: str = "command"
    """What faults call the place where they come from."""
    secrets: tuple[str, ...] = ()
    """Values among them that are to be blotted out of every text for people."""


class Remove(Request, frozen=True, tag="remove"):
    """Close endpoints' connections, write what they have brought, and forget them; their books stay."""

    endpoints: tuple[str, ...]


class Pause(Request, frozen=True, tag="pause"):
    """Close endpoints' connections until they are resumed."""

    endpoints: tuple[str, ...]


class Resume(Request, frozen=True, tag="resume"):
    """End pauses, quarantines and waits: connect at once."""

    endpoints: tuple[str, ...] = ()
    """Without any: all that are paused, quarantined, or wait between two attempts."""


class Move(Request, frozen=True, tag="move"):
    """Move an endpoint to another worker; the answer comes when that is done."""

    endpoint: str
    worker: int


class Rebalance(Request, frozen=True, tag="rebalance"):
    """Balance the workers at once; the answer comes when that is done."""


class Scale(Request, frozen=True, tag="scale"):
    """Have that many workers; the answer comes when they are there."""

    workers: int


class Reload(Request, frozen=True, tag="reload"):
    """Read the configuration again, and make the smallest change."""


class Drain(Request, frozen=True, tag="drain"):
    """Stop reading, write all that is in flight, and end the run; the answer comes when that is done."""


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


AnyRequest = (
    GetStatus
    | Add
    | Remove
    | Pause
    | Resume
    | Move
    | Rebalance
    | Scale
    | Reload
    | Drain
    | Send
    | ChangeStreams
    | Retry
)

# Replies


class Reply(Struct, frozen=True, kw_only=True, tag_field="reply"):
    """Answers a request."""


class Report(Reply, frozen=True, tag="status"):
    """The status that was asked for."""

    status: Status


class Added(Reply, frozen=True, tag="added"):
    """Which endpoints there are in addition."""

    endpoints: tuple[str, ...]


class Removed(Reply, frozen=True, tag="removed"):
    """Which endpoints are gone."""

    endpoints: tuple[str, ...]


class Paused(Reply, frozen=True, tag="paused"):
    """Which endpoints have been paused."""

    endpoints: tuple[str, ...]


class Resumed(Reply, frozen=True, tag="resumed"):
    """Which endpoints connect at once."""

    endpoints: tuple[str, ...]


class Moved(Reply, frozen=True, tag="moved"):
    """What has been moved; when the workers were balanced, also what couldn't be."""

    moves: tuple[MoveView, ...]


class Scaled(Reply, frozen=True, tag="scaled"):
    """The ids of the workers that there are."""

    workers: tuple[int, ...]


class Reloaded(Reply, frozen=True, tag="reloaded"):
    """What has changed."""

    source: str
    """What was read, such as the name of the file."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    workers: int | None = None
    """How many there are to be, where that has changed."""
    restart: tuple[str, ...] = ()
    """Keys that have changed, and take effect with the next run."""
    problems: tuple[str, ...] = ()
    """What couldn't be changed, and why."""


class Drained(Reply, frozen=True, tag="drained"):
    """The run ends."""

    totals: dict[str, int]
    """The books, by term."""


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
    faults: tuple[Fault, ...] = ()
    """Where a configuration is the problem: all that is wrong with it."""


AnyReply = (
    Report
    | Added
    | Removed
    | Paused
    | Resumed
    | Moved
    | Scaled
    | Reloaded
    | Drained
    | Done
    | Retried
    | Refused
)
