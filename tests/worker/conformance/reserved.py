"""Reserved bits that no extension gives a meaning, and reserved opcodes (RFC 6455, section 5.2)."""

from __future__ import annotations

from tests.worker.conformance.case import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    Case,
    data,
    frame,
    ping,
    refuses,
)

OPCODES = {
    "text": TEXT,
    "binary": BINARY,
    "continuation": CONTINUATION,
    "close": CLOSE,
    "ping": PING,
    "pong": PONG,
}
RESERVED_OPCODES = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)


def bits_name(bits: int) -> str:
    return "+".join(f"RSV{number}" for number, bit in ((1, 4), (2, 2), (3, 1)) if bits & bit)


_bits = [
    Case(
        f"{bits_name(bits)} on {name} {what}",
        (
            data("a"),
            ping(b"b"),
            *((data("begun", bits=0),) if opcode == CONTINUATION else ()),
            frame(FIN | bits << 4 | opcode, payload),
        ),
        refuses(PROTOCOL_ERROR, "a", pongs=(b"b",)),
    )
    for bits in range(1, 8)
    for name, opcode in OPCODES.items()
    for what, payload in (
        ("without payload", b""),
        ("with payload", b"\x03\xe8bye" if opcode == CLOSE else b"Hello"),
    )
]
_bits_in_parts = [
    Case(
        f"{bits_name(bits)} on the first fragment of a {name}",
        (data("a"), frame(bits << 4 | opcode, b"part"), frame(FIN, b"part")),
        refuses(PROTOCOL_ERROR, "a"),
    )
    for bits in range(1, 8)
    for name, opcode in (("text", TEXT), ("binary", BINARY))
]
_bits_in_runs = [
    Case(
        f"{bits_name(bits)} amid 300 {name} frames",
        (
            *(frame(FIN | opcode, b"x"),) * 150,
            frame(FIN | bits << 4 | opcode, b"x"),
            *(frame(FIN | opcode, b"x"),) * 149,
        ),
        refuses(PROTOCOL_ERROR, *(["x"] if opcode == TEXT else [b"x"]) * 150),
    )
    for bits in (1, 2, 4, 7)
    for name, opcode in (("text", TEXT), ("binary", BINARY))
]

_opcodes = [
    Case(
        f"opcode {opcode} {'with' if fin else 'without'} FIN and {what}",
        (data("a"), frame(fin | opcode, payload)),
        refuses(PROTOCOL_ERROR, "a"),
    )
    for opcode in RESERVED_OPCODES
    for fin in (FIN, 0)
    for what, payload in (("no payload", b""), ("a payload", b"reserved"), ("200 bytes", b"r" * 200))
]
_opcodes_in_messages = [
    Case(
        f"opcode {opcode} inside a fragmented message",
        (data("begun", bits=0), frame(FIN | opcode, b"r"), frame(FIN, b"ended")),
        refuses(PROTOCOL_ERROR),
    )
    for opcode in RESERVED_OPCODES
]
_opcodes_of_headers = [
    Case(
        f"opcode {opcode} is refused at its second byte",
        (data("a"), bytes((FIN | opcode, 127))),
        refuses(PROTOCOL_ERROR, "a"),
    )
    for opcode in RESERVED_OPCODES
]

CASES = [
    *_bits,
    *_bits_in_parts,
    *_bits_in_runs,
    *_opcodes,
    *_opcodes_in_messages,
    *_opcodes_of_headers,
]
