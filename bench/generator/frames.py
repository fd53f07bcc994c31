"""A cycle of messages → the bytes on the wire."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from websockets.frames import Opcode

from bench.feed import Deflate
from scaleout.simulator.framing import encode_frame

BLOCK_BYTES = 256 * 1024
COMPRESSED = 0x40
"""The bit of a frame that says so."""
_FLUSH_TAIL = b"\x00\x00\xff\xff"
"""What a sync flush ends with, and what permessage-deflate leaves out."""


class Frames(NamedTuple):
    """What a connection gets: first `lead`, then `loop` over and over, message by message."""

    lead: list[bytes]
    loop: list[bytes]


def encode(messages: Sequence[bytes], deflate: Deflate) -> Frames:
    """Encode a cycle.

    With context takeover a message is compressed with what came before it. What comes before the messages of the
    second cycle comes before those of all later ones too, so that they can be sent for ever.
    """
    if deflate == "off":
        plain = [encode_frame(Opcode.TEXT, message) for message in messages]
        return Frames(plain, plain)
    if deflate == "fresh":
        fresh = [_frame(_compressed(message, _compressor())) for message in messages]
        return Frames(fresh, fresh)
    compressor = _compressor()
    lead, loop = ([_frame(_compressed(message, compressor)) for message in messages] for _ in range(2))
    return Frames(lead, loop)


def blocks(frames: Iterable[bytes]) -> list[bytes]:
    """Frames put together, so many bytes at a time; no frame is cut."""
    return list(_blocks(frames))


def _blocks(frames: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for frame in frames:
        block += frame
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _compressor() -> zlib._Compress:
    # The window must be smaller than a cycle, or the second would not be like the later ones.
    return zlib.compressobj(level=6, wbits=-15, memLevel=8)


def _compressed(message: bytes, compressor: zlib._Compress) -> bytes:
    whole = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(_FLUSH_TAIL)


def _frame(payload: bytes) -> bytes:
    frame = bytearray(encode_frame(Opcode.TEXT, payload))
    frame[0] |= COMPRESSED
    return bytes(frame)
