"""The circuit breaker of an endpoint: refused again and again, it is quarantined and only probed now and then."""

from __future__ import annotations

from random import Random

JITTER = 0.1
"""A probe comes earlier or later by at most this share of its delay, so that neighbours don't probe together."""


class Breaker:
    """Counts the ends that retrying won't heal: refusals, and renegotiations that didn't help.

    An end that calls for a plain retry says nothing about them: it neither counts nor starts the count over.

    Args:
        after: so many refusals in a row open it.
        probe_s: seconds between two probes while it is open.
    """

    def __init__(self, after: int = 3, probe_s: float = 300.0) -> None:
        self._after = after
        self._probe_s = probe_s
        self._refusals = 0

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Breaker {state}: {self._refusals} of {self._after} refusals>"

    @property
    def is_open(self) -> bool:
        """Whether the endpoint is quarantined."""
        return self._refusals >= self._after

    @property
    def refusals(self) -> int:
        """How many in a row."""
        return self._refusals

    def refused(self) -> bool:
        """Take note of a refusal; whether it is the one that opened the breaker."""
        self._refusals += 1
        return self._refusals == self._after

    def recovered(self) -> bool:
        """Take note of a session that delivered data or was acknowledged; whether that closed the breaker."""
        was_open = self.is_open
        self._refusals = 0
        return was_open

    def release(self) -> None:
        """Close it on a person's word, with as many refusals ahead as at first."""
        self._refusals = 0

    def probe_delay(self, rng: Random) -> float:
        """Draw the delay before the next probe of an open breaker, in seconds."""
        return self._probe_s * rng.uniform(1 - JITTER, 1 + JITTER)
