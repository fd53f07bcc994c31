"""How long two connections to one feed are compared, and when it is in vain to wait any longer."""

from __future__ import annotations

import math
from collections import deque

from scaleout.worker.handover.overlap import ENOUGH

SLOW_FEED_S = 1.0
"""On a slow feed, as many messages in common will do as come in that time."""
RECENT_S = 5.0
"""How slow a feed is, is said by what has come lately, too: it may begin with a snapshot, or what had waited."""
SAMPLE_S = 1.0
"""Between two notes of how much has come."""
SILENT_S = 5.0
"""After that time without a message on either side, there is nothing to align."""
PATIENCE_S = 10.0
"""After that time without an alignment, there will be none: no connection lags so far behind another."""
OVERFULL_S = 1.0
"""The same as `SILENT_S`, where what the next connection brings is too much to be kept any longer."""
ORPHAN_PATIENCE_S = 3.0
"""The same where the old connection is gone, and nothing is delivered meanwhile."""


class Patience:
    """Follows when the old connection and the next one bring something.

    `now` is loop time. Patience goes by `clock_s`, which stands still while backpressure holds the
    connections back.

    Args:
        now: when the old connection is first listened to.
    """

    def __init__(self, now: float) -> None:
        self.clock_s = self._old_heard_s = 0.0
        self._looked_at = now
        self._heard_at = -math.inf
        self.begin(now)

    def begin(self, now: float) -> None:
        """Both connections are open, from here on."""
        self._opened_at = now
        self._together_since = self.clock_s
        self._samples: deque[tuple[float, int]] = deque(maxlen=1 + round(RECENT_S / SAMPLE_S))
        """When how many messages of the next connection had come."""
        self._wanted_since = math.inf
        self._old_alone_since = math.inf
        """When the old connection brought what was not followed by anything of the next one."""
        self.next_alone_since = math.inf
        """By the clock, when the next connection brought what was not followed by anything of the old one."""

    def pass_time(self, now: float, is_held: bool) -> None:
        """Let the clock run, or stand still since the last look."""
        if not is_held:
            self.clock_s += now - self._looked_at
        self._looked_at = now

    def hear_old(self, now: float) -> None:
        """The old connection has brought something."""
        self._heard_at = now
        self._old_heard_s = self.clock_s
        self._old_alone_since = min(self._old_alone_since, self.clock_s)
        self.next_alone_since = math.inf

    def hear_next(self, now: float) -> None:
        """The next connection has brought something."""
        self._heard_at = now
        self._old_alone_since = math.inf
        self.next_alone_since = min(self.next_alone_since, self.clock_s)

    def want(self) -> None:
        """The next connection is to take over as soon as it can."""
        self._wanted_since = min(self._wanted_since, self.clock_s)

    # What that says

    @property
    def horizon_s(self) -> float:
        """What is older than this, by the clock, won't come on the other connection any more.

        While the old one is silent, it has yet to show that it has more to bring.
        """
        is_silent = self.clock_s - self._old_heard_s >= SILENT_S
        return (self._old_heard_s if is_silent else self.clock_s) - PATIENCE_S

    @property
    def is_time_to_recognize(self) -> bool:
        """Whether the two have been compared for so long that they should have been aligned."""
        return self.clock_s - self._together_since >= SLOW_FEED_S

    @property
    def is_next_stuck(self) -> bool:
        """Whether the next connection is open, but doesn't bring what the old one does."""
        return self.clock_s - self._old_alone_since >= PATIENCE_S

    def is_old_silent(self, is_overfull: bool) -> bool:
        """Whether the old connection has brought nothing for a while after which the next one has.

        Args:
            is_overfull: whether that is too much to be kept any longer.
        """
        return self.clock_s - self.next_alone_since >= (OVERFULL_S if is_overfull else SILENT_S)

    def are_past_opening(self, now: float) -> bool:
        """Whether both have been open for a while, held back or not."""
        return now - self._opened_at >= SLOW_FEED_S

    def are_silent(self, now: float) -> bool:
        """Whether nothing comes on either of them."""
        return now - max(self._heard_at, self._opened_at) >= SILENT_S

    def minimum(self, now: float, messages: int) -> int:
        """How many messages in common are enough: on a slow feed, as many as come in a second.

        Args:
            now: loop time.
            messages: of the next connection, so far.
        """
        passed_s = now - self._opened_at
        if passed_s < SLOW_FEED_S:
            return ENOUGH
        samples = self._samples
        if not samples or now - samples[-1][0] >= SAMPLE_S:
            samples.append((now, messages))
        per_s = messages / passed_s
        at, before = samples[0]
        if now - at >= RECENT_S:
            per_s = min(per_s, (messages - before) / (now - at))
        return max(1, min(ENOUGH, math.ceil(per_s * SLOW_FEED_S)))

    @property
    def next_may_be_stuck(self) -> bool:
        """Whether the next connection hasn't brought for a while what the old one does."""
        return self.clock_s - self._old_alone_since >= SILENT_S

    def is_over(self, is_orphan: bool, is_known: bool) -> bool:
        """Whether an alignment that is wanted, and hasn't been found by now, won't be.

        Args:
            is_orphan: whether the old connection is gone.
            is_known: whether messages of one have ever been found in the other.
        """
        if not is_known and self._wanted_since - self._together_since >= PATIENCE_S:
            return True  # there has been time enough before the move was wanted
        patience_s = ORPHAN_PATIENCE_S if is_orphan else PATIENCE_S
        return self.clock_s - self._wanted_since >= patience_s
