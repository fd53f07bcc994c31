"""WebSocket frames as a server sends them: unmasked, encoded once and written many times."""

from __future__ import annotations

from collections.abc import Iterable

from websockets.frames import Opcode

_FIN = 0x80
_SHORT_LIMIT = 126
_MEDIUM_LIMIT = 1 << 16


def frame_header(opcode: Opcode, payload_bytes: int, *, fin: bool = True) -> bytes:
    """The header of a frame whose payload is so many bytes long."""
    first = opcode | (_FIN if fin else 0)
    if payload_bytes < _SHORT_LIMIT:
        return bytes((first, payload_bytes))
    if payload_bytes < _MEDIUM_LIMIT:
        return bytes((first, 126)) + payload_bytes.to_bytes(2, "big")
    return bytes((first, 127)) + payload_bytes.to_bytes(8, "big")


def encode_frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """A whole frame."""
    return frame_header(opcode, len(payload), fin=fin) + payload


def encode_fragments(opcode: Opcode, payload: bytes, pieces: int, between: Iterable[bytes] = ()) -> bytes:
    """A message in several frames.

    Args:
        opcode: of the message, hence of its first frame.
        payload: cut into pieces of nearly equal length; characters of a text may be cut too.
        pieces: how many frames; at least 1.
        between: encoded control frames that go after the first fragment.
    """
    size = -(-len(payload) // pieces)
    frames = [
        encode_frame(
            opcode if piece == 0 else Opcode.CONT,
            payload[piece * size : (piece + 1) * size],
            fin=piece == pieces - 1,
        )
        for piece in range(pieces)
    ]
    return b"".join((frames[0], *between, *frames[1:]))
