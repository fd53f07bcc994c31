"""Which core is whose."""

from __future__ import annotations

import pytest

from scaleout.core.pinning import Pins


@pytest.mark.parametrize(
    ("cores", "of_workers", "beside"),
    [
        ([0], [0, 0, 0], (0,)),
        ([1, 0], [0, 1, 0], (0, 1)),
        ([7, 2, 4], [2, 4, 7], (2, 4, 7)),
        ([2, 4, 7, 9, 11], [2, 4, 7], (9, 11)),
    ],
)
def test_workers_go_round_the_cores_and_the_rest_stays_off_them(
    cores: list[int], of_workers: list[int], beside: tuple[int, ...]
) -> None:
    pins = Pins(cores)
    assert [pins.of_worker(worker) for worker in range(3)] == of_workers
    assert pins.beside(range(3)) == beside
    assert pins.beside(()) == pins.cores == tuple(sorted(cores))
