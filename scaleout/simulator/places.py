"""A connection's places in all the feeds that it is sent: one, or those that its client subscribes to."""

from __future__ import annotations

from websockets.extensions import Extension
from websockets.frames import Frame, Opcode

from scaleout.simulator.encoding import Encoder
from scaleout.simulator.entrance import Entrance
from scaleout.simulator.feed import Feed
from scaleout.simulator.framing import encode_frame
from scaleout.simulator.position import Position


class Places:
    """Where a connection is.

    Args:
        entrance: where it came in.
        index: its number there.
        extensions: what was negotiated; they compress messages.
    """

    def __init__(self, entrance: Entrance, index: int, extensions: list[Extension]) -> None:
        self.current: list[Position] = []
        self._left: list[Position] = []
        self._left_passed = 0
        self._entrance = entrance
        self._index = index
        self._extensions = extensions

    @property
    def all(self) -> list[Position]:
        """Those that the client has left, too."""
        return [*self._left, *self.current]

    @property
    def passed(self) -> int:
        """How many data messages have had their turn."""
        return self._left_passed + sum(position.passed for position in self.current)

    def enter(self, feed: Feed, start: int) -> None:
        """Go on with a feed from a message on."""
        config = self._entrance.config
        drawn_s = self._entrance.random("lateness", self._index).uniform(0, config.shift)
        lateness_s = config.shifts[self._index % len(config.shifts)] if config.shifts else drawn_s
        self.current.append(Position(feed, self._encoder(feed), start, lateness_s))

    def subscribe(self, streams: tuple[str, ...], now_s: float) -> str | None:
        """Add streams, each from what it comes to next on.

        Returns:
            What is wrong with that, in which case none is added.
        """
        present = {position.feed.plan.index for position in self.current}
        added: dict[int, Feed] = {}
        for stream in streams:
            feed = self._entrance.feed_of(stream)
            if feed is None:
                return f"unknown stream {stream}"
            if feed.plan.index not in present:
                added[feed.plan.index] = feed
        limit = self._entrance.config.dialogue.max_streams
        if limit and len(present) + len(added) > limit:
            return f"too many streams: a connection takes {limit}"
        for feed in added.values():
            feed.begin(now_s)
            self.enter(feed, feed.position)
        return None

    def unsubscribe(self, streams: tuple[str, ...]) -> None:
        """Leave streams."""
        left = {self._entrance.feed_of(stream) for stream in streams}
        for position in [position for position in self.current if position.feed in left]:
            position.end()
            self.current.remove(position)
            self._left.append(position)
            self._left_passed += position.passed

    def _encoder(self, feed: Feed) -> Encoder:
        is_shared, differs = self._entrance.feed is None, self._entrance.config.differs
        if not self._extensions and not is_shared and not differs:
            return feed.encoder
        return feed.make_encoder(
            self._compressed_frame if self._extensions else encode_frame,
            with_stream=is_shared,
            connection=self._index if differs else None,
        )

    def _compressed_frame(self, opcode: Opcode, body: bytes) -> bytes:
        frame = Frame(opcode, body)
        return frame.serialize(mask=False, extensions=self._extensions)
