"""Text that is UTF-8 and text that is not, in one frame and cut inside code points (RFC 6455, section 8.1)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    BAD_DATA,
    BINARY,
    TEXT,
    Case,
    accepts,
    breaks,
    data,
    fragments,
    frame,
    last,
    ping,
    pong,
    refuses,
)

VALID = {
    "ASCII": b"Hello, feed",
    "NUL": b"\0",
    "U+007F": b"\x7f",
    "U+0080": b"\xc2\x80",
    "U+00FF": b"\xc3\xbf",
    "U+07FF": b"\xdf\xbf",
    "U+0800": b"\xe0\xa0\x80",
    "U+0FFF": b"\xe0\xbf\xbf",
    "U+1000": b"\xe1\x80\x80",
    "U+20AC": b"\xe2\x82\xac",
    "U+CFFF": b"\xec\xbf\xbf",
    "U+D7FF, below the surrogates": b"\xed\x9f\xbf",
    "U+E000, above the surrogates": b"\xee\x80\x80",
    "U+FEFF, a byte order mark": b"\xef\xbb\xbf",
    "U+FFFD": b"\xef\xbf\xbd",
    "U+FFFE, no character": b"\xef\xbf\xbe",
    "U+FFFF, no character": b"\xef\xbf\xbf",
    "U+10000": b"\xf0\x90\x80\x80",
    "U+1F4C8": b"\xf0\x9f\x93\x88",
    "U+3FFFF": b"\xf0\xbf\xbf\xbf",
    "U+40000": b"\xf1\x80\x80\x80",
    "U+FFFFF": b"\xf3\xbf\xbf\xbf",
    "U+100000": b"\xf4\x80\x80\x80",
    "U+10FFFF, the last": b"\xf4\x8f\xbf\xbf",
    "Greek and more": "κόσμε, mír, мир, 平和 and 🕊".encode(),
    "a newline between two code points": b"\xc3\xbc\n\xc3\xbc",
}

INVALID = {
    "lone continuation 80": b"\x80",
    "lone continuation bf": b"\xbf",
    "six lone continuations": b"\x80\xbf\x80\xbf\x80\xbf",
    "ASCII, then a continuation": b"abc\x80",
    "cut c3": b"\xc3",
    "cut e2 82": b"\xe2\x82",
    "cut f0 9f 93": b"\xf0\x9f\x93",
    "cut f0 9f": b"\xf0\x9f",
    "cut in mid-text": b"ab\xe2\x82cd",
    "two lead bytes": b"\xc3\xc3",
    "lead byte and space": b"\xc3 ",
    "continuation too many": b"\xc3\xbc\xbc",
    "overlong NUL c0 80": b"\xc0\x80",
    "overlong NUL e0 80 80": b"\xe0\x80\x80",
    "overlong NUL f0 80 80 80": b"\xf0\x80\x80\x80",
    "overlong slash c0 af": b"\xc0\xaf",
    "overlong slash e0 80 af": b"\xe0\x80\xaf",
    "overlong slash f0 80 80 af": b"\xf0\x80\x80\xaf",
    "overlong U+007F c1 bf": b"\xc1\xbf",
    "overlong U+07FF e0 9f bf": b"\xe0\x9f\xbf",
    "overlong U+FFFF f0 8f bf bf": b"\xf0\x8f\xbf\xbf",
    "surrogate U+D800": b"\xed\xa0\x80",
    "surrogate U+DB7F": b"\xed\xad\xbf",
    "surrogate U+DBFF": b"\xed\xaf\xbf",
    "surrogate U+DC00": b"\xed\xb0\x80",
    "surrogate U+DFFF": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb3\x88",
    "beyond the last f4 90 80 80": b"\xf4\x90\x80\x80",
    "beyond the last f5 80 80 80": b"\xf5\x80\x80\x80",
    "beyond the last f7 bf bf bf": b"\xf7\xbf\xbf\xbf",
    "five bytes f8": b"\xf8\x88\x80\x80\x80",
    "five bytes fb": b"\xfb\xbf\xbf\xbf\xbf",
    "six bytes fc": b"\xfc\x84\x80\x80\x80\x80",
    "six bytes fd": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "byte fe": b"\xfe",
    "byte ff": b"\xff",
    "bytes fe fe ff ff": b"\xfe\xfe\xff\xff",
    "Latin-1": b"M\xfcnchen",
    "UTF-16": b"\xff\xfea\0",
    "Greek, then a surrogate": "κόσμε".encode() + b"\xed\xa0\x80edited",
}


def _bytes_of(payload: bytes) -> list[bytes]:
    return [payload[at : at + 1] for at in range(len(payload))]


_valid = [
    case
    for name, payload in VALID.items()
    for case in (
        Case(f"{name}: text", (data("a"), frame(0x81, payload)), accepts("a", payload.decode())),
        Case(
            f"{name}: each byte in a fragment",
            fragments(TEXT, [*_bytes_of(payload), b""]),
            accepts(payload.decode()),
        ),
    )
]

_invalid = [
    case
    for name, payload in INVALID.items()
    for case in (
        Case(
            f"{name}: text",
            (data("a"), frame(0x81, payload)),
            refuses(BAD_DATA, "a"),
            is_found_late=True,
        ),
        Case(
            f"{name}: each byte in a fragment",
            (data("a"), *fragments(TEXT, [*_bytes_of(payload), b""])),
            refuses(BAD_DATA, "a"),
            is_found_late=True,
        ),
        Case(
            f"{name}: behind valid text",
            (data("a"), data("ü"), frame(0x81, "µ€🕊".encode() * 30 + payload)),
            refuses(BAD_DATA, "a", "ü"),
            is_found_late=True,
        ),
        Case(f"{name}: binary", (frame(0x82, payload),), accepts(payload)),
        Case(
            f"{name}: binary in fragments",
            fragments(BINARY, [*_bytes_of(payload), b"a"]),
            accepts(payload + b"a"),
        ),
        Case(f"{name}: ping", (ping(payload), pong(payload)), accepts(pongs=(payload,))),
    )
]

_long = "µ€🕊" * 9_000

_placed = [
    Case(
        "a code point split between two messages",
        (frame(0x81, b"a\xc3"), frame(0x81, b"\xbcb")),
        refuses(BAD_DATA),
        is_found_late=True,
    ),
    Case(
        "the second half of a code point in a message of its own",
        (data("ü"), frame(0x81, b"\xbc")),
        refuses(BAD_DATA, "ü"),
        is_found_late=True,
    ),
    Case(
        "invalid text amid 300 others",
        (*(data("x"),) * 150, frame(0x81, b"\xff"), *(data("x"),) * 149),
        refuses(BAD_DATA, *["x"] * 150),
        is_found_late=True,
    ),
    Case(
        "invalid text amid 300 others that are not ASCII",
        (*(data("ü"),) * 150, frame(0x81, b"\xc3"), *(data("ü"),) * 149),
        refuses(BAD_DATA, *["ü"] * 150),
        is_found_late=True,
    ),
    Case(
        "invalid text behind binaries",
        (*(data(b"\xff"),) * 50, data("a"), frame(0x81, b"\xff")),
        refuses(BAD_DATA, *[b"\xff"] * 50, "a"),
        is_found_late=True,
    ),
    Case(
        "invalid text between two pings",
        (ping(b"1"), frame(0x81, b"\xff"), ping(b"2")),
        refuses(BAD_DATA, pongs=(b"1",)),
        is_found_late=True,
    ),
    Case(
        "a ping inside a message that turns out to be no text",
        (*fragments(TEXT, [b"\xff", b""])[:1], ping(b"1"), last(b"a"), ping(b"2")),
        refuses(BAD_DATA, pongs=(b"1",)),
        is_found_late=True,
    ),
    Case(
        "invalid text that never ends",
        (data("a"), frame(TEXT, b"\xff"), ping(b"1")),
        breaks("a", pongs=(b"1",)),
    ),
    Case(
        "a ping between the bytes of a code point",
        (frame(TEXT, b"\xe2"), ping(b"1"), last(b"\x82\xac")),
        accepts("€", pongs=(b"1",)),
    ),
    Case("80,000 bytes of text", (data(_long),), accepts(_long)),
    Case(
        "80,000 bytes of text, the last one missing",
        (data("a"), frame(0x81, _long.encode()[:-1])),
        refuses(BAD_DATA, "a"),
        is_found_late=True,
    ),
    Case(
        "100 messages that are not ASCII",
        (data("Zürich"), data("München")) * 50,
        accepts(*["Zürich", "München"] * 50),
    ),
]

CASES = [*_valid, *_invalid, *_placed]
