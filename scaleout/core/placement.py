"""Which worker runs which endpoint: by declared weight, heaviest first, each to the least loaded worker.

The greedy rule (longest processing time first; Graham, 1969) is at most a third above the best possible load.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def place(weights: Mapping[int, float], workers: Sequence[int]) -> dict[int, int]:
    """Spread slots over workers.

    Args:
        weights: each slot's weight.
        workers: ids of the workers; at least one.

    Returns:
        Each slot's worker. Equal weights are spread evenly, and the same input gives the same placement.
    """
    loads = [(0.0, 0, worker) for worker in workers]
    heapq.heapify(loads)
    placement: dict[int, int] = {}
    for slot in sorted(weights, key=lambda slot: (-weights[slot], slot)):
        load, count, worker = heapq.heappop(loads)
        placement[slot] = worker
        heapq.heappush(loads, (load + weights[slot], count + 1, worker))
    return placement
