"""What one URI of the simulator leads to: a feed, or many that a client subscribes to by name."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from scaleout.simulator.config import SimulatorConfig
from scaleout.simulator.dialects import Dialect
from scaleout.simulator.feed import Feed

SHARED = "streams"
"""Name and last word of the path of the entrance to many feeds."""


class Entrance:
    """Where clients come in, and what is counted there.

    Args:
        config: the whole simulator's.
        feeds: name of the stream → feed, all of one dialect; one feed where `index` is given.
        index: the endpoint's number; None: clients subscribe to any of the feeds.
    """

    def __init__(self, config: SimulatorConfig, feeds: Mapping[str, Feed], index: int | None) -> None:
        self.config = config
        self.index = index
        self.faults = config.faults.at_endpoint(index)
        self.attempts = 0
        """How many handshakes there have been."""
        self.connections = 0
        """How many connections there have been."""
        self.subscriptions = 0
        """How many subscriptions have been asked for."""
        self._feeds = dict(feeds)
        first = next(iter(self._feeds.values()))
        self.feed = first if index is not None else None
        """The only one; None: there are many."""
        self.name = first.plan.name if index is not None else SHARED
        self.dialect: Dialect = first.dialect

    def feed_of(self, stream: str) -> Feed | None:
        """The feed of that name; what follows an @ doesn't matter."""
        return self._feeds.get(stream_key(stream))

    def random(self, *purpose: object) -> random.Random:
        """Randomness for one purpose here, the same in every run with the seed."""
        place = self.index if self.index is not None else SHARED
        return random.Random("/".join(map(str, (self.config.seed, place, *purpose))))


def stream_key(stream: str) -> str:
    """What tells streams apart: names may be given with or without their kind."""
    return stream.partition("@")[0]


def shared_entrance(config: SimulatorConfig, feeds: Sequence[Feed]) -> Entrance | None:
    """The entrance to all feeds, where their dialect has names for streams and they are broadcasts."""
    has_names = all(feed.plan.stream for feed in feeds)
    if not feeds or not config.is_paced or not has_names or len({feed.plan.dialect for feed in feeds}) > 1:
        return None
    return Entrance(config, {stream_key(feed.plan.stream): feed for feed in feeds}, None)
