"""Messages in several frames, control frames between them, and fragments out of place (RFC 6455, section 5.4)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    BINARY,
    OK,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Ask,
    Case,
    Demand,
    Deviation,
    accepts,
    breaks,
    close,
    closes,
    data,
    fragments,
    last,
    more,
    ping,
    pong,
    refuses,
)

MAX_FRAGMENTS = 4096
"""More of them are too many for websockets."""

_splits = {
    "two": [b"frag", b"ments"],
    "two, the first empty": [b"", b"fragments"],
    "two, the last empty": [b"fragments", b""],
    "two, both empty": [b"", b""],
    "three": [b"fr", b"agme", b"nts"],
    "three, the middle empty": [b"frag", b"", b"ments"],
    "three, all empty": [b"", b"", b""],
    "nine of one byte": [bytes((byte,)) for byte in b"fragments"],
    "two of 125 and 126 bytes": [b"a" * 125, b"b" * 126],
    "three of 65,535 bytes and one": [b"a" * 65_535, b"b" * 65_535, b"c" * 65_536],
    "a hundred": [b"%d," % number for number in range(100)],
}

_whole = [
    Case(f"text in fragments: {name}", fragments(TEXT, pieces), accepts(b"".join(pieces).decode()))
    for name, pieces in _splits.items()
] + [
    Case(f"binary in fragments: {name}", fragments(BINARY, pieces), accepts(b"".join(pieces)))
    for name, pieces in _splits.items()
]

_first, _middle, _final = fragments(TEXT, [b"frag", b"me", b"nts"])
_pings = (b"1", b"2", b"3")

_controls = [
    Case("ping between fragments", (_first, ping(b"1"), _final), accepts("fragnts", pongs=(b"1",))),
    Case("pong between fragments", (_first, pong(b"1"), _middle, pong(b"2"), _final), accepts("fragments")),
    Case(
        "pings before, between and behind fragments",
        (ping(b"1"), _first, ping(b"2"), _middle, _final, ping(b"3")),
        accepts("fragments", pongs=_pings),
    ),
    Case(
        "several pings between fragments",
        (_first, *map(ping, _pings), _final),
        accepts("fragnts", pongs=_pings),
    ),
    Case(
        "the client pings between fragments",
        (_first, Ask(b"1"), _middle, pong(b"1"), _final),
        Demand(("fragments",), answered=(b"1",), goes_on=True),
    ),
    Case(
        "ping without FIN between fragments",
        (data("a"), _first, b"\x09\x01p", _final),
        refuses(PROTOCOL_ERROR, "a"),
    ),
    Case(
        "ping of 126 bytes between fragments",
        (_first, ping(b"p" * 126), _final),
        refuses(PROTOCOL_ERROR),
    ),
]

_in_turn = [
    Case(
        "plain, fragmented, plain",
        (data("a"), *fragments(TEXT, [b"b", b"c"]), data(b"d"), *fragments(BINARY, [b"e", b"f"]), data("g")),
        accepts("a", "bc", b"d", b"ef", "g"),
    ),
    Case(
        "fragmented messages among 300 others",
        (*(data("x"),) * 150, *fragments(TEXT, [b"y", b"z"]), *(data("x"),) * 150),
        accepts(*["x"] * 150, "yz", *["x"] * 150),
    ),
    Case(
        "50 fragmented messages",
        fragments(TEXT, [b"1", b"2", b"3"]) * 50,
        accepts(*["123"] * 50),
    ),
    Case(
        "kinds by turns",
        (*fragments(TEXT, [b"1", b"2"]), *fragments(BINARY, [b"1", b"2"])) * 10,
        accepts(*("12", b"12") * 10),
    ),
]

_lost_continuations = [
    Case(f"continuation {fin} {what}, {when}", (*before, out_of_place), refuses(PROTOCOL_ERROR, *messages))
    for when, before, messages in (
        ("at the start", (), ()),
        ("behind a message", (data("a"),), ("a",)),
        ("behind a fragmented message", fragments(TEXT, [b"a", b"b"]), ("ab",)),
    )
    for fin, make in (("with FIN", last), ("without FIN", more))
    for what, out_of_place in (("and empty", make()), ("and filled", make(b"lost")))
]
_missing_continuations = [
    Case(
        f"{new_name} begins while {old_name} is not ended",
        (data("a"), begun, begins),
        refuses(PROTOCOL_ERROR, "a"),
    )
    for old_name, begun in (
        ("a text", data("begun", bits=0)),
        ("a binary", data(b"begun", bits=0)),
        ("an empty text", data("", bits=0)),
    )
    for new_name, begins in (
        ("a text", data("new")),
        ("an empty text", data("")),
        ("a binary", data(b"new")),
        ("a fragmented text", data("new", bits=0)),
        ("a fragmented binary", data(b"new", bits=0)),
    )
] + [
    Case(
        "a text begins behind a continuation",
        (_first, _middle, ping(b"1"), data("new")),
        refuses(PROTOCOL_ERROR, pongs=(b"1",)),
    )
]

_unfinished = [
    Case("end of stream behind a first fragment", (data("a"), _first), breaks("a")),
    Case("end of stream behind a continuation", (data("a"), _first, _middle), breaks("a")),
    Case("end of stream in a continuation", (data("a"), _first, _final[:-1]), breaks("a")),
    Case(
        "close inside a fragmented message",
        (data("a"), _first, close(OK, "bye")),
        closes(OK, "a"),
        deviation=Deviation(
            "a close inside a message is taken for an error; section 5.4 lets control frames be injected there",
            Demand(("a",), close_sent=PROTOCOL_ERROR, close_received=OK),
        ),
    ),
]

_many = [
    Case(
        "as many fragments as are taken",
        fragments(BINARY, [b"x"] * MAX_FRAGMENTS),
        accepts(b"x" * MAX_FRAGMENTS),
    ),
    Case(
        "more fragments than are taken",
        (data("a"), *fragments(BINARY, [b"x"] * (MAX_FRAGMENTS + 1))),
        refuses(TOO_BIG, "a"),
        is_found_late=True,
    ),
]

CASES = [
    *_whole,
    *_controls,
    *_in_turn,
    *_lost_continuations,
    *_missing_continuations,
    *_unfinished,
    *_many,
]
