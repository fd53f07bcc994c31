"""What can be wrong under permessage-deflate: bits, data, text and sizes (RFC 7692, sections 6 and 7)."""

from __future__ import annotations

import zlib

from tests.worker.conformance.case import (
    BAD_DATA,
    BINARY,
    CLOSE,
    FIN,
    OK,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    TOO_BIG,
    Case,
    Deflate,
    Demand,
    Setting,
    accepts,
    close,
    data,
    frame,
    last,
    refuses,
)
from tests.worker.conformance.deflate import (
    DEFAULT,
    FRESH,
    HELLO,
    HELLO_AGAIN,
    HELLO_STORED,
    SETTINGS,
    Server,
    feed_text,
    noise,
    packed,
)
from tests.worker.conformance.utf8 import INVALID

_bits = [
    Case(f"{name}", (data("a"), *steps), refuses(PROTOCOL_ERROR, "a"), DEFAULT)
    for name, steps in {
        "RSV1 on a continuation": (frame(RSV1 | TEXT, HELLO[:3]), frame(FIN | RSV1, HELLO[3:])),
        "RSV1 on a continuation that is not the last": (
            frame(RSV1 | TEXT, HELLO[:3]),
            frame(RSV1, HELLO[3:]),
        ),
        "RSV1 on a continuation of a plain message": (frame(TEXT, b"a"), frame(FIN | RSV1, HELLO)),
        "RSV1 on a ping": (frame(FIN | RSV1 | PING, b"p"),),
        "RSV1 on an empty ping": (frame(FIN | RSV1 | PING),),
        "RSV1 on a pong": (frame(FIN | RSV1 | PONG, b"p"),),
        "RSV1 on a close": (frame(FIN | RSV1 | CLOSE, b"\x03\xe8"),),
        "RSV1 on a ping between fragments": (frame(RSV1 | TEXT, HELLO[:3]), frame(FIN | RSV1 | PING, b"p")),
        "RSV2 on a compressed text": (frame(FIN | RSV1 | RSV2 | TEXT, HELLO),),
        "RSV3 on a compressed text": (frame(FIN | RSV1 | RSV3 | TEXT, HELLO),),
        "RSV2 on a plain text": (frame(FIN | RSV2 | TEXT, b"a"),),
        "RSV3 on a plain binary": (frame(FIN | RSV3 | BINARY, b"a"),),
        "RSV2 on a compressed continuation": (frame(RSV1 | TEXT, HELLO[:3]), frame(RSV2, b"a")),
        "RSV1 on a reserved opcode": (frame(FIN | RSV1 | 3, HELLO),),
        "compressed and masked": (frame(FIN | RSV1 | TEXT, HELLO, masked=True),),
    }.items()
] + [
    Case(
        "a compressed frame that was not agreed on",
        (data("a"), packed(HELLO)),
        refuses(PROTOCOL_ERROR, "a"),
    )
]


def _with_dictionary(dictionary: bytes, payload: bytes, wbits: int = 15) -> bytes:
    """Compressed with a look back at what the client may not have."""
    deflate = zlib.compressobj(wbits=-wbits, zdict=dictionary)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


_text = feed_text(300)
_corrupt = [
    Case(name, (data("a"), packed(HELLO), *steps), refuses(PROTOCOL_ERROR, "a", "Hello"), setting)
    for name, setting, steps in (
        ("a block of a type that does not exist", DEFAULT, (packed(b"\x06\x00"),)),
        ("a stored block whose lengths disagree", DEFAULT, (packed(b"\x00\x05\x00\x00\x00Hello\x00"),)),
        ("bytes ff", DEFAULT, (packed(b"\xff" * 20),)),
        ("a reference before the beginning", FRESH, (packed(HELLO_AGAIN),)),
        (
            "context although there is none",
            FRESH,
            (packed(_with_dictionary(_text.encode(), _text.encode())),),
        ),
        ("text that is not compressed", DEFAULT, (packed(b"Hello"),)),
        (
            "lengths that disagree in a second fragment",
            DEFAULT,
            (frame(RSV1 | TEXT, HELLO_STORED[:2]), last(b"\0\0\0Hello\0")),
        ),
        ("no more than ff, 2100 times", DEFAULT, (packed(b"\xff" * 2100),)),
    )
]

_far = tuple(map(noise, (100, 1000, 100)))
_corrupt.append(
    Case(
        "a reference beyond the window",
        tuple(map(Server().data, _far)),
        refuses(PROTOCOL_ERROR, *_far[:2]),
        SETTINGS["server_max_window_bits=9"],
    )
)

_no_text = [
    Case(
        f"compressed text that is not UTF-8: {name}",
        (data("a"), packed(Server().deflate(payload))),
        refuses(BAD_DATA, "a"),
        DEFAULT,
        is_found_late=True,
    )
    for name, payload in INVALID.items()
] + [
    Case(
        "a code point cut by compressed fragments",
        Server().fragments("€" * 40, 9),
        accepts("€" * 40),
        DEFAULT,
    ),
    Case(
        "compressed binaries that are no text",
        tuple(map(Server().data, INVALID.values())),
        accepts(*INVALID.values()),
        DEFAULT,
    ),
]

_THOUSAND = Setting(max_size=1000, deflate=Deflate())
_THOUSAND_ANEW = Setting(max_size=1000, deflate=Deflate(server_no_context_takeover=True))
_zeros = "0" * 1000
_bombs = [
    Case(
        "inflates to as much as allowed", (Server().data(_zeros), data("a")), accepts(_zeros, "a"), _THOUSAND
    ),
    Case(
        "inflates to one byte more",
        (data("a"), Server().data(_zeros + "0")),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "fragments inflate to as much as allowed",
        (*Server().fragments(_zeros, 4), data("a")),
        accepts(_zeros, "a"),
        _THOUSAND,
    ),
    Case(
        "fragments inflate to one byte more",
        (data("a"), *Server().fragments(feed_text(1001), 4)),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case("a bomb of 10 MB", (data("a"), Server().data(b"\0" * 10_000_000)), refuses(TOO_BIG, "a"), DEFAULT),
    Case("a small bomb", (data("a"), Server().data(b"\0" * 500_000)), refuses(TOO_BIG, "a"), _THOUSAND),
    Case(
        "a bomb in fragments",
        (data("a"), *Server().fragments("0" * 500_000, 10)),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "larger than allowed before it is inflated",
        (data("a"), frame(FIN | RSV1 | BINARY, Server().deflate(noise(1001)))),
        refuses(TOO_BIG, "a"),
        _THOUSAND,
    ),
    Case(
        "a message of 1 MiB",
        (Server().data(feed_text(2**20 - 100_000)), close(OK, "bye")),
        Demand((feed_text(2**20 - 100_000),)),
        DEFAULT,
    ),
    Case(
        "a bomb without a limit",
        (Server().data("0" * 3_000_000),),
        accepts("0" * 3_000_000),
        Setting(max_size=None, deflate=Deflate()),
    ),
]

_numbers = [str(number) for number in range(300)]


def _amid_many(setting: Setting, fault: bytes) -> tuple[bytes, ...]:
    server = Server(setting)
    frames = tuple(map(server.data, _numbers))
    return (*frames[:150], fault, *frames[150:])


_amid = [
    Case(
        f"{name} amid 300 compressed messages, {terms}",
        _amid_many(setting, fault),
        refuses(code, *_numbers[:150]),
        setting,
        is_found_late=code == BAD_DATA,
    )
    for terms, setting in (("with context", _THOUSAND), ("without context", _THOUSAND_ANEW))
    for name, code, fault in (
        ("a bomb", TOO_BIG, Server().data(b"\0" * 500_000)),
        ("one byte too much", TOO_BIG, Server().data(b"\0" * 1001)),
        ("a block of a type that does not exist", PROTOCOL_ERROR, packed(b"\x06\x00")),
        ("a compressed message that is no text", BAD_DATA, packed(Server().deflate(b"\xff"))),
        ("a plain message that is no text", BAD_DATA, frame(FIN | TEXT, b"\xff")),
        ("RSV2", PROTOCOL_ERROR, frame(FIN | RSV1 | RSV2 | TEXT, HELLO)),
        ("a masked message", PROTOCOL_ERROR, frame(FIN | RSV1 | TEXT, HELLO, masked=True)),
    )
]

CASES = [*_bits, *_corrupt, *_no_text, *_bombs, *_amid]
