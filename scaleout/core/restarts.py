"""When to restart a worker that died: at once, unless it dies too often.

A sliding window over restart times, as in Erlang/OTP's supervisor (restart intensity). There the supervisor
gives up when the intensity is exceeded; here restarts become slow instead, because feeds run around the clock.
"""

from __future__ import annotations

from collections import deque


class RestartPolicy:
    """Restart intensity: `intensity` restarts within `period_s` are immediate, further ones are delayed.

    Args:
        intensity: restarts within the period that come without delay.
        period_s: length of the sliding window, in seconds.
        first_delay_s: delay of the first restart beyond the intensity, in seconds; it doubles with each further.
        longest_delay_s: bound of the delay, in seconds.
    """

    def __init__(
        self,
        intensity: int = 10,
        period_s: float = 60.0,
        first_delay_s: float = 1.0,
        longest_delay_s: float = 30.0,
    ) -> None:
        self._intensity = intensity
        self._period_s = period_s
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._deaths: deque[float] = deque()

    def delay_after_death(self, now: float) -> float:
        """Take note of a death and say how long to wait before the restart, in seconds.

        Args:
            now: monotonic time in seconds.
        """
        deaths = self._deaths
        deaths.append(now)
        while now - deaths[0] > self._period_s:
            deaths.popleft()
        excess = len(deaths) - self._intensity
        if excess <= 0:
            return 0.0
        return min(self._longest_delay_s, self._first_delay_s * 2.0 ** min(excess - 1, 30))
