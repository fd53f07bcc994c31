"""One open connection: it subscribes, answers what the server asks, sorts out what is no data, and knows its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from websockets.frames import CloseCode

from scaleout.config import JSONValue
from scaleout.core.frames import Kind
from scaleout.core.lifecycle import Stall
from scaleout.core.matching import fill
from scaleout.core.remedies import Remedy
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.connection import FeedConnection, Receiver
from scaleout.worker.links import endings
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.outgoing import Outgoing, encode
from scaleout.worker.links.permits import Permit
from scaleout.worker.links.refusals import refusal_in
from scaleout.worker.links.talk import Role, Talk
from scaleout.worker.words import one_line

GOODBYE_TIMEOUT_S = 1.0
"""How long a closing handshake of this side's may take, before the connection is cut."""
LAG_S = 1.0
"""A loop that was so late tells nothing about the server."""
QUIET_S = 30.0
"""Without data for so long a connection is called quiet, where `stale_after` doesn't say when."""
LONGEST_WORDS = 200

_decode = msgspec.json.Decoder().decode


def _nothing() -> None:
    pass


class _RefusedError(Exception):
    """The server refused a subscription; with its words."""


class Link:
    """One connection of an endpoint, from its handshake to its end.

    Args:
        connection: open.
        talk: what is said on it.
        permit: given back at the end.
        note_control: counts messages that are no data.
        logger: knows the endpoint.
    """

    def __init__(
        self,
        connection: FeedConnection,
        talk: Talk,
        permit: Permit,
        note_control: Callable[[list[bytes]], None],
        logger: EndpointLogger,
    ) -> None:
        self.connection = connection
        self.outgoing = Outgoing(connection, talk.endpoint.send_rate)
        self.messages = 0
        """Data messages received."""
        self.is_ready = False
        """Whether it is subscribed, and that is acknowledged where it is to be."""
        self.said_goodbye = False
        """The server said that it will close."""
        self.on_event: Callable[[], None] = _nothing
        """Called at the end, and when the server says goodbye."""
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._loop.time()
        self._talk = talk
        self._permit = permit
        self._note_control = note_control
        self._log = logger
        self.receiver: Receiver
        self._ending: Ending | None = None
        self._acknowledged: asyncio.Future[None] = self._loop.create_future()
        self._last_words = b""
        self._beating: asyncio.Task[None] | None = None
        self._hanging_up: asyncio.Task[None] | None = None
        self._stall = _StallWatch(connection, self.opened_at)
        permit.attempt_ended()
        connection.connection_lost_waiter.add_done_callback(lambda _: self.on_event())

    def deliver_to(self, receiver: Receiver) -> None:
        """Send data to this receiver from now on."""
        self.receiver = receiver

    # Subscribing

    async def subscribe(self, streams: Sequence[str], cursor: str | int | float | None) -> None:
        """Begin to receive: subscribe, and wait for the acknowledgement where there is to be one.

        What goes wrong is the link's ending.
        """
        self.connection.deliver_to(self._take)
        endpoint = self._talk.endpoint
        try:
            for message in self._talk.subscription(streams, cursor):
                await self.outgoing.put(encode(message))
            if endpoint.ready is not None:
                await self._wait_acknowledged(endpoint.ready.within)
        except SendError:
            return  # the connection's end says why
        except _RefusedError as exc:
            self.fail(Ending(Remedy.REFUSED, f"subscription refused: {exc}"))
            return
        if self._ending is None and self.outgoing.is_open:
            self.is_ready = True
            if endpoint.heartbeat is not None and endpoint.heartbeat.send is not None:
                self._beating = self._loop.create_task(
                    self._beat(endpoint.heartbeat.send, endpoint.heartbeat.every)
                )

    async def _wait_acknowledged(self, within_s: float) -> None:
        closed = asyncio.ensure_future(self.connection.wait_closed())
        try:
            await asyncio.wait(
                (self._acknowledged, closed), timeout=within_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            closed.cancel()
        if self._acknowledged.done():
            self._acknowledged.result()
        elif not self.connection.close_code:
            said = f'; the server\'s last words: "{_excerpt(self._last_words)}"' if self._last_words else ""
            self.fail(Ending(Remedy.SLOW_RETRY, f"subscription not acknowledged within {within_s:g} s{said}"))

    def change_streams(self, add: Sequence[str], remove: Sequence[str]) -> None:
        """Subscribe to more streams, and unsubscribe from others.

        Raises:
            SendError: it can't be sent.
        """
        for message in self._talk.cancellation(remove) if remove else ():
            self.outgoing.send(encode(message))
        for message in self._talk.subscription(add, None) if add else ():
            self.outgoing.send(encode(message))

    # Receiving

    def _take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        if self._talk.patterns:
            data = self._sort_out(payloads, joined)
            if data is not payloads:
                if not data:
                    return
                payloads, joined = data, b"\n".join(data)
        self.messages += len(payloads)
        self.receiver(payloads, joined, kind, received_at)

    def _sort_out(self, payloads: list[bytes], joined: bytes) -> list[bytes]:
        """Act on the control messages; returns the rest."""
        found: dict[int, tuple[Role, JSONValue | None]] = {}
        for pattern, role, template in self._talk.patterns:
            for index in pattern.find(payloads, joined):
                found.setdefault(index, (role, template))
        if self._talk.endpoint.ready is not None and not self._acknowledged.done():
            self._look_for_refusals(payloads, found)
        if not found:
            return payloads
        for index in sorted(found):
            self._act(payloads[index], *found[index])
        self._note_control([payloads[index] for index in found])
        return [payload for index, payload in enumerate(payloads) if index not in found]

    def _look_for_refusals(
        self, payloads: list[bytes], found: dict[int, tuple[Role, JSONValue | None]]
    ) -> None:
        """Until a subscription is acknowledged, know the usual ways to refuse it, and the server's last words."""
        ready = self._talk.endpoint.ready
        assert ready is not None
        for index, payload in enumerate(payloads):
            if index not in found:
                self._last_words = payload
                if ready.refused is None and refusal_in(payload) is not None:
                    found[index] = (Role.REFUSED, None)

    def _act(self, payload: bytes, role: Role, template: JSONValue | None) -> None:
        match role:
            case Role.REQUEST:
                self._reply(payload, template)
            case Role.READY if not self._acknowledged.done():
                self._acknowledged.set_result(None)
            case Role.REFUSED:
                said = refusal_in(payload) or _excerpt(payload)
                if self._acknowledged.done():
                    self._log.warning('a subscription was refused: "%s"', said)
                else:
                    self._acknowledged.set_exception(_RefusedError(f'"{said}"'))
            case Role.GOODBYE:
                self._log.info("the server says that it will close the connection")
                self.said_goodbye = True
                self.on_event()

    def _reply(self, payload: bytes, template: JSONValue | None) -> None:
        if template is None:
            return
        try:
            message: object = _decode(payload)
        except (ValueError, RecursionError):
            message = None
        try:
            self.outgoing.send(encode(fill(template, message)), urgent=True)
        except SendError as exc:
            self._log.warning("can't reply: %s", exc)

    # Heartbeats

    async def _beat(self, message: JSONValue, every_s: float) -> None:
        """Send heartbeats, and give the connection up when nothing at all comes back."""
        heartbeat = self._talk.endpoint.heartbeat
        assert heartbeat is not None
        connection, loop = self.connection, self._loop
        reads = connection.last_read_at
        is_asked = False
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            if is_asked and connection.last_read_at == reads and not connection.is_held:
                if loop.time() - due > LAG_S:
                    continue  # what has arrived meanwhile is still to be read
                self.fail(
                    Ending(error=f"connection given up: no answer to the heartbeat within {every_s:g} s")
                )
                return
            reads = connection.last_read_at
            try:
                self.outgoing.send(encode(message), urgent=True)
            except SendError as exc:
                self._log.warning("can't send the heartbeat: %s", exc)
                continue
            is_asked = heartbeat.expect is not None

    def look(self, now: float, lag_s: float) -> Stall | None:
        """Whether data has stopped to come, and why; a stale connection is given up.

        Args:
            now: loop time.
            lag_s: how late the loop was.
        """
        stale_after = self._talk.endpoint.stale_after
        stall, quiet_s = self._stall.look(now, lag_s, self.messages)
        if stale_after is not None and quiet_s >= stale_after and self.is_ready:
            what = "only heartbeats came" if stall is Stall.HEARTBEATS else "the server was silent"
            self.fail(Ending(error=f"connection given up: no data for {stale_after:g} s, {what}"))
        if stall in (Stall.SILENT, Stall.HEARTBEATS):
            return stall if quiet_s >= (stale_after / 2 if stale_after is not None else QUIET_S) else None
        return stall

    # The end

    def fail(self, ending: Ending) -> None:
        """End the connection from this side, for this reason."""
        if self._ending is None:
            self._ending = ending
            self.stop_receiving()
            self.on_event()
            self._hanging_up = self._loop.create_task(self.hang_up(CloseCode.NORMAL_CLOSURE))

    def stop_receiving(self) -> None:
        """Receive nothing from now on."""
        self.connection.discard_messages()

    async def hang_up(self, code: CloseCode) -> None:
        """Close the connection, and cut it when the peer takes its time."""
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await self.connection.close(code)
        except TimeoutError:
            pass
        except Exception:  # a goodbye that fails may not disturb the others
            self._log.exception("internal error while closing the connection")
        finally:
            self.connection.transport.abort()

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._ending is not None or not self.outgoing.is_open

    async def wait_ended(self) -> Ending:
        """Wait for the end, however it comes; everything received has been delivered then."""
        await self.connection.wait_closed()
        return self._ending if self._ending is not None else endings.of_connection(self.connection.close_exc)

    def let_go(self) -> None:
        """Clean up, at once."""
        self.outgoing.close()
        self._permit.give_back()
        for task in (self._beating, self._hanging_up):
            if task is not None:
                task.cancel()
        if self._acknowledged.done() and not self._acknowledged.cancelled():
            self._acknowledged.exception()
        self.connection.transport.abort()


class _StallWatch:
    """Tells the reasons apart for which no data comes; time in which this side can't read doesn't count."""

    def __init__(self, connection: FeedConnection, now: float) -> None:
        self._connection = connection
        self._looked_at = self._data_at = self._life_at = now
        self._messages = 0
        self._reads = connection.last_read_at

    def look(self, now: float, lag_s: float, messages: int) -> tuple[Stall | None, float]:
        """Why there is no data, if there is none, and for how long in seconds."""
        passed = now - self._looked_at
        self._looked_at = now
        if self._connection.last_read_at != self._reads:
            self._reads = self._connection.last_read_at
            self._life_at = now
        if messages != self._messages:
            self._messages = messages
            self._data_at = now
            return None, 0.0
        if self._connection.is_held or lag_s >= LAG_S:
            self._data_at += passed
            self._life_at += passed
            return (Stall.BACKPRESSURE if self._connection.is_held else Stall.LAG), 0.0
        stall = Stall.HEARTBEATS if self._life_at > self._data_at else Stall.SILENT
        return stall, now - self._data_at


def _excerpt(payload: bytes) -> str:
    text = one_line(payload.decode("utf-8", "replace"))
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"
