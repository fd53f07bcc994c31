"""The rows of the fault matrix: what goes wrong on the way to a server, and what is to come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scaleout.simulator import Dialogue, Faults

COUNT = 60
"""Messages of an endpoint that a fault befalls, over all its connections."""
AFTER = 20
"""Those of them that come before the fault, where there is a connection."""

SOON = (0.0, 0.2)
"""Bounds of the delay before the next attempt, in seconds, for backoffs that begin at 0.2 s."""
LATE = (0.8, 1.6)
"""Those where the server asks for less."""


class Row(NamedTuple):
    """A fault, and what is expected of the run."""

    said: str | None
    """What people are told: in `last_error`, a regular expression."""
    faults: Faults = Faults()
    keys: Mapping[str, object] = {}
    """Of the endpoint, beside those that all have."""
    serves: Mapping[str, Any] = {}
    """What the simulator does beside the fault."""
    pause: tuple[float, float] | None = SOON
    """Bounds of the delay before the first reconnect; None: there is none."""
    connects: int | None = 2
    """How many in the end; None: as many as the server saw."""
    seen: int | None = None
    """Close code that the server saw on the first connection, if it matters."""
    messages: int = COUNT
    """Of an endpoint that ends."""
    is_exact: bool = True
    """Whether all that was sent has to have been received."""
    is_dead: Callable[[int], bool] = lambda dead: dead == 0
    """Whether there may be so many dead letters."""
    state: str = "ended"
    """In the end; endpoints that are healed end by themselves, others are `trying`, or `quarantined`."""
    tries: int = 3
    """Of those that are never healed, how many delays to wait for."""
    says: tuple[str, ...] = ()
    """What else is logged; of quarantine there is no word without it."""


def _after(**faults: Any) -> Faults:
    return Faults(first_connections=1, **faults)


def _frame(kind: str, **faults: Any) -> Faults:
    return _after(bad_frame=kind, bad_frame_after=AFTER, **faults)


def _close(code: int) -> Faults:
    return _after(disconnect_after=AFTER, disconnect="close", disconnect_code=code)


def _handshake(kind: str, times: int = 1, **faults: Any) -> Faults:
    return Faults(bad_handshake=kind, bad_handshake_first=times, **faults)  # type: ignore[arg-type]


def _refusal(status: int, times: int, **faults: Any) -> Faults:
    return Faults(refuse_status=status, refuse_first=times, **faults)


BREAKER = {"quarantine": {"after": 2, "probe": 1.0}}
BROKEN = ("quarantined after 2 refusals", "recovered from quarantine")
IMPATIENT = {"open_timeout": 1.0}
DEFLATE = {"compression": "deflate"}
COMPRESSED = {"compression": True}
PACED = {"firehose": False, "resume": False, "rate": 200.0}
STALE = {"stale_after": 1.5}

NETWORK: dict[str, Row] = {
    # The TCP connection
    "reset": Row(r"lost: .*reset", _after(disconnect_after=AFTER, disconnect="reset"), is_exact=False),
    "reset mid-frame": Row(r"lost: .*reset", _frame("reset_mid_frame"), is_exact=False),
    "end of file (1006)": Row(r"lost: no close frame", _after(disconnect_after=AFTER, disconnect="eof")),
    "end of file mid-frame": Row(r"lost: no close frame", _frame("eof_mid_frame")),
    "name unknown": Row(
        r"can't connect: nowhere\.invalid has no address",
        keys={"uri": "ws://nowhere.invalid/"},
        connects=0,
        state="trying",
    ),
    "name impossible": Row(
        r"can't connect: x+\.invalid has no address: .*label",
        keys={"uri": f"ws://{'x' * 64}.invalid/"},
        connects=0,
        state="trying",
    ),
    # The handshake
    "slow handshake": Row(
        r"can't connect: timed out",
        Faults(handshake_delay_s=60.0),
        {"open_timeout": 0.4},
        connects=0,
        state="trying",
    ),
    "slow handshake, in time": Row(
        None, Faults(handshake_delay_s=1.0), {"open_timeout": 20.0}, pause=None, connects=1
    ),
    "no answer": Row(r"can't connect: timed out", _handshake("no_answer"), IMPATIENT, connects=1),
    "garbage": Row(r"can't connect: .*HTTP", _handshake("garbage"), connects=1),
    "half an answer": Row(r"can't connect: ", _handshake("half_answer"), connects=1),
    "endless headers": Row(r"can't connect: ", _handshake("endless_headers"), connects=1),
    "closed": Row(r"can't connect: ", _handshake("close"), connects=1),
    "reset in the handshake": Row(r"can't connect: .*connection closed", _handshake("reset"), connects=1),
    "wrong accept": Row(r"can't connect: .*Accept", _handshake("wrong_accept"), connects=1),
    "no upgrade": Row(r"can't connect: .*[Uu]pgrade", _handshake("no_upgrade"), connects=1),
    "unasked extension": Row(
        r"can't connect: .*extension", _handshake("unasked_extension"), connects=1, pause=LATE
    ),
    "unasked subprotocol": Row(
        r"can't connect: .*subprotocol", _handshake("unasked_subprotocol"), connects=1, pause=LATE
    ),
    "redirect": Row(None, Faults(bad_handshake="redirect"), connects=1, pause=None),
    "redirect, permanent": Row(
        None, Faults(bad_handshake="redirect", redirect_status=308), connects=1, pause=None
    ),
    "redirect loop": Row(
        r"can't connect: .*redirects", _handshake("redirect_loop", 11), connects=1, pause=LATE
    ),
    "401": Row(
        r"can't connect: .*401.*Refused as asked",
        _refusal(401, 3),
        BREAKER,
        PACED,
        connects=1,
        pause=LATE,
        says=BROKEN,
    ),
    "403": Row(
        r"can't connect: .*403", _refusal(403, 3), BREAKER, PACED, connects=1, pause=LATE, says=BROKEN
    ),
    "404": Row(
        r"can't connect: .*404", _refusal(404, 3), BREAKER, PACED, connects=1, pause=LATE, says=BROKEN
    ),
    "401, for good": Row(
        r"can't connect: .*401",
        _refusal(401, 1_000),
        BREAKER,
        connects=0,
        pause=LATE,
        state="quarantined",
        tries=4,
        says=("quarantined after 2 refusals",),
    ),
    "429": Row(r"can't connect: .*429", _refusal(429, 2), BREAKER, connects=1, pause=LATE),
    "503": Row(r"can't connect: .*503", _refusal(503, 2), BREAKER, connects=1, pause=LATE),
    "503, Retry-After": Row(
        r"can't connect: .*503", _refusal(503, 1, retry_after_s=3), connects=1, pause=(3.0, 3.3)
    ),
    "429, Retry-After": Row(
        r"can't connect: .*429", _refusal(429, 1, retry_after_s=3), connects=1, pause=(3.0, 3.3)
    ),
    # Closing handshakes
    "close 1000": Row(None, _close(1000), {"reconnect": "always"}, seen=1000, connects=None, state="trying"),
    "close 1000, reconnect on error": Row(
        None, _close(1000), connects=1, seen=1000, pause=None, messages=AFTER
    ),
    "close 1001": Row(r"lost: .*1001", _close(1001), seen=1001),
    "close 1008": Row(r"lost: .*1008", _close(1008), seen=1008, pause=LATE),
    "close 1011": Row(r"lost: .*1011", _close(1011), seen=1011),
    "close 1012": Row(r"lost: .*1012", _close(1012), seen=1012),
    "close 1013": Row(r"lost: .*1013", _close(1013), seen=1013, pause=LATE),
    "close 4000": Row(r"lost: .*4000", _close(4000), seen=4000),
    "accepted, then closed": Row(
        r"lost: .*1001",
        Faults(close_at_once=True),
        connects=None,
        seen=1001,
        state="trying",
        tries=6,
    ),
    "one message, then closed": Row(
        r"lost: .*1001",
        Faults(disconnect_after=1),
        serves={"count": 0},
        connects=None,
        seen=1001,
        state="trying",
        tries=6,
    ),
    # Stalls
    "silence": Row(
        r"given up: no data for 1\.5 s, the server was silent",
        _after(silence_after=AFTER),
        STALE,
        seen=1000,
    ),
    "heartbeats only": Row(
        r"given up: no data for 1\.5 s, only heartbeats came",
        _after(silence_after=AFTER, silence="data"),
        {**STALE, "heartbeat": {"match": {"type": "heartbeat"}}},
        {"dialogue": Dialogue(heartbeat_every_s=0.2)},
        seen=1000,
    ),
    "no answer to heartbeats": Row(
        r"given up: no answer to the heartbeat within 1 s",
        _after(silence_after=AFTER),
        {"heartbeat": {"send": "ping", "every": 1.0, "expect": "pong"}},
        seen=1000,
    ),
    "ping flood": Row(
        None,
        _frame("ping_flood", flood_pings=5_000),
        connects=1,
        pause=None,
        seen=1000,
    ),
    # TLS
    "certificate of another name": Row(
        r"can't connect: .*certificate.*(IP|[Hh]ost)",
        Faults(certificate="wrong_name"),
        serves={"tls": True},
        connects=0,
        state="trying",
    ),
    "certificate expired": Row(
        r"can't connect: .*certificate has expired",
        Faults(certificate="expired"),
        serves={"tls": True},
        connects=0,
        state="trying",
    ),
    "certificate unknown": Row(
        r"can't connect: .*certificate.*(unable|self)",
        Faults(certificate="unknown"),
        serves={"tls": True},
        connects=0,
        state="trying",
    ),
    "certificate good": Row(None, serves={"tls": True}, connects=1, pause=None),
}

PROTOCOL: dict[str, Row] = {
    "oversized message": Row(r"lost: .*1009", _after(oversized_after=AFTER), seen=1009),
    "length of 2**62": Row(r"lost: .*1009", _frame("huge_length"), seen=1009),
    "decompression bomb": Row(
        r"lost: .*1009", _frame("bomb", bomb_bytes=2**30), DEFLATE, COMPRESSED, seen=1009
    ),
    "broken compression": Row(
        r"lost: .*decompress", _frame("broken_compression"), DEFLATE, COMPRESSED, seen=1002
    ),
    "refused compression": Row(
        r"can't connect: .*400", Faults(refuse_compression=True), DEFLATE, COMPRESSED, connects=1
    ),
    "refused subprotocol": Row(
        r"can't connect: .*400",
        Faults(wanted_subprotocol="two"),
        {"subprotocols": ["one", "two"]},
        connects=1,
    ),
    "invalid UTF-8": Row(r"lost: .*1007.*UTF-8", _after(invalid_utf8_after=AFTER), seen=1007),
    "reserved bits": Row(r"lost: .*1002.*reserved bits", _frame("reserved_bits"), seen=1002),
    "reserved opcode": Row(r"lost: .*1002.*opcode", _frame("reserved_opcode"), seen=1002),
    "reserved control opcode": Row(r"lost: .*1002.*opcode", _frame("reserved_control_opcode"), seen=1002),
    "masked frame": Row(r"lost: .*1002.*mask", _frame("masked"), seen=1002),
    "endless tiny fragments": Row(r"lost: .*1009", _frame("endless_fragments"), seen=1009),
    "endless large fragments": Row(
        r"lost: .*1009", _frame("endless_fragments", fragment_bytes=200_000), seen=1009
    ),
    "large control frame": Row(r"lost: .*1002.*control frame", _frame("large_control"), seen=1002),
    "fragmented control frame": Row(r"lost: .*1002.*control frame", _frame("fragmented_control"), seen=1002),
    "lone continuation": Row(r"lost: .*1002.*continuation", _frame("lone_continuation"), seen=1002),
    "message within a message": Row(r"lost: .*1002", _frame("nested_message"), seen=1002),
    "close with a code that may not be sent": Row(r"lost: .*1002", _frame("bad_close_code"), seen=1002),
    "close with a reason not in UTF-8": Row(r"lost: .*1007", _frame("bad_close_reason"), seen=1007),
    "close of one byte": Row(r"lost: .*1002", _frame("short_close"), seen=1002),
    "fragments and pings": Row(
        None, Faults(fragment_every=3, ping_every=4), connects=1, pause=None, seen=1000
    ),
    "garbage messages": Row(
        None,
        Faults(garbage_every=3),
        connects=1,
        pause=None,
        seen=1000,
        is_dead=lambda dead: dead == COUNT // 3,
    ),
    "too many invalid messages": Row(
        r"given up: more than 5% of the messages within 10s are invalid",
        Faults(garbage_every=2),
        {"max_invalid": "5%/10s", "quarantine": {"after": 2, "probe": 60.0}},
        {**PACED, "count": 0},
        connects=3,
        seen=1000,
        is_exact=False,
        is_dead=lambda dead: dead >= 3,
        state="quarantined",
        says=("negotiating anew, as before", "quarantined after 2 refusals"),
    ),
}

ELSEWHERE: dict[str, Row] = {
    # These servers are not where the simulator is, or not at once.
    "refused": Row(r"can't connect: Connection refused", connects=1),
    "503, Retry-After as a date": Row(r"can't connect: .*503", connects=1, pause=(2.0, 3.3)),
    "redirect to another port": Row(None, connects=1, pause=None),
}

ROWS = {**NETWORK, **PROTOCOL, **ELSEWHERE}
