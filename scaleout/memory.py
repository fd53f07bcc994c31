"""How processes that run for long, and fast, treat memory: what is freed is kept, and cycles are seldom looked for.

Every read of a busy feed takes some blocks of several hundred KiB and frees them. glibc's malloc hands free memory
at the end of its heap back beyond a threshold, and each page of it costs a fault when it is taken again: about a
tenth of the time of the message path.

Each batch makes some hundred objects that the collector counts, and frees them without its help. It would look for
cycles among them after every few batches, which takes some percent of the time, and now and then among all objects
of the program.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

KEPT_BYTES = 4 * 2**20
"""At most twice that much freed memory is kept."""


def keep_freed() -> None:
    """Raise the threshold of this process; of other allocators than glibc's this asks nothing.

    The threshold follows the largest block that was mapped by itself and freed (M_MMAP_THRESHOLD in mallopt(3)).
    The block's pages are never touched.
    """
    bytes(KEPT_BYTES)


THRESHOLDS = (20_000, 20, 20)
"""Objects made and not freed until the youngest are looked at, and looks at those until older ones are, too."""


def collect_rarely() -> None:
    """Look for cycles among new objects alone from now on, and not often: what there is by now stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """The same for a while, in a process that is somebody else's before and after."""
    thresholds, was_frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    collect_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not was_frozen:
            gc.unfreeze()
