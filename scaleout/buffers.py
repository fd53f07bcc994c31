"""Room for what is received, used again once nobody looks at it any more.

A new bytearray of some hundred KiB is filled with zeros only to be read over, and it is colder than the one before.
"""

from __future__ import annotations

SMALLEST_BYTES = 2**14
"""Smaller buffers are made as they are wanted."""
KEPT_BYTES = 4 * 2**20
"""So much is kept in all; larger buffers are never kept."""


class Buffers:
    """Makes buffers, and keeps them to be used again."""

    def __init__(self) -> None:
        self._kept: list[bytearray] = []
        self._kept_bytes = 0

    def view(self, size: int) -> memoryview:
        """Room for so many bytes, whatever these are as yet; it is this view's, and that of views taken of it."""
        if size < SMALLEST_BYTES:
            return memoryview(bytearray(size))
        buffer = self._take(size) or bytearray(1 << (size - 1).bit_length())
        if len(buffer) <= KEPT_BYTES:
            self._kept.append(buffer)
            self._kept_bytes += len(buffer)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.pop(0))
        return memoryview(buffer)[:size]

    def _take(self, size: int) -> bytearray | None:
        """The one of those kept that was used last, and is the warmest."""
        for index in range(len(self._kept) - 1, -1, -1):
            buffer = self._kept[index]
            if len(buffer) >= size and _is_free(buffer):
                del self._kept[index]
                self._kept_bytes -= len(buffer)
                return buffer
        return None


def _is_free(buffer: bytearray) -> bool:
    """Whether there is no view of it: Python lets nobody resize a bytearray while there is one."""
    try:
        buffer.pop()
    except BufferError:
        return False
    buffer.append(0)
    return True
