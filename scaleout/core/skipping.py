# cython: annotation_typing=False
"""Passes over the data of a connection that is being closed, to find what is no data: the peer's goodbye."""

from __future__ import annotations

from scaleout.core.frames import NO_LIMIT
from scaleout.core.headers import header_size, payload_size

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
        header = header_size(octets[position + 1])
        if not header or position + header > end:
            break
        length = payload_size(octets, position, header)
        if length > NO_LIMIT:
            break
        position += header + length
    return position
