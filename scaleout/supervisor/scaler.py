"""Has the number of workers follow the load, where it is `auto`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from scaleout.config import Scaling
from scaleout.core.scaling import Autoscaler, WorkerLoad
from scaleout.errors import ControlError

LOOK_EVERY_S = 1.0
LOOKS_PER_PATIENCE = 5
"""At least so many within `up_after`."""

_log = logging.getLogger("scaleout.scaling")


class House(Protocol):
    """What is looked at, and changed."""

    def worker_loads(self) -> Sequence[WorkerLoad] | None:
        """How busy each worker is; None while one of them is starting, being restarted, or being retired."""

    def endpoint_count(self) -> int:
        """How many endpoints there are that workers have something to do for."""

    async def scale(self, workers: int) -> None:
        """Have so many workers.

        Raises:
            ControlError: that can't be.
        """


class Scaler:
    """Looks at the workers at intervals, and has some added or retired where that is due.

    Args:
        scaling: the bounds, levels and times.
        cores: how many workers there may be where `scaling` doesn't say.
        house: whose workers.
    """

    def __init__(self, scaling: Scaling, cores: int, house: House) -> None:
        self._autoscaler = Autoscaler(scaling, cores)
        self._house = house
        self._every_s = min(LOOK_EVERY_S, scaling.up_after / LOOKS_PER_PATIENCE)

    async def keep_scaling(self) -> None:
        """Look at intervals, until cancelled; while a change is being made, nothing is looked at."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._every_s)
            await self.look(loop.time())

    async def look(self, now: float) -> None:
        """Look once, and change what is to be changed."""
        loads = self._house.worker_loads()
        if loads is None:
            return
        decision = self._autoscaler.look(now, loads, self._house.endpoint_count())
        if decision is None:
            return
        _log.info("%s", decision.why)
        try:
            await self._house.scale(decision.workers)
        except ControlError as exc:
            _log.warning("the number of workers can't be changed, trying again: %s", exc)
