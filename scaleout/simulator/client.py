"""One connection to the simulator: what it is sent, and what befalls it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections import deque

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.frames import Opcode as FrameOpcode
from websockets.protocol import State

from scaleout.simulator.badframes import NOT_UTF8, bad_frame, fragments, needs_compression, oversized
from scaleout.simulator.conversation import Act, Answer, Conversation, Expel, Heartbeat, Reject, Say
from scaleout.simulator.dialects import Request
from scaleout.simulator.encoding import Encoder
from scaleout.simulator.entrance import Entrance
from scaleout.simulator.faults import BadFrame, End, Fate, Pending, fates
from scaleout.simulator.feed import Feed
from scaleout.simulator.framing import Opcode, encode_frame
from scaleout.simulator.position import Position
from scaleout.simulator.records import ConnectionRecord, Cut, Ended
from scaleout.simulator.watched import WatchedConnection

_KEPT_MESSAGES = 1000
_FLOOD_BYTES = 64 * 1024
_FLOOD_BUFFER_BYTES = 2**20


class Phase(enum.Enum):
    """What a connection is sent."""

    WAITING = "waiting"
    """No data until the client asks for it."""
    LIVE = "live"
    """All that is due."""
    QUIET = "quiet"
    """No data any more; heartbeats and answers go on."""
    MUTED = "muted"
    """Nothing any more; the connection stays open."""
    FLOODING = "flooding"
    """Fragments without end."""
    ENDING = "ending"
    """Nothing: it is closing or closed."""


_TALKING = (Phase.WAITING, Phase.LIVE, Phase.QUIET)


class FeedClient:
    """Writes messages to one connection, talks with the client, and ends it as its fates want.

    Data goes to the transport as ready-made frames; the handshakes and the client's frames are the library's.

    Args:
        websocket: the connection.
        entrance: where it came in.
        cursor: the first message to send; of an entrance to many feeds it has no meaning.
        now_s: when it opened.
    """

    def __init__(self, websocket: WatchedConnection, entrance: Entrance, cursor: int, now_s: float) -> None:
        self.entrance = entrance
        self._config = entrance.config
        self._index = entrance.connections
        self._websocket = websocket
        self._transport = websocket.transport
        self._extensions = websocket.protocol.extensions
        self._conversation = Conversation(self._config.dialogue, now_s)
        self._fates = Pending(fates(entrance.faults, self._index, entrance.random("connection", self._index)))
        self._went_live = asyncio.Event()
        self._now_s = self._opened_s = now_s
        self._opened_at = time.time()
        self._closed_at: float | None = None
        self._goodbye_at: float | None = None
        self._replies = self._heartbeats = self._notices = self._pings = self._bytes = 0
        self._poisoned = False
        self._bad_frame: BadFrame = ""
        self._received: deque[tuple[float, str]] = deque()
        self._received_count = 0
        self._ended = Ended.OPEN
        self._cut: Cut | None = None
        self._closing: asyncio.Task[None] | None = None
        self._positions = [self._position(entrance.feed, cursor)] if entrance.feed is not None else []
        self._left: list[Position] = []
        self.phase = Phase.WAITING if self._config.await_subscribe and entrance.feed else Phase.LIVE
        if self.phase is Phase.LIVE:
            self._went_live.set()
        if self._config.dialogue.deaf:
            self._transport.pause_reading()

    @property
    def is_open(self) -> bool:
        """Whether data may be written."""
        return self._websocket.state is State.OPEN and self.phase is not Phase.ENDING

    @property
    def feeds(self) -> list[Feed]:
        """Those whose messages it is sent."""
        return [position.feed for position in self._positions]

    def step(self, now_s: float) -> None:
        """Write what is due on a paced feed, and let happen what has to happen by now."""
        self._now_s = now_s
        if not self.is_open:
            return
        for fate in self._fates.take_until(now_s - self._opened_s):
            self._befall(fate)
        if self.phase in _TALKING:
            self._talk()
        if self.phase is Phase.FLOODING:
            self._flood()
        if self._config.is_paced:
            for position in self._positions:
                position.look(now_s)
                self._write_due(position)

    async def pump(self) -> None:
        """Write messages as fast as the client reads them."""
        await self._went_live.wait()
        (position,) = self._positions
        count = position.block_messages
        while self.is_open and self.phase is Phase.LIVE:
            self._write_block(position, position.cursor - position.cursor % count + count)
            if self._transport.get_write_buffer_size():
                await self._websocket.drain()
            await asyncio.sleep(0)

    def on_frame(self, now_s: float) -> None:
        """Count a frame of the client's."""
        self._conversation.hear_frame(now_s)

    def on_message(self, message: str | bytes, now_s: float) -> None:
        """React to the client's message."""
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._now_s = now_s
        self._received_count += 1
        if len(self._received) < _KEPT_MESSAGES:
            self._received.append((time.time(), text))
        request = self.entrance.dialect.asks(text)
        rejected = False
        if request is not None and request.kind == "subscribe":
            rejected = self.entrance.subscriptions < self._config.dialogue.reject_subscriptions
            self.entrance.subscriptions += 1
        self._conversation.hear(text, request, rejected, now_s)
        if self.is_open and self.phase in _TALKING:
            self._talk()

    def subscribe(self, streams: tuple[str, ...]) -> str | None:
        """Add streams; returns what is wrong with that, in which case none is added."""
        present = {position.feed.plan.index for position in self._positions}
        added: dict[int, Feed] = {}
        for stream in streams:
            feed = self.entrance.feed_of(stream)
            if feed is None:
                return f"unknown stream {stream}"
            if feed.plan.index not in present:
                added[feed.plan.index] = feed
        limit = self._config.dialogue.max_streams
        if limit and len(present) + len(added) > limit:
            return f"too many streams: a connection takes {limit}"
        for feed in added.values():
            feed.begin(self._now_s)
            self._positions.append(self._position(feed, feed.position))
        return None

    def unsubscribe(self, streams: tuple[str, ...]) -> None:
        """Leave streams."""
        left = {feed.plan.index for stream in streams if (feed := self.entrance.feed_of(stream)) is not None}
        for position in [position for position in self._positions if position.feed.plan.index in left]:
            position.end()
            self._left.append(position)
            self._positions.remove(position)

    async def close(self, code: int, ended: Ended) -> None:
        """Closing handshake; a client that doesn't answer in time is dropped."""
        self.phase = Phase.ENDING
        if self._ended is Ended.OPEN:
            self._ended = ended
        try:
            async with asyncio.timeout(self._config.close_timeout):
                await self._websocket.close(code)
        except TimeoutError:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self.phase = Phase.ENDING
        self._transport.abort()

    async def finish(self) -> None:
        """Settle the record, after the connection has ended."""
        if self._ended is Ended.OPEN:
            self._ended = Ended.CLIENT
        self.phase = Phase.ENDING
        if self._closing is not None:
            await self._closing
        with contextlib.suppress(ConnectionClosed):
            await self._websocket.wait_closed()
        self._closed_at = time.time()

    def record(self) -> ConnectionRecord:
        """What has happened so far."""
        positions = [*self._left, *self._positions]
        only = positions[0].record() if self.entrance.feed is not None else None
        request = self._websocket.request
        return ConnectionRecord(
            endpoint=self.entrance.name,
            index=self._index,
            first=only.first if only else None,
            last=only.last if only else None,
            messages=sum(position.messages for position in positions),
            skipped=sum(position.skipped for position in positions),
            repeated=sum(position.repeated for position in positions),
            streams=() if only else tuple(position.record() for position in positions),
            garbage=sum(position.garbage for position in positions),
            replies=self._replies,
            heartbeats=self._heartbeats,
            notices=self._notices,
            goodbye_at=self._goodbye_at,
            poisoned=self._poisoned,
            bad_frame=self._bad_frame,
            pings=self._pings + sum(position.pings for position in positions),
            pongs=self._websocket.pongs,
            bytes=self._bytes,
            received=tuple(text for _, text in self._received),
            received_at=tuple(at for at, _ in self._received),
            received_count=self._received_count,
            inbound=self._conversation.inbound,
            busiest_inbound=self._conversation.busiest_inbound,
            path=request.path if request is not None else "",
            subprotocol=self._websocket.subprotocol,
            compressed=bool(self._extensions),
            opened_at=self._opened_at,
            closed_at=self._closed_at,
            close_code=self._websocket.close_code,
            ended=self._ended,
            cut=self._cut,
        )

    @property
    def _passed(self) -> int:
        """How many data messages have had their turn."""
        return sum(position.passed for position in (*self._left, *self._positions))

    @property
    def _number(self) -> int:
        """The connection's number of the next message, where the dialect counts all of them."""
        return self._passed + self._replies + self._heartbeats + self._notices

    @property
    def _left_until_fate(self) -> int | None:
        """How many messages may come before the next fate."""
        messages = self._fates.next_after_messages
        return None if messages is None else messages - self._passed

    def _position(self, feed: Feed, start: int) -> Position:
        config = self._config
        lateness_s = (
            config.shifts[self._index % len(config.shifts)]
            if config.shifts
            else self.entrance.random("lateness", self._index).uniform(0, config.shift)
        )
        return Position(feed, self._encoder(feed), start, lateness_s)

    def _encoder(self, feed: Feed) -> Encoder:
        is_shared = self.entrance.feed is None
        if not self._extensions and not is_shared and not self._config.differs:
            return feed.encoder
        return feed.make_encoder(
            self._compressed_frame if self._extensions else encode_frame,
            with_stream=is_shared,
            connection=self._index if self._config.differs else None,
        )

    def _compressed_frame(self, opcode: Opcode, body: bytes) -> bytes:
        frame = Frame(FrameOpcode(opcode), body)
        return frame.serialize(mask=False, extensions=self._extensions)

    def _talk(self) -> None:
        for act in self._conversation.due(self._now_s):
            if self.phase in _TALKING:
                self._act(act)

    def _act(self, act: Act) -> None:
        dialect = self.entrance.dialect
        match act:
            case Answer(text, request):
                self._answer(text, request)
            case Reject(text):
                self._reply(dialect.refusal(text, "subscription not supported"))
            case Heartbeat(nth):
                self._write(encode_frame(Opcode.TEXT, dialect.heartbeat(nth, self._number)))
                self._heartbeats += 1
            case Say(body):
                self._write(encode_frame(Opcode.TEXT, body))
                self._notices += 1
            case Expel(code, why):
                self._end(code, Ended.CUT, why)

    def _answer(self, text: str, request: Request | None) -> None:
        dialect, index = self.entrance.dialect, self.entrance.index or 0
        if self.entrance.feed is None and request is not None:
            if request.kind == "unsubscribe":
                self.unsubscribe(request.streams)
            elif request.kind == "subscribe":
                problem = self.subscribe(request.streams)
                if problem is not None:
                    self._reply(dialect.refusal(text, problem))
                    return
        for reply in dialect.replies(index, text, self._number):
            self._reply(reply)
        if self.phase is Phase.WAITING and (request is None or request.kind != "ping"):
            self._go_live()

    def _go_live(self) -> None:
        self.phase = Phase.LIVE
        self._went_live.set()
        if self._config.is_paced:
            for position in self._positions:
                position.skip_to_visible()

    def _reply(self, body: bytes) -> None:
        self._write(encode_frame(Opcode.TEXT, body))
        self._replies += 1

    def _write_due(self, position: Position) -> None:
        config, feed, is_shared = self._config, position.feed, self.entrance.feed is None
        while self.phase is Phase.LIVE and (
            position.cursor < position.visible
            or self._left_until_fate == 0
            or (feed.is_end(position.cursor) and not is_shared)
        ):
            if self._transport.get_write_buffer_size() > config.max_lag:
                if not config.lossless:
                    self._end(1008, Ended.CUT, Cut.SLOW)
                return
            self._write_block(position, min(position.visible, position.cursor + position.block_messages))

    def _write_block(self, position: Position, stop: int) -> None:
        """Write messages to before `stop`, the next fate or the end; let what comes there happen."""
        bounds = [stop]
        if position.feed.length is not None:
            bounds.append(position.feed.length)
        if self._left_until_fate is not None:
            bounds.append(position.cursor + self._left_until_fate)
        stop = min(bounds)
        if stop > position.cursor:
            self._write(position.take(stop, self._number).data)
        for fate in self._fates.take_at(self._passed):
            self._befall(fate)
        if (
            self.phase is Phase.LIVE
            and self.entrance.feed is not None
            and position.feed.is_end(position.cursor)
        ):
            self._end_of_feed()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._bytes += len(data)

    def _end_of_feed(self) -> None:
        if self._config.at_end == "close":
            self._end(1000, Ended.CLOSED)
        else:
            self.phase = Phase.QUIET

    def _befall(self, fate: Fate) -> None:
        faults = self.entrance.faults
        match fate.end:
            case _ if self.phase is Phase.ENDING:
                pass
            case End.CLOSE:
                self._end(faults.disconnect_code, Ended.CLOSED)
            case End.RESET:
                self._reset()
            case End.EOF:
                self._cut_off()
            case End.SILENCE:
                self.phase = Phase.QUIET if faults.silence == "data" else Phase.MUTED
            case End.GOODBYE if self.phase in _TALKING:
                self._say_goodbye()
            case End.INVALID_UTF8:
                self._poison(encode_frame(Opcode.TEXT, NOT_UTF8))
            case End.OVERSIZED:
                self._poison(oversized(faults.oversized_bytes))
            case End.BAD_FRAME if self._extensions or not needs_compression(faults.bad_frame):
                self._misbehave(faults.bad_frame)

    def _say_goodbye(self) -> None:
        self._goodbye_at = time.time()
        body = self.entrance.dialect.goodbye(int(self._goodbye_at * 1000), self._number)
        self._write(encode_frame(Opcode.TEXT, body))
        self._notices += 1

    def _misbehave(self, kind: BadFrame) -> None:
        faults = self.entrance.faults
        self._bad_frame = kind
        data = bad_frame(kind, faults)
        match kind:
            case "ping_flood":
                self._write(data)
                self._pings += faults.flood_pings
            case "reset_mid_frame":
                self._write(data)
                self._reset()
            case "eof_mid_frame":
                self._write(data)
                self._cut_off()
            case "endless_fragments":
                self._poison(data)
                self.phase = Phase.FLOODING
            case _:
                self._poison(data)

    def _flood(self) -> None:
        if self._transport.get_write_buffer_size() < _FLOOD_BUFFER_BYTES:
            size = self.entrance.faults.fragment_bytes
            self._write(fragments(max(1, _FLOOD_BYTES // (size + 2)), size))

    def _poison(self, data: bytes) -> None:
        self._write(data)
        self._poisoned = True
        self.phase = Phase.MUTED

    def _end(self, code: int, ended: Ended, cut: Cut | None = None) -> None:
        self.phase = Phase.ENDING
        self._ended = ended
        self._cut = cut
        self._closing = asyncio.create_task(self.close(code, ended))

    def _cut_off(self) -> None:
        self.phase = Phase.ENDING
        self._ended = Ended.EOF
        self._transport.close()

    def _reset(self) -> None:
        self.phase = Phase.ENDING
        self._ended = Ended.RESET
        self._websocket.reset()
