"""What is counted of one connection while it goes on, and the record that comes of it."""

from __future__ import annotations

import time
from collections import deque

from msgspec import Struct, field

from scaleout.simulator.conversation import Conversation
from scaleout.simulator.entrance import Entrance
from scaleout.simulator.faults import BadFrame
from scaleout.simulator.places import Places
from scaleout.simulator.records import ConnectionRecord, Cut, Ended
from scaleout.simulator.watched import WatchedConnection

_KEPT_MESSAGES = 1000


class Account(Struct, kw_only=True):
    """Counts and times of a connection; the fields mean what they do in a `ConnectionRecord`."""

    index: int
    replies: int = 0
    heartbeats: int = 0
    notices: int = 0
    pings: int = 0
    bytes: int = 0
    goodbye_at: float | None = None
    poisoned: bool = False
    bad_frame: BadFrame = ""
    ended: Ended = Ended.OPEN
    cut: Cut | None = None
    opened_at: float = field(default_factory=time.time)
    closed_at: float | None = None
    received: deque[tuple[float, str]] = field(default_factory=deque)
    received_count: int = 0

    @property
    def said(self) -> int:
        """How many messages that aren't data were sent."""
        return self.replies + self.heartbeats + self.notices

    def receive(self, text: str) -> None:
        """Keep a message of the client's."""
        self.received_count += 1
        if len(self.received) < _KEPT_MESSAGES:
            self.received.append((time.time(), text))

    def record(
        self, entrance: Entrance, websocket: WatchedConnection, places: Places, conversation: Conversation
    ) -> ConnectionRecord:
        """What has happened so far."""
        positions = places.all
        streams = tuple(position.record() for position in positions)
        is_shared = entrance.feed is None
        return ConnectionRecord(
            endpoint=entrance.name,
            index=self.index,
            first=None if is_shared else streams[0].first,
            last=None if is_shared else streams[0].last,
            messages=sum(position.messages for position in positions),
            skipped=sum(position.skipped for position in positions),
            repeated=sum(position.repeated for position in positions),
            streams=streams if is_shared else (),
            garbage=sum(position.garbage for position in positions),
            replies=self.replies,
            heartbeats=self.heartbeats,
            notices=self.notices,
            goodbye_at=self.goodbye_at,
            poisoned=self.poisoned,
            bad_frame=self.bad_frame,
            pings=self.pings + sum(position.pings for position in positions),
            pongs=websocket.pongs,
            bytes=self.bytes,
            received=tuple(text for _, text in self.received),
            received_at=tuple(at for at, _ in self.received),
            received_count=self.received_count,
            inbound=conversation.inbound,
            busiest_inbound=conversation.busiest_inbound,
            path=websocket.request.path if websocket.request is not None else "",
            subprotocol=websocket.subprotocol,
            compressed=bool(websocket.protocol.extensions),
            opened_at=self.opened_at,
            closed_at=self.closed_at,
            close_code=websocket.close_code,
            ended=self.ended,
            cut=self.cut,
        )
