"""Frames that no server may send, or no client should take: bytes for the wire."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from websockets.frames import Opcode

from scaleout.simulator.faults.knobs import BadFrame, Faults
from scaleout.simulator.framing import encode_frame, frame_header

NOT_UTF8 = b'{"text":"\xff\xfe\xed\xa0\x80"}'
_BODY = b'{"bad":true}'
_CLOSE = 0x8
_COMPRESSED = 0x40
_RESERVED_BIT = 0x10
_BOMB_PART_BYTES = 2**20
_END_OF_FLUSH = b"\x00\x00\xff\xff"


def bad_frame(kind: BadFrame, faults: Faults) -> bytes:
    """What is to be written for a kind of bad frame; of one that is cut off, what comes before the cut."""
    return _MADE[kind](faults)


def oversized(size_bytes: int) -> bytes:
    """A text message of that size."""
    return encode_frame(Opcode.TEXT, b'{"large":"' + b"x" * (size_bytes - 12) + b'"}')


def fragments(count: int, payload_bytes: int) -> bytes:
    """So many fragments from the middle of a message."""
    return encode_frame(Opcode.CONT, b"x" * payload_bytes, fin=False) * count


def needs_compression(kind: BadFrame) -> bool:
    """Whether a kind means anything only where compression was negotiated."""
    return kind in ("bomb", "broken_compression")


def _altered(frame: bytes, bits: int) -> bytes:
    return bytes((frame[0] | bits,)) + frame[1:]


def _of_opcode(opcode: int) -> bytes:
    return bytes((0x80 | opcode,)) + encode_frame(Opcode.TEXT, _BODY)[1:]


def _masked() -> bytes:
    key = b"\x0a\x0b\x0c\x0d"
    payload = bytes(byte ^ key[place % 4] for place, byte in enumerate(_BODY))
    return bytes((0x80 | Opcode.TEXT, 0x80 | len(payload))) + key + payload


def _bomb(size_bytes: int) -> bytes:
    """A compressed message that inflates to that size, rounded up to whole parts.

    After a full flush the compressor has forgotten what was before, so one compressed part can be repeated.
    """
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = compressor.compress(b"x" * _BOMB_PART_BYTES) + compressor.flush(zlib.Z_FULL_FLUSH)
    data = part * max(1, -(-size_bytes // _BOMB_PART_BYTES))
    return _altered(encode_frame(Opcode.TEXT, data.removesuffix(_END_OF_FLUSH)), _COMPRESSED)


def _close(payload: bytes) -> bytes:
    return bytes((0x80 | _CLOSE, len(payload))) + payload


_MADE: dict[BadFrame, Callable[[Faults], bytes]] = {
    "reset_mid_frame": lambda faults: frame_header(Opcode.TEXT, 2 * len(_BODY)) + _BODY,
    "eof_mid_frame": lambda faults: frame_header(Opcode.TEXT, 2 * len(_BODY)) + _BODY,
    "reserved_bits": lambda faults: _altered(encode_frame(Opcode.TEXT, _BODY), _RESERVED_BIT),
    "reserved_opcode": lambda faults: _of_opcode(0x3),
    "reserved_control_opcode": lambda faults: _of_opcode(0xB),
    "masked": lambda faults: _masked(),
    "endless_fragments": lambda faults: encode_frame(Opcode.TEXT, b"x" * faults.fragment_bytes, fin=False),
    "bomb": lambda faults: _bomb(faults.bomb_bytes),
    "broken_compression": lambda faults: _altered(encode_frame(Opcode.TEXT, b"\xff" * 20), _COMPRESSED),
    "ping_flood": lambda faults: b"".join(
        encode_frame(Opcode.PING, b"%d" % number) for number in range(faults.flood_pings)
    ),
    "large_control": lambda faults: encode_frame(Opcode.PING, b"x" * 126),
    "fragmented_control": lambda faults: encode_frame(Opcode.PING, b"x", fin=False),
    "lone_continuation": lambda faults: encode_frame(Opcode.CONT, _BODY),
    "nested_message": lambda faults: (
        encode_frame(Opcode.TEXT, b'{"bad":', fin=False) + encode_frame(Opcode.TEXT, _BODY)
    ),
    "bad_close_code": lambda faults: _close((1005).to_bytes(2, "big")),
    "bad_close_reason": lambda faults: _close((1000).to_bytes(2, "big") + b"\xff\xfe"),
    "short_close": lambda faults: _close(b"\x03"),
    "huge_length": lambda faults: frame_header(Opcode.TEXT, 2**62) + _BODY,
}
