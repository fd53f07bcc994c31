# cython: annotation_typing=False
"""Finds the payloads of plain data frames in a read, and reads the headers of all other frames.

A *plain* frame is one that needs no protocol state: FIN set, no reserved bit, opcode text or binary, not
masked, not larger than the limit (RFC 6455, section 5.2). On a busy feed nearly every frame is one, so the
scan is a single pass, of a few looks and a slice for each frame. Where this file isn't compiled, and many short
ones follow each other, it is a chain of iterators that run in C.
"""

from __future__ import annotations

from enum import IntEnum
from io import BytesIO
from itertools import repeat
from typing import NamedTuple


class Kind(IntEnum):
    """Kind of a data message; the value is the first byte of its plain frame."""

    TEXT = 0x81
    BINARY = 0x82


NO_LIMIT = 2**62
"""No payload is larger."""
IS_COMPILED = not __file__.endswith((".py", ".pyc"))
"""Whether this runs as an extension module: then a plain loop is the fastest."""

_TEXT = int(Kind.TEXT)
_BINARY = int(Kind.BINARY)
_OPCODES = frozenset((0, 1, 2, 8, 9, 10))

_SHORT = 2048
"""Payloads of fewer bytes are worth the loop in C: with longer ones, other work takes most of the time."""
_SHORT_LENGTHS: dict[tuple[int, int], dict[bytes, int]] = {
    **{(kind, 2): {bytes((kind, length)): length for length in range(126)} for kind in Kind},
    **{
        (kind, 4): {bytes((kind, 126, length >> 8, length & 255)): length for length in range(126, _SHORT)}
        for kind in Kind
    },
}
"""By the first byte and the size of a header: the length of the payload, by the header."""
_MANY_BYTES = 4096
"""With so much data it pays to start the loop in C, and to start it again."""
_MANY_FRAMES = 16
"""It did pay when it found so many."""


def scan_run(data: bytes, position: int, limit: int) -> tuple[list[bytes], int]:
    """Slice out the run of complete plain frames of one kind that starts at `position`.

    Args:
        data: bytes as they came from the transport.
        position: index of a frame's first byte.
        limit: largest payload in bytes that counts as plain; at most `NO_LIMIT`.

    Returns:
        The payloads, and the index of the first byte behind the run: there the data ends, or a frame begins
        that is incomplete, of the other kind, or not plain.
    """
    payloads: list[bytes] = []
    octets = data
    end = len(data)
    if position >= end:
        return payloads, position
    first = octets[position]
    if first != _TEXT and first != _BINARY:
        return payloads, position
    patience = _MANY_BYTES
    short_from = position if end - position >= patience and limit >= _SHORT and not IS_COMPILED else end
    while position + 2 <= end and octets[position] == first:
        if position >= short_from:
            before = len(payloads)
            position = _scan_short(data, position, first, payloads)
            if len(payloads) < before + _MANY_FRAMES:
                patience *= 4
            short_from = position + patience
            continue
        length = octets[position + 1]
        start = position + 2
        if length >= 126:
            if length > 127:
                break
            start += 2 if length == 126 else 8
            if start > end:
                break
            length = 0
            for index in range(position + 2, start):
                length = length << 8 | octets[index]
        if length > limit or start + length > end:
            break
        payloads.append(data[start : start + length])
        position = start + length
    return payloads, position


def _scan_short(data: bytes, position: int, first: int, payloads: list[bytes]) -> int:
    """Append the payloads of a run's next frames that are short; returns the index behind them.

    They end where a header is not in the table, or not of the same size as the one at `position`. Until then no
    line of Python runs: reading a header, looking it up and reading the payload are links of one chain.
    """
    header_size = 4 if data[position + 1] == 126 else 2
    lengths = _SHORT_LENGTHS[first, header_size]
    stream = BytesIO(data)
    stream.seek(position)
    before = len(payloads)
    try:
        payloads.extend(map(stream.read, map(lengths.__getitem__, map(stream.read, repeat(header_size)))))
    except KeyError as unknown:
        header: bytes = unknown.args[0]
    stop = stream.tell() - len(header)
    if not header and len(payloads) > before:
        # The data is at its end, and so perhaps before the end of the last payload.
        start = len(data) - len(payloads[-1])
        if len(payloads[-1]) < lengths[data[start - header_size : start]]:
            payloads.pop()
            stop = start - header_size
    return stop


class Header(NamedTuple):
    """What the header of a frame says."""

    first: int
    """First byte: FIN, reserved bits and opcode."""
    masked: bool
    size: int
    """Bytes before the payload of an unmasked frame."""
    length: int
    """Bytes of payload."""

    def is_hopeless(self, limit: int) -> bool:
        """Whether the header alone is reason enough for a client to fail the connection."""
        return self.masked or self.length > limit or self.first & 0x0F not in _OPCODES


def read_header(data: bytes, position: int) -> Header | None:
    """Read the header of the frame that starts at `position`; None while it is incomplete.

    A header whose first two bytes are hopeless is taken for complete, whatever length it says.
    """
    available = len(data) - position
    if available < 2:
        return None
    second = data[position + 1]
    length = second & 0x7F
    size = 4 if length == 126 else 10 if length == 127 else 2
    if size > 2 and available >= size:
        length = int.from_bytes(data[position + 2 : position + size], "big")
    header = Header(data[position], second >= 0x80, size, length)
    if available < size and not header.is_hopeless(length):
        return None
    return header


def first_invalid_text(payloads: list[bytes]) -> int | None:
    """Index of the first payload that is not valid UTF-8, or None when all of them are.

    A look at the bytes settles the common case, ASCII throughout.
    """
    if are_ascii(payloads):
        return None
    for index, payload in enumerate(payloads):
        try:
            payload.decode()
        except UnicodeDecodeError:
            return index
    return None


def are_ascii(payloads: list[bytes]) -> bool:
    """Whether none of the payloads has a byte above 127."""
    if not IS_COMPILED:
        return b"".join(payloads).isascii() if len(payloads) != 1 else payloads[0].isascii()
    for payload in payloads:  # noqa: SIM110 (a generator isn't compiled to a loop)
        if not _is_ascii(payload, len(payload)):
            return False
    return True


def _is_ascii(octets: bytes, size: int) -> bool:
    seen = 0
    for index in range(size):
        seen |= octets[index]
    return seen < 128


def size_of(payloads: list[bytes]) -> int:
    """Bytes of all payloads together."""
    if not IS_COMPILED:
        return sum(map(len, payloads))
    size = 0
    for payload in payloads:
        size += len(payload)
    return size
