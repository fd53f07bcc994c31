"""The delay before a reconnect: exponential backoff with full jitter.

Full jitter draws each delay between 0 and a bound that grows (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015): of all variants it spreads a crowd of clients best.
"""

from __future__ import annotations

from random import Random

from scaleout.config import Backoff

HEALTHY_AFTER_S = 30.0
"""A session that lived so long and delivered data was a good one: the bound starts over."""
SLOW_HEAD_START = 3
"""How many attempts a slow retry is ahead of a plain one."""
SPREAD = 0.1
"""Share of a delay that the server asked for which is added to it at most."""


class BackoffState:
    """Where one endpoint stands in its backoff."""

    def __init__(self, policy: Backoff, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self._attempts = 0

    def session_ended(self, lived_s: float, messages: int) -> None:
        """Take note of a session's end; only a good one starts the bound over.

        Without the two conditions a server that accepts and closes at once would be reconnected in a hot loop.
        """
        if lived_s >= HEALTHY_AFTER_S and messages > 0:
            self._attempts = 0

    def next_delay(self, slow: bool = False, at_least_s: float = 0.0) -> float:
        """Draw the delay before the next attempt, in seconds.

        Args:
            slow: the server asks for less: the bound is some attempts ahead, and the delay in its upper half.
            at_least_s: what the server asked to wait, whatever the bound says. Up to a tenth is added, so that
                a crowd that was told the same doesn't come back at one instant.
        """
        bound = self._bound(SLOW_HEAD_START if slow else 0)
        self._attempts += 1
        delay = self._rng.uniform(bound / 2 if slow else 0.0, bound)
        if at_least_s <= 0:
            return delay
        return max(delay, at_least_s * (1 + self._rng.uniform(0.0, SPREAD)))

    def _bound(self, head_start: int) -> float:
        policy = self._policy
        try:
            return min(policy.maximum, policy.initial * policy.factor ** (self._attempts + head_start))
        except OverflowError:
            return policy.maximum
