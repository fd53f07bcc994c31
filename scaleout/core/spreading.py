"""How many processors an endpoint needs: from its message rate, and from what a message takes.

A processor is a helper process. Without any, the messages are processed by the worker that has the connection,
which has other things to do as well. One is added when the rate has asked for it for a few seconds, and given
back when it has not been needed for much longer: a start costs a part of a second of CPU time.
"""

from __future__ import annotations

import math

WORKER_SHARE = 0.6
"""Of a core: how much of it processing may take in the worker itself."""
PROCESSOR_SHARE = 0.75
"""Of a core: how busy each processor may be."""
GIVE_BACK_SHARE = 0.75
"""How much of what fewer processors may take there may be, at the most, for one to be given back."""
ADD_AFTER_S = 3.0
"""How long the rate must have asked for more."""
GIVE_BACK_AFTER_S = 20.0
"""How long the rate must have asked for fewer."""
HALF_LIFE_S = 1.0
"""Of what was measured: so much later it counts half."""


def capacity(processors: int) -> float:
    """Seconds of processing per second that so many processors may be given; 0: their worker itself."""
    return PROCESSOR_SHARE * processors if processors else WORKER_SHARE


class Spreading:
    """Follows one endpoint, and says how many processors it should have.

    Args:
        most: how many there may be, the usable cores.
        processors: how many there are at first.
    """

    def __init__(self, most: int, processors: int = 0) -> None:
        self.processors = min(processors, most)
        """How many there should be."""
        self.messages_per_s = 0.0
        self.load = 0.0
        """Seconds of processing per second."""
        self._most = most
        self._weight = 0.0
        self._measured_at: float | None = None
        self._more_since: float | None = None
        self._fewer_since: float | None = None
        self._peak = 0.0
        """The highest load since fewer are asked for, but for the first half of the time that takes."""

    def __repr__(self) -> str:
        return f"<Spreading: {self.explain()}>"

    @property
    def message_s(self) -> float:
        """What a message takes, in seconds."""
        return self.load / self.messages_per_s if self.messages_per_s else 0.0

    def explain(self) -> str:
        """How many processors there should be, and why, in words."""
        what = f"{self.messages_per_s:,.0f} messages/s at {_in_words(self.message_s)} each"
        if not self.processors:
            return f"no processors, the worker itself has time for {what}"
        return f"{self.processors} processor{'s' if self.processors > 1 else ''}, for {what}"

    def observe(self, now: float, messages: int, busy_s: float) -> bool:
        """Take note of what was processed since the last call.

        Args:
            now: monotonic time in seconds.
            messages: processed since then.
            busy_s: seconds that their processing took, over all processes.

        Returns:
            Whether there should be another number of processors from now on.
        """
        if self._measured_at is None or now <= self._measured_at:
            self._measured_at = now
            return False
        self._average(now - self._measured_at, messages, busy_s)
        self._measured_at = now
        wanted = self._wanted(now)
        if wanted == self.processors:
            return False
        self.processors = wanted
        self._more_since = self._fewer_since = None
        return True

    def _average(self, elapsed_s: float, messages: int, busy_s: float) -> None:
        """Put a measurement into the averages; its weight is a share of all weights there are so far."""
        kept = 0.5 ** (elapsed_s / HALF_LIFE_S)
        self._weight = self._weight * kept + (1 - kept)
        share = (1 - kept) / self._weight
        self.messages_per_s += share * (messages / elapsed_s - self.messages_per_s)
        self.load += share * (busy_s / elapsed_s - self.load)

    def _wanted(self, now: float) -> int:
        processors = self.processors
        if self.load > capacity(processors) and processors < self._most:
            self._fewer_since = None
            if self._more_since is None:
                self._more_since = now
            return self._needed() if now - self._more_since >= ADD_AFTER_S else processors
        self._more_since = None
        if not processors or self.load > GIVE_BACK_SHARE * capacity(processors - 1):
            self._fewer_since = None
            return processors
        if self._fewer_since is None:
            self._fewer_since, self._peak = now, 0.0
        since_s = now - self._fewer_since
        if since_s >= GIVE_BACK_AFTER_S / 2:  # until then the average was still falling
            self._peak = max(self._peak, self.load)
        return self._enough() if since_s >= GIVE_BACK_AFTER_S else processors

    def _needed(self) -> int:
        """As many as the load asks for, more than there are: what can't be taken can't be measured either."""
        return min(self._most, max(self.processors + 1, math.ceil(self.load / PROCESSOR_SHARE)))

    def _enough(self) -> int:
        """The fewest that the highest load leaves room in."""
        return next(n for n in range(self.processors) if self._peak <= GIVE_BACK_SHARE * capacity(n))


def _in_words(seconds: float) -> str:
    """A duration with three digits at the most."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.2g} µs"
