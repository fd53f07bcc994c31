"""One connection's place in one feed: what it was sent of it, and what is next."""

from __future__ import annotations

import time
from collections import deque

from scaleout.simulator.encoding import Block, Encoder
from scaleout.simulator.feed import Feed
from scaleout.simulator.records import StreamRecord


class Position:
    """Goes through a feed's messages.

    Args:
        feed: whose messages.
        encoder: the feed's own, whose blocks connections share, or one for this connection.
        start: number of the first message.
        lateness_s: how long ago the broadcast is seen.
    """

    def __init__(self, feed: Feed, encoder: Encoder, start: int, lateness_s: float) -> None:
        self.feed = feed
        self.block_messages = encoder.block_messages
        self.first = self.cursor = self.visible = start
        self.garbage = self.pings = self.skipped = self.repeated = 0
        self._encode = feed.block if encoder is feed.encoder else encoder.encode
        self._lateness_s = lateness_s
        self._positions: deque[tuple[float, int]] = deque()
        self._began_at = time.time()
        self._ended_at: float | None = None

    @property
    def passed(self) -> int:
        """How many message numbers this has gone through."""
        return self.cursor - self.first

    @property
    def messages(self) -> int:
        """How many messages were sent."""
        return self.passed - self.skipped + self.repeated

    def look(self, now_s: float) -> None:
        """Come to see the feed's position of a while ago."""
        if not self._lateness_s:
            self.visible = self.feed.position
            return
        self._positions.append((now_s, self.feed.position))
        while self._positions and self._positions[0][0] <= now_s - self._lateness_s:
            self.visible = max(self.visible, self._positions.popleft()[1])

    def skip_to_visible(self) -> None:
        """Begin with what comes next, where nothing was sent yet."""
        self.first = self.cursor = self.visible

    def take(self, stop: int, number: int) -> Block:
        """The messages up to before `stop`, the first of which is the connection's `number`-th."""
        block = self._encode(self.cursor, stop, number)
        self.garbage += block.garbage
        self.pings += block.pings
        self.skipped += block.skipped
        self.repeated += block.repeated
        self.cursor = self.feed.handed_out = stop
        return block

    def end(self) -> None:
        """Nothing more will be taken."""
        self._ended_at = time.time()

    def record(self) -> StreamRecord:
        """What was sent."""
        return StreamRecord(
            name=self.feed.plan.stream or self.feed.plan.name,
            endpoint=self.feed.plan.name,
            first=self.first if self.passed else None,
            last=self.cursor - 1 if self.passed else None,
            messages=self.messages,
            skipped=self.skipped,
            repeated=self.repeated,
            subscribed_at=self._began_at,
            unsubscribed_at=self._ended_at,
        )
