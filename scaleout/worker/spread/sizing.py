"""How many messages a batch has: as many as take a helper some milliseconds, by what was seen."""

from __future__ import annotations

BATCH_S = 0.003
"""What the processing of a batch should take."""
MAX_BATCH = 256
"""Messages in a batch."""
FIRST_GUESS_S = 0.001
"""What a message takes, as long as nothing is known of that."""
LATEST_SHARE = 0.2
"""How much the latest batch counts."""


class Sizing:
    """Follows what a message takes."""

    def __init__(self) -> None:
        self._message_s = FIRST_GUESS_S

    def note(self, messages: int, busy_s: float) -> None:
        """A batch of so many messages took so long."""
        self._message_s += LATEST_SHARE * (busy_s / messages - self._message_s)

    def size(self, most: int) -> int:
        """Messages for the next batch.

        Args:
            most: how many it may have; it has one at the least.
        """
        return max(1, min(MAX_BATCH, most, int(BATCH_S / max(self._message_s, 1e-9))))
