"""The share of invalid messages of late: a few are dead letters, many mean that the session itself is wrong."""

from __future__ import annotations

from collections import deque

MIN_MESSAGES = 20
"""Fewer say nothing: one bad first message would be all of them."""
BUCKETS = 10
"""The window moves on by this part of its length."""


class InvalidShare:
    """Counts valid and invalid messages in a sliding window, in memory that doesn't grow with their rate.

    The window moves in steps of a tenth: it holds all of the last nine tenths of its length, and nothing older
    than its length.

    Args:
        share: limit of the share of invalid messages, between 0 and 1.
        window_s: length of the window, in seconds.
    """

    def __init__(self, share: float, window_s: float) -> None:
        self._share = share
        self._step_s = window_s / BUCKETS
        self._buckets: deque[tuple[int, int, int]] = deque()
        """Of each step: its number, its messages, and the invalid ones among them."""
        self._messages = 0
        self._invalid = 0

    def __repr__(self) -> str:
        return f"<InvalidShare {self._invalid} of {self._messages}, limit {self._share:g}>"

    def note(self, now: float, valid: int, invalid: int) -> bool:
        """Take note of messages; whether the share of invalid ones in the window exceeds the limit.

        Args:
            now: monotonic time in seconds.
            valid: how many messages were valid.
            invalid: how many were not.
        """
        self._add(int(now // self._step_s), valid + invalid, invalid)
        return self._messages >= MIN_MESSAGES and self._invalid > self._share * self._messages

    def reset(self) -> None:
        """Forget all messages: those of another session say nothing about this one."""
        self._buckets.clear()
        self._messages = self._invalid = 0

    def _add(self, step: int, messages: int, invalid: int) -> None:
        buckets = self._buckets
        while buckets and buckets[0][0] <= step - BUCKETS:
            _, old_messages, old_invalid = buckets.popleft()
            self._messages -= old_messages
            self._invalid -= old_invalid
        self._messages += messages
        self._invalid += invalid
        if buckets and buckets[-1][0] == step:
            _, same_messages, same_invalid = buckets.pop()
            messages += same_messages
            invalid += same_invalid
        buckets.append((step, messages, invalid))
