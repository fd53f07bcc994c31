# cython: annotation_typing=False
"""Sizes that a frame's header says, without an object for it (RFC 6455, section 5.2)."""

from __future__ import annotations


def header_size(second: int) -> int:
    """Size of a frame's header by its second byte; 0: there is a mask, which no server may use."""
    if second < 126:
        return 2
    return 4 if second == 126 else 10 if second == 127 else 0


def payload_size(octets: bytes, position: int, header: int) -> int:
    """Size of the payload that the header at `position` says; it is complete and of that size."""
    if header == 2:
        return octets[position + 1]
    length = 0
    for index in range(position + 2, position + header):
        length = length << 8 | octets[index]
    return length
