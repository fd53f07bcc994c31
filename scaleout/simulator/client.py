"""One connection to the simulator: what it is sent, and what befalls it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time

from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.protocol import State

from scaleout.simulator.account import Account
from scaleout.simulator.badframes import NOT_UTF8, bad_frame, fragments, needs_compression, oversized
from scaleout.simulator.conversation import Act, Answer, Conversation, Expel, Heartbeat, Reject, Say
from scaleout.simulator.dialects import Request
from scaleout.simulator.entrance import Entrance
from scaleout.simulator.faults import BadFrame, End, Fate, Pending, fates
from scaleout.simulator.feed import Feed
from scaleout.simulator.framing import encode_frame
from scaleout.simulator.places import Places
from scaleout.simulator.position import Position
from scaleout.simulator.records import ConnectionRecord, Cut, Ended
from scaleout.simulator.watched import WatchedConnection

_FLOOD_BYTES = 64 * 1024
_FLOOD_FRAGMENTS = 200
"""A tick's share is no more than so many bytes or fragments, so that a client can just keep up."""
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
        index = entrance.connections
        self._config = entrance.config
        self._websocket = websocket
        self._transport = websocket.transport
        self._account = Account(index=index)
        self._conversation = Conversation(self._config.dialogue, now_s)
        self._fates = Pending(fates(entrance.faults, index, entrance.random("connection", index)))
        self._places = Places(entrance, index, websocket.protocol.extensions)
        self._opened_s = self._now_s = now_s
        self._went_live = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        if entrance.feed is not None:
            self._places.enter(entrance.feed, cursor)
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
        return [position.feed for position in self._places.current]

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
            for position in self._places.current:
                position.look(now_s)
                self._write_due(position)

    async def pump(self) -> None:
        """Write messages as fast as the client reads them."""
        await self._went_live.wait()
        (position,) = self._places.current
        count = position.block_messages
        while self.is_open and self.phase is Phase.LIVE:
            self._write_block(position, position.cursor - position.cursor % count + count)
            if self._transport.get_write_buffer_size():
                await self._websocket.drain()
            await asyncio.sleep(0)

    def subscribe(self, streams: tuple[str, ...]) -> None:
        """Add streams that the URI names; where one of them can't be, none is added."""
        self._places.subscribe(streams, self._now_s)

    def on_frame(self, now_s: float) -> None:
        """Count a frame of the client's."""
        self._conversation.hear_frame(now_s)

    def on_message(self, message: str | bytes, now_s: float) -> None:
        """React to the client's message."""
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._now_s = now_s
        self._account.receive(text)
        request = self.entrance.dialect.asks(text)
        rejected = False
        if request is not None and request.kind == "subscribe":
            rejected = self.entrance.subscriptions < self._config.dialogue.reject_subscriptions
            self.entrance.subscriptions += 1
        self._conversation.hear(text, request, rejected, now_s)
        if self.is_open and self.phase in _TALKING:
            self._talk()

    async def close(self, code: int, ended: Ended) -> None:
        """Closing handshake; a client that doesn't answer in time is dropped."""
        self.phase = Phase.ENDING
        if self._account.ended is Ended.OPEN:
            self._account.ended = ended
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
        if self._account.ended is Ended.OPEN:
            self._account.ended = Ended.CLIENT
        self.phase = Phase.ENDING
        if self._closing is not None:
            await self._closing
        with contextlib.suppress(ConnectionClosed):
            await self._websocket.wait_closed()
        self._account.closed_at = time.time()

    def record(self) -> ConnectionRecord:
        """What has happened so far."""
        return self._account.record(self.entrance, self._websocket, self._places, self._conversation)

    @property
    def _number(self) -> int:
        """The connection's number of the next message, where the dialect counts all of them."""
        return self._places.passed + self._account.said

    @property
    def _left_until_fate(self) -> int | None:
        """How many messages may come before the next fate."""
        messages = self._fates.next_after_messages
        return None if messages is None else messages - self._places.passed

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
                self._account.heartbeats += 1
            case Say(body):
                self._write(encode_frame(Opcode.TEXT, body))
                self._account.notices += 1
            case Expel(code, why):
                self._end(code, Ended.CUT, why)

    def _answer(self, text: str, request: Request | None) -> None:
        dialect, index = self.entrance.dialect, self.entrance.index or 0
        if self.entrance.feed is None and request is not None:
            if request.kind == "unsubscribe":
                self._places.unsubscribe(request.streams)
            elif request.kind == "subscribe":
                problem = self._places.subscribe(request.streams, self._now_s)
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
            for position in self._places.current:
                position.skip_to_visible()

    def _reply(self, body: bytes) -> None:
        self._write(encode_frame(Opcode.TEXT, body))
        self._account.replies += 1

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
        for fate in self._fates.take_at(self._places.passed):
            self._befall(fate)
        if (
            self.phase is Phase.LIVE
            and self.entrance.feed is not None
            and position.feed.is_end(position.cursor)
        ):
            self._end_of_feed()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._account.bytes += len(data)

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
            case End.BAD_FRAME if self._websocket.protocol.extensions or not needs_compression(
                faults.bad_frame
            ):
                self._misbehave(faults.bad_frame)

    def _say_goodbye(self) -> None:
        self._account.goodbye_at = time.time()
        body = self.entrance.dialect.goodbye(int(self._account.goodbye_at * 1000), self._number)
        self._write(encode_frame(Opcode.TEXT, body))
        self._account.notices += 1

    def _misbehave(self, kind: BadFrame) -> None:
        faults = self.entrance.faults
        self._account.bad_frame = kind
        data = bad_frame(kind, faults)
        match kind:
            case "ping_flood":
                self._write(data)
                self._account.pings += faults.flood_pings
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
            self._write(fragments(min(_FLOOD_FRAGMENTS, max(1, _FLOOD_BYTES // size)), size))

    def _poison(self, data: bytes) -> None:
        self._write(data)
        self._account.poisoned = True
        self.phase = Phase.MUTED

    def _end(self, code: int, ended: Ended, cut: Cut | None = None) -> None:
        self.phase = Phase.ENDING
        self._account.ended = ended
        self._account.cut = cut
        self._closing = asyncio.create_task(self.close(code, ended))

    def _cut_off(self) -> None:
        self.phase = Phase.ENDING
        self._account.ended = Ended.EOF
        self._transport.close()

    def _reset(self) -> None:
        self.phase = Phase.ENDING
        self._account.ended = Ended.RESET
        self._websocket.reset()
