"""Messages under permessage-deflate: all sizes, all parameters, fragments, the RFC's examples (RFC 7692)."""

from __future__ import annotations

import random
import zlib
from functools import cache
from itertools import pairwise

from tests.worker.conformance.case import (
    BINARY,
    FIN,
    PROTOCOL_ERROR,
    RSV1,
    TEXT,
    Case,
    Deflate,
    Demand,
    Deviation,
    Message,
    Say,
    Setting,
    accepts,
    data,
    fragments,
    frame,
    last,
    more,
    ping,
    refuses,
)

DEFAULT = Setting(deflate=Deflate())
SETTINGS = {
    "default": DEFAULT,
    "server_no_context_takeover": Setting(deflate=Deflate(server_no_context_takeover=True)),
    "client_no_context_takeover": Setting(deflate=Deflate(client_no_context_takeover=True)),
    "no context takeover at all": Setting(deflate=Deflate(True, True)),
    "server_max_window_bits=9": Setting(deflate=Deflate(server_max_window_bits=9)),
    "server_max_window_bits=12": Setting(deflate=Deflate(server_max_window_bits=12)),
    "client_max_window_bits=9": Setting(deflate=Deflate(client_max_window_bits=9)),
    "all windows of 10 bits, no context takeover": Setting(deflate=Deflate(True, True, 10, 10)),
}
SIZES = (0, 1, 16, 64, 125, 126, 256, 1024, 2043, 2044, 4096, 65_535, 65_536, 131_072)


class Server:
    """A server's side of permessage-deflate."""

    def __init__(self, setting: Setting = DEFAULT, level: int = -1) -> None:
        assert setting.deflate
        self._deflate = setting.deflate
        self._level = level
        self._renew()

    def _renew(self) -> None:
        self._object = zlib.compressobj(level=self._level, wbits=-self._deflate.server_max_window_bits)

    def deflate(self, payload: bytes) -> bytes:
        if self._deflate.server_no_context_takeover:
            self._renew()
        return (self._object.compress(payload) + self._object.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def data(self, message: Message) -> bytes:
        """The frame of a compressed message."""
        encoded = message.encode() if isinstance(message, str) else message
        opcode = TEXT if isinstance(message, str) else BINARY
        return frame(FIN | RSV1 | opcode, self.deflate(encoded))

    def fragments(self, message: str, count: int) -> tuple[bytes, ...]:
        """The frames of a message that is compressed and then cut into about equal pieces."""
        whole = self.deflate(message.encode())
        cuts = [len(whole) * index // count for index in range(count + 1)]
        pieces = [whole[a:b] for a, b in pairwise(cuts)]
        return fragments(TEXT, pieces, bits=RSV1)


@cache
def feed_text(size: int) -> str:
    rows = (f'{{"id":{number},"price":"{number * 7919 % 1000}.50","side":"ü"}}' for number in range(size))
    text = ""
    while len(text) < size:
        text += next(rows)
    return text[:size]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _sized(name: str, setting: Setting) -> list[Case]:
    texts = [feed_text(size) for size in SIZES]
    noises = [noise(size) for size in SIZES]
    server, other, third, fourth = (Server(setting) for _ in range(4))
    both = tuple(part for text in texts[:8] for part in (server.data(text), data(text), data(text.encode())))
    return [
        Case(f"{name}: texts of all sizes", tuple(map(other.data, texts)), accepts(*texts), setting),
        Case(
            f"{name}: noise of all sizes",
            tuple(map(third.data, noises)),
            accepts(*noises),
            setting,
        ),
        Case(
            f"{name}: compressed and plain by turns",
            both,
            accepts(*[message for text in texts[:8] for message in (text, text, text.encode())]),
            setting,
        ),
        Case(
            f"{name}: whole, in fragments and plain by turns, with pings",
            tuple(
                part
                for text in texts[:8]
                for part in (
                    fourth.data(text),
                    *fourth.fragments(text, 3),
                    data(text),
                    ping(b"1"),
                    fourth.data(b""),
                )
            ),
            accepts(
                *[message for text in texts[:8] for message in (text, text, text, b"")], pongs=(b"1",) * 8
            ),
            setting,
        ),
        Case(
            f"{name}: the same text 50 times",
            tuple(map(Server(setting).data, [texts[5]] * 50)),
            accepts(*[texts[5]] * 50),
            setting,
        ),
        Case(
            f"{name}: stored, not compressed",
            tuple(map(Server(setting, level=0).data, texts)),
            accepts(*texts),
            setting,
        ),
        *(
            Case(
                f"{name}: text in {count} fragments",
                (data("a"), *Server(setting).fragments(feed_text(3000), count), data(b"b")),
                accepts("a", feed_text(3000), b"b"),
                setting,
            )
            for count in (2, 3, 64)
        ),
        Case(
            f"{name}: the client says the same thing three times",
            (data("a"), Say(texts[7]), Say(texts[7]), Say(b"\xff" * 70_000), Say(""), Say(texts[7])),
            Demand(("a",), said=(texts[7], texts[7], b"\xff" * 70_000, "", texts[7]), goes_on=True),
            setting,
        ),
    ]


_single = [
    Case(f"{kind} of {size} bytes", (Server().data(message), data("a")), accepts(message, "a"), DEFAULT)
    for size in SIZES
    for kind, message in (("text", feed_text(size)), ("noise", noise(size)))
]

HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
"""The RFC's own example, as are the next ones (section 7.2.3)."""
HELLO_AGAIN = b"\xf2\x00\x11\x00\x00"
HELLO_STORED = b"\x00\x05\x00\xfa\xffHello\x00"
HELLO_FINAL = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"
HELLO_IN_TWO_BLOCKS = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"
FRESH = SETTINGS["server_no_context_takeover"]


def packed(payload: bytes) -> bytes:
    return frame(FIN | RSV1 | TEXT, payload)


_examples = [
    Case("Hello", (packed(HELLO),), accepts("Hello"), DEFAULT),
    Case(
        "Hello in two fragments",
        fragments(TEXT, [HELLO[:3], HELLO[3:]], bits=RSV1),
        accepts("Hello"),
        DEFAULT,
    ),
    Case(
        "Hello, again with context", (packed(HELLO), packed(HELLO_AGAIN)), accepts("Hello", "Hello"), DEFAULT
    ),
    Case("Hello, again without", (packed(HELLO), packed(HELLO)), accepts("Hello", "Hello"), FRESH),
    Case("Hello, stored", (packed(HELLO_STORED), data("a")), accepts("Hello", "a"), DEFAULT),
    Case("Hello in two blocks", (packed(HELLO_IN_TWO_BLOCKS),), accepts("Hello"), DEFAULT),
    Case("Hello in a final block", (packed(HELLO_FINAL),), accepts("Hello"), DEFAULT, stands_alone=True),
    Case("Hello in final blocks without context", (packed(HELLO_FINAL),) * 3, accepts(*["Hello"] * 3), FRESH),
    Case(
        "Hello behind a final block",
        (packed(HELLO_FINAL), packed(HELLO)),
        accepts("Hello", "Hello"),
        DEFAULT,
        Deviation(
            "zlib's stream is over with a final block, and so is empty what follows", accepts("Hello", "")
        ),
        stands_alone=True,
    ),
    Case("an empty message as one byte", (packed(b"\0"),), accepts(""), DEFAULT),
    Case("an empty message as a stored block", (packed(b"\0\0\0\xff\xff\0"),), accepts(""), DEFAULT),
]

_first, _middle, _final = Server().fragments("fragments of a compressed message", 3)
_fragments = [
    Case(
        "pings between compressed fragments",
        (_first, ping(b"1"), _middle, ping(b"2"), _final),
        accepts("fragments of a compressed message", pongs=(b"1", b"2")),
        DEFAULT,
    ),
    Case(
        "empty fragments",
        (frame(RSV1 | TEXT), more(), more(HELLO), more(), last()),
        accepts("Hello"),
        DEFAULT,
    ),
    Case(
        "each byte in a fragment",
        fragments(TEXT, [HELLO[at : at + 1] for at in range(len(HELLO))], bits=RSV1),
        accepts("Hello"),
        DEFAULT,
    ),
    Case(
        "plain fragments behind compressed ones",
        (*Server().fragments("a" * 100, 3), *fragments(TEXT, [b"b", b"c"]), packed(HELLO)),
        accepts("a" * 100, "bc", "Hello"),
        DEFAULT,
    ),
    Case(
        "a new compressed message while one is not ended",
        (data("a"), _first, packed(HELLO)),
        refuses(PROTOCOL_ERROR, "a"),
        DEFAULT,
    ),
]

CASES = [
    *[case for name, setting in SETTINGS.items() for case in _sized(name, setting)],
    *_single,
    *_examples,
    *_fragments,
]
