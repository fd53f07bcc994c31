"""Which core is whose: each worker has one, round robin, and what else there is stays off them where it can."""

from __future__ import annotations

from collections.abc import Iterable


class Pins:
    """The cores of a run.

    Args:
        cores: that it may use; one at the least.
    """

    def __init__(self, cores: Iterable[int]) -> None:
        self.cores = tuple(sorted(cores))

    def of_worker(self, worker: int) -> int:
        """The core of a worker, by its id."""
        return self.cores[worker % len(self.cores)]

    def beside(self, workers: Iterable[int]) -> tuple[int, ...]:
        """The cores that none of these workers has; all, where none is left."""
        taken = {self.of_worker(worker) for worker in workers}
        return tuple(core for core in self.cores if core not in taken) or self.cores
