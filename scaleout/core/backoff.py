"""The delay before a reconnect: exponential backoff with full jitter.

Full jitter draws each delay between 0 and a bound that grows (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015): of all variants it spreads a crowd of clients best.
"""

from __future__ import annotations

from random import Random

from scaleout.config import Backoff

HEALTHY_AFTER_S = 30.0
"""A session that lived so long and delivered data was a good one: the bound starts over."""


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

    def next_delay(self) -> float:
        """Draw the delay before the next attempt, in seconds."""
        policy = self._policy
        try:
            bound = min(policy.maximum, policy.initial * policy.factor**self._attempts)
        except OverflowError:
            bound = policy.maximum
        self._attempts += 1
        return self._rng.uniform(0.0, bound)
