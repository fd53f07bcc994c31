# cython: annotation_typing=False
"""Passes over the data of a connection that is being closed, to find what is no data: the peer's goodbye."""

from __future__ import annotations

_LAST_OF_DATA = 2
"""Opcodes up to this one are those of data: text, binary, and the rest of a message in fragments."""


def skip_data(data: bytes, position: int) -> int:
    """Pass over data frames, whatever is in them.

    Args:
        data: bytes as they came from the transport.
        position: index of a frame's first byte.

    Returns:
        The index behind them: there a frame begins that is no data or that no server may send, or one whose header
        isn't complete; beyond the end of the data where the last frame goes on there.
    """
    octets = data
    end = len(data)
    while position + 2 <= end and octets[position] & 15 <= _LAST_OF_DATA:
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
            if length >> 62:
                break
        position = start + length
    return position
