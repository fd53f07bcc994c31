"""Messages at the size limit and beyond, and lengths that nothing can hold (RFC 6455, sections 5.2 and 10.4)."""

from __future__ import annotations

import struct

from tests.worker.conformance.case import (
    BINARY,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Case,
    Deviation,
    Setting,
    accepts,
    breaks,
    data,
    fragments,
    last,
    ping,
    refuses,
)
from tests.worker.conformance.framing import of_size

LIMITS = (0, 1, 125, 126, 1000, 65_535, 65_536)


def header(first: int, length: int) -> bytes:
    """The header of a frame, with its length in eight bytes."""
    return struct.pack("!BBQ", first, 127, length)


_at_limit = [
    case
    for limit in LIMITS
    for kind in (str, bytes)
    for case in (
        Case(
            f"{kind.__name__} of {limit} bytes, as many as allowed",
            (data(of_size(kind, limit)), *((data(of_size(kind, limit)),) * 3)),
            # The farewell would be too large for the smallest limits.
            accepts(*[of_size(kind, limit)] * 4)
            if limit >= 125
            else refuses(TOO_BIG, *[of_size(kind, limit)] * 4),
            Setting(max_size=limit),
        ),
        Case(
            f"{kind.__name__} of {limit + 1} bytes, one more than allowed",
            (data(of_size(kind, limit)), data(of_size(kind, limit + 1))),
            refuses(TOO_BIG, of_size(kind, limit)),
            Setting(max_size=limit),
        ),
    )
]

_THOUSAND = Setting(max_size=1000)

_fragmented = [
    Case(
        "fragments of 1000 bytes in all",
        (data("a"), *fragments(TEXT, [b"a" * 400, b"b" * 400, b"c" * 200])),
        accepts("a", "a" * 400 + "b" * 400 + "c" * 200),
        _THOUSAND,
    ),
    Case(
        "a first fragment of 1000 bytes and empty ones",
        fragments(BINARY, [b"a" * 1000, b"", b"", b""]),
        accepts(b"a" * 1000),
        _THOUSAND,
    ),
    Case(
        "fragments of 1001 bytes in all",
        (data("a"), *fragments(TEXT, [b"a" * 400, b"b" * 400, b"c" * 201])),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "a first fragment of 1001 bytes",
        (data("a"), *fragments(TEXT, [b"a" * 1001, b""])),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "a byte behind a first fragment of 1000 bytes",
        (data("a"), *fragments(TEXT, [b"a" * 1000, b"", b"b"])),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "a message of 1000 bytes behind a fragmented one",
        (*fragments(TEXT, [b"a" * 999, b"b"]), data("c" * 1000)),
        accepts("a" * 999 + "b", "c" * 1000),
        _THOUSAND,
    ),
    Case(
        "pings don't count",
        (data("a" * 500, bits=0), ping(b"p" * 125), ping(b"p" * 125), last(b"b" * 500)),
        accepts("a" * 500 + "b" * 500, pongs=(b"p" * 125,) * 2),
        _THOUSAND,
    ),
    Case(
        "fragments without end",
        (data("a"), *fragments(BINARY, [b"x" * 10] * 101)),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
]

_headers = [
    Case(f"a header that says 1001 bytes: {name}", (data("a"), begun), refuses(TOO_BIG, "a"), _THOUSAND)
    for name, begun in {
        "text": b"\x81\x7e\x03\xe9",
        "binary": b"\x82\x7e\x03\xe9",
        "fragment": b"\x01\x7e\x03\xe9",
        "in eight bytes": header(0x81, 1001),
        "of the last fragment": data("b" * 500, bits=0) + b"\x80\x7e\x01\xf5",
    }.items()
]
_huge = [
    Case(f"a length of 2**{exponent}", (data("a"), header(0x82, 2**exponent)), refuses(TOO_BIG, "a"))
    for exponent in (21, 31, 32, 62)
]
_negative = [
    Case(
        f"a length with its highest bit set, {what}",
        (data("a"), header(0x82, length)),
        refuses(PROTOCOL_ERROR, "a"),
        setting,
        Deviation("the highest bit MUST be 0 (section 5.2); websockets takes it for a large number", instead),
    )
    for what, length, setting, instead in (
        ("2**63", 2**63, Setting(), refuses(TOO_BIG, "a")),
        ("all bits", 2**64 - 1, Setting(), refuses(TOO_BIG, "a")),
        ("2**63 without a limit", 2**63, Setting(max_size=None), breaks("a")),
    )
]

_MEGABYTE = 2**20
_large = [
    Case("a message of 1 MiB, the default limit", (data("a" * _MEGABYTE),), accepts("a" * _MEGABYTE)),
    Case("a message of 1 MiB and a byte", (data("a"), data("a" * _MEGABYTE + "a")), refuses(TOO_BIG, "a")),
    Case(
        "a message of 3 MiB without a limit",
        (data(b"\xff" * (3 * _MEGABYTE)), data("a")),
        accepts(b"\xff" * (3 * _MEGABYTE), "a"),
        Setting(max_size=None),
    ),
    Case(
        "64 fragments of 64 KiB without a limit",
        fragments(TEXT, ["ü".encode() * 2**15] * 64),
        accepts("ü" * 2**21),
        Setting(max_size=None),
    ),
]

_PAIR = Setting(max_size=(1000, 300))
_pairs = [
    Case(
        "a frame as large as a fragment may be", (data("a" * 300), data("b")), accepts("a" * 300, "b"), _PAIR
    ),
    Case("a frame larger than a fragment may be", (data("b"), data("a" * 301)), refuses(TOO_BIG, "b"), _PAIR),
    Case(
        "fragments that are small enough",
        (*fragments(TEXT, [b"a" * 300] * 3 + [b"a" * 100]), data("b")),
        accepts("a" * 1000, "b"),
        _PAIR,
    ),
    Case(
        "a continuation larger than a fragment may be",
        (data("b"), *fragments(TEXT, [b"a" * 300, b"a" * 301])),
        refuses(TOO_BIG, "b"),
        _PAIR,
    ),
    Case(
        "small fragments of a message that is too large",
        (data("b"), *fragments(TEXT, [b"a" * 300] * 3 + [b"a" * 101])),
        refuses(TOO_BIG, "b"),
        _PAIR,
    ),
    Case(
        "a limit for fragments only",
        (*fragments(TEXT, [b"a" * 300] * 30), data("b" * 301)),
        refuses(TOO_BIG, "a" * 9000),
        Setting(max_size=(None, 300)),
    ),
    Case(
        "a limit for fragments, met by a header only",
        (data("a"), b"\x81\x7e\x01\x2d"),
        refuses(TOO_BIG, "a"),
        _PAIR,
    ),
]

CASES = [*_at_limit, *_fragmented, *_headers, *_huge, *_negative, *_large, *_pairs]
