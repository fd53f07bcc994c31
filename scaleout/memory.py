"""Keeps freed memory in the process: between two reads it would go back to the system, only to be asked for again.

Every read of a busy feed takes some blocks of several hundred KiB and frees them. glibc's malloc hands free memory
at the end of its heap back beyond a threshold, and each page of it costs a fault when it is taken again: about a
tenth of the time of the message path.
"""

from __future__ import annotations

KEPT_BYTES = 4 * 2**20
"""At most twice that much freed memory is kept."""


def keep_freed() -> None:
    """Raise the threshold of this process; of other allocators than glibc's this asks nothing.

    The threshold follows the largest block that was mapped by itself and freed (M_MMAP_THRESHOLD in mallopt(3)).
    The block's pages are never touched.
    """
    bytes(KEPT_BYTES)
