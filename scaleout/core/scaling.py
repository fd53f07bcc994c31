"""How many workers there should be: more where the load stays high, fewer where it stays low.

What counts is the load in cores: the sum of how busy the workers are, smoothed. More workers must have been needed
for a while, fewer for a longer one. Fewer are tried only where the highest load of that while would leave each of
the fewer ones clearly below the level at which workers are added: so a load that repeats within that while, however
it swings, comes to rest at one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp2

from msgspec import Struct

from scaleout.config import Scaling

MARGIN = 0.1
"""Fewer workers must stay below `up_at` by that share of it."""
LATE_S = 0.5
"""A worker whose loop is so late is full, whatever CPU time it uses: it waits for a core, or for its processors."""
TOLD_LATE = 0.1
"""That is told where it makes so much of a difference."""
HALF_LIVES = 5
"""Half-lives of the smoothing that fit into `up_after`."""


class WorkerLoad(Struct, frozen=True):
    """How busy a worker is."""

    cpu: float
    """CPU seconds per second: 1.0 is a whole core."""
    lag_s: float = 0.0
    """How late its event loop is."""

    @property
    def share(self) -> float:
        """Of a core: what it uses, or what its lag stands for where that is more."""
        return max(0.0, self.cpu, min(1.0, self.lag_s / LATE_S))


class Decision(Struct, frozen=True):
    """How many workers there are to be."""

    workers: int
    why: str
    """One sentence."""


class Autoscaler:
    """Decides, look by look, how many workers there should be.

    After a change of their number, and at the beginning, it waits for as long as `up_after` before it judges:
    workers that start, and endpoints that move, take more than usual.

    Args:
        scaling: the bounds, levels and times.
        cores: how many workers there may be where `scaling` doesn't say.
    """

    def __init__(self, scaling: Scaling, cores: int) -> None:
        self._scaling = scaling
        self._maximum = scaling.max if scaling.max is not None else cores
        self._calm = scaling.up_at * (1 - MARGIN)
        """What fewer workers must stay below, each."""
        self._target = min((scaling.up_at + scaling.down_at) / 2, self._calm)
        """What each is to have after a change of more than one."""
        self._half_life_s = scaling.up_after / HALF_LIVES
        self._workers = 0
        self._load = 0.0
        """In cores."""
        self._is_late = False
        self._looked_at: float | None = None
        self._judges_from = 0.0
        self._high_since: float | None = None
        self._low_since: float | None = None
        self._peak = 0.0
        """The highest load since it has been low."""

    def __repr__(self) -> str:
        return f"<Autoscaler: {self._load:.2f} cores, {self._workers} workers>"

    def look(self, now: float, loads: Sequence[WorkerLoad], endpoints: int) -> Decision | None:
        """Take in how busy the workers are.

        Args:
            now: in seconds, of a clock that never goes back.
            loads: of every worker.
            endpoints: how many there are to be spread over them; more workers than that aren't wanted.

        Returns:
            What is to be changed; None: nothing.
        """
        was_interrupted = self._looked_at is None or now - self._looked_at > self._scaling.up_after
        self._smooth(now, loads)
        if was_interrupted or len(loads) != self._workers:
            self._workers = len(loads)
            self._wait(now)
        if now < self._judges_from:
            return None
        self._follow(now)
        decision = self._decide(now, endpoints)
        if decision is not None:
            self._wait(now)
        return decision

    def _smooth(self, now: float, loads: Sequence[WorkerLoad]) -> None:
        seen = sum(load.share for load in loads)
        self._is_late = any(load.share > load.cpu + TOLD_LATE for load in loads)
        if self._looked_at is None:
            self._load = seen
        else:
            self._load += (seen - self._load) * (1 - exp2(-(now - self._looked_at) / self._half_life_s))
        self._looked_at = now

    def _wait(self, now: float) -> None:
        self._judges_from = now + self._scaling.up_after
        self._high_since = self._low_since = None

    def _follow(self, now: float) -> None:
        """Note since when the load has been high, or low."""
        scaling, workers = self._scaling, self._workers
        if self._load <= scaling.up_at * workers:
            self._high_since = None
        elif self._high_since is None:
            self._high_since = now
        if self._load >= min(scaling.down_at * workers, self._calm * (workers - 1)):
            self._low_since = None
        elif self._low_since is None:
            self._low_since, self._peak = now, self._load
        else:
            self._peak = max(self._peak, self._load)

    def _decide(self, now: float, endpoints: int) -> Decision | None:
        scaling, workers = self._scaling, self._workers
        most = max(scaling.min, min(self._maximum, endpoints))
        if workers < scaling.min:
            return self._change(scaling.min, f"there are to be {scaling.min} at least")
        if workers > most:
            few = f"there are {endpoints} endpoints" if endpoints < self._maximum else "that is the maximum"
            return self._change(most, f"{few}, so that there are to be {most} at the most")
        if self._high_since is not None and now - self._high_since >= scaling.up_after:
            return self._change(min(most, ceil(self._load / self._target)), self._busy(self._load))
        if self._low_since is not None and now - self._low_since >= scaling.down_after:
            enough = min(workers - 1, max(workers // 2, ceil(self._peak / self._target)))
            return self._change(max(scaling.min, enough), self._busy(self._peak))
        return None

    def _change(self, wanted: int, why: str) -> Decision | None:
        difference = wanted - self._workers
        if not difference:
            return None
        return Decision(wanted, f"{why}: {'adding' if difference > 0 else 'retiring'} {abs(difference)}")

    def _busy(self, load: float) -> str:
        workers = self._workers
        each = f"{load / workers:.2f} of a core"
        used = f"1 worker uses {each}" if workers == 1 else f"{workers} workers use {each} each"
        return f"{used}, late loops counted as busy ones" if self._is_late else used
