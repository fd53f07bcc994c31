# cython: annotation_typing=False
"""The kinds of data frames, the headers of all frames, and whether payloads are text (RFC 6455, section 5)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """Kind of a data message; the value is the first byte of its plain frame."""

    TEXT = 0x81
    BINARY = 0x82


NO_LIMIT = 2**62
"""No payload is larger."""
IS_COMPILED = not __file__.endswith((".py", ".pyc"))
"""Whether this runs as an extension module: then a plain loop is the fastest."""

_OPCODES = frozenset((0, 1, 2, 8, 9, 10))


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
