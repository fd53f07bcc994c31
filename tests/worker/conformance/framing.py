"""Frames of all sizes, and lengths in all forms (RFC 6455, section 5.2)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    BINARY,
    FIN,
    PROTOCOL_ERROR,
    TEXT,
    Case,
    Deviation,
    Message,
    accepts,
    breaks,
    close,
    closes,
    data,
    frame,
    ping,
    pong,
    refuses,
)

SIZES = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 2047, 2048, 4095, 4096, 65_535, 65_536, 70_000)


def of_size(kind: type[Message], size: int) -> Message:
    return "*" * size if kind is str else b"\xfe" * size


_single = [
    Case(f"{kind.__name__} of {size} bytes", (data(of_size(kind, size)),), accepts(of_size(kind, size)))
    for kind in (str, bytes)
    for size in SIZES
]

LONG_FORM = (
    "a length in more bytes than it needs is taken; section 5.2: the minimal number of bytes MUST be used"
)

_long_forms = [
    Case(
        f"{kind.__name__} of {size} bytes with its length in form {form}",
        (data("a"), data(of_size(kind, size), form=form)),
        refuses(PROTOCOL_ERROR, "a"),
        deviation=Deviation(LONG_FORM, accepts("a", of_size(kind, size))),
    )
    for kind in (str, bytes)
    for form, sizes in ((126, (0, 1, 125)), (127, (0, 125, 126, 65_535)))
    for size in sizes
]

_mixed = [str(number) * (number % 160) for number in range(200)]
_short = [f'{{"price":{number}}}' for number in range(100, 900)]
_both = [kind for number in range(60) for kind in (f"{number}", bytes((number, 0xFF)))]

_runs = [
    Case("20 short texts", tuple(map(data, _short[:20])), accepts(*_short[:20])),
    Case("800 texts of one size", tuple(map(data, _short)), accepts(*_short)),
    Case("200 texts of many sizes", tuple(map(data, _mixed)), accepts(*_mixed)),
    Case("texts and binaries by turns", tuple(map(data, _both)), accepts(*_both)),
    Case("100 empty texts", (data(""),) * 100, accepts(*[""] * 100)),
    Case("100 empty binaries", (data(b""),) * 100, accepts(*[b""] * 100)),
    Case(
        "texts that hold what looks like frames",
        (data("\x01\n\x00" * 9),) * 9,
        accepts(*["\x01\n\x00" * 9] * 9),
    ),
    Case(
        "binaries that hold frames",
        (data(data("inner") + close()),) * 30,
        accepts(*[data("inner") + close()] * 30),
    ),
    Case(
        "300 texts with a long one amid",
        (*(data("x" * 20),) * 300, data("y" * 70_000), *(data("z" * 20),) * 300),
        accepts(*["x" * 20] * 300, "y" * 70_000, *["z" * 20] * 300),
    ),
    Case(
        "300 texts with a ping amid",
        (*(data("x" * 20),) * 150, ping(b"amid"), *(data("x" * 20),) * 150),
        accepts(*["x" * 20] * 300, pongs=(b"amid",)),
    ),
    Case(
        "300 texts with a masked one amid",
        (*(data("x" * 20),) * 150, frame(FIN | TEXT, b"x" * 20, masked=True), *(data("x" * 20),) * 150),
        refuses(PROTOCOL_ERROR, *["x" * 20] * 150),
    ),
]

_masked = [
    Case(f"masked {name}", (data("a"), bad), refuses(PROTOCOL_ERROR, "a"))
    for name, bad in {
        "empty text": frame(FIN | TEXT, masked=True),
        "text": frame(FIN | TEXT, b"Hello", masked=True),
        "text of 200 bytes": frame(FIN | TEXT, b"*" * 200, masked=True),
        "text of 70,000 bytes": frame(FIN | TEXT, b"*" * 70_000, masked=True),
        "binary": frame(FIN | BINARY, b"\xff", masked=True),
        "first fragment": frame(TEXT, b"a", masked=True),
        "ping": frame(FIN | 9, b"p", masked=True),
        "pong": frame(FIN | 10, b"p", masked=True),
        "close": frame(FIN | 8, b"\x03\xe8", masked=True),
    }.items()
]

_broken = [
    Case(f"end of stream {name}", (data("a"), rest), breaks("a"))
    for name, rest in {
        "between two frames": data(b"b"),
        "behind a first byte": b"\x81",
        "in a length of two bytes": b"\x81\x7e\x01",
        "in a length of eight bytes": b"\x82\x7f\0\0\0\0\0\0\x01",
        "behind a header": b"\x81\x05",
        "behind a long header": b"\x81\x7e\x01\x00",
        "in a short payload": data("Hello")[:-1],
        "in a long payload": data("H" * 3000)[:-1],
        "in a ping": ping(b"12345")[:-1],
        "in a pong": pong(b"12345")[:-2],
        "in a close": close(1000, "bye")[:-1],
        "behind a first byte that is reserved": b"\xf1",
    }.items()
]
_broken[0] = Case(_broken[0].name, _broken[0].steps, breaks("a", b"b"))

_nothing = [
    Case("nothing at all", (), breaks()),
    Case("nothing but a close", (close(),), closes(1000)),
    Case("nothing but a ping", (ping(),), breaks(pongs=(b"",))),
]

CASES = [*_single, *_long_forms, *_runs, *_masked, *_broken, *_nothing]
