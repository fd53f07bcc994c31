"""One open connection: it subscribes, answers what is asked, sorts out what is no data, and knows its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from websockets.frames import CloseCode

from scaleout.config import JSONValue
from scaleout.core.fields import decoded
from scaleout.core.frames import Kind
from scaleout.core.lifecycle import Stall
from scaleout.core.matching import fill
from scaleout.core.remedies import Remedy
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.connection import FeedConnection, Receiver
from scaleout.worker.lane import Lane
from scaleout.worker.links import endings
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.heartbeats import beat
from scaleout.worker.links.outgoing import Outgoing, encode
from scaleout.worker.links.permits import Permit
from scaleout.worker.links.refusals import Refusal, refusal_in, text_in
from scaleout.worker.links.stalls import GRACE_S, StallWatch, was_held
from scaleout.worker.links.talk import Role, Talk

GOODBYE_TIMEOUT_S = 1.0
"""How long a closing handshake of this side's may take, before the connection is cut."""
SEND_TIMEOUT_S = 10.0
"""How long the server may take to read a subscription, before the connection is given up."""


def _nothing() -> None:
    pass


def _no_lane() -> None:
    return None


class _RefusedError(Exception):
    """The server refused a subscription."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


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
        note_control: Callable[[Link, list[bytes], int], None],
        logger: EndpointLogger,
    ) -> None:
        self.connection = connection
        self.outgoing = Outgoing(connection, talk.endpoint.send_rate)
        self._messages = 0
        """Data messages received, but for those that went the short way."""
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
        self._find_lane: Callable[[], Lane | None] = _no_lane
        self._ending: Ending | None = None
        self._acknowledged: asyncio.Future[None] | None = None
        """Where a subscription is to be acknowledged."""
        if talk.endpoint.ready is not None:
            self._acknowledged = self._loop.create_future()
        self._last_words = b""
        self._is_subscribing = False
        """Whether messages are sent on, and no longer kept."""
        self._beating: asyncio.Task[None] | None = None
        self._hanging_up: asyncio.Task[None] | None = None
        self._stalls = StallWatch(connection, talk.endpoint.stale_after, self.opened_at)
        connection.settle()
        permit.attempt_ended(partial(self._give_up, "its place is needed"))
        connection.connection_lost_waiter.add_done_callback(lambda _: self.on_event())

    def deliver_to(self, receiver: Receiver, find_lane: Callable[[], Lane | None] | None = None) -> None:
        """Send data to this receiver from now on.

        Args:
            find_lane: says which short way leads where the receiver does, if there is one at the moment.
        """
        self.receiver = receiver
        self._find_lane = find_lane or _no_lane
        self.find_way()

    def find_way(self) -> None:
        """Send data the short way, if there is one and nothing is to be sorted out before."""
        is_straight = self._is_subscribing and not self._talk.patterns
        self.connection.use(self._find_lane() if is_straight else None)

    @property
    def messages(self) -> int:
        """Data messages received."""
        return self._messages + self.connection.reader.messages

    # Subscribing

    async def subscribe(self, streams: Sequence[str], cursor: str | int | float | None) -> None:
        """Begin to receive: subscribe, and wait for the acknowledgement where there is to be one.

        What goes wrong is the link's ending.
        """
        self.connection.deliver_to(self._take)
        self._is_subscribing = True
        self.find_way()
        endpoint = self._talk.endpoint
        try:
            messages = [encode(message) for message in self._talk.subscription(streams, cursor)]
        except SendError as exc:
            self.fail(Ending(Remedy.REFUSED, f"can't subscribe: {exc}"))
            return
        try:
            for message in messages:
                await self.outgoing.put(message, SEND_TIMEOUT_S)
            if endpoint.ready is not None and self._acknowledged is not None:
                await self._wait_acknowledged(self._acknowledged, endpoint.ready.within)
        except SendError as exc:
            if self.outgoing.is_open:  # else the connection's end says why
                self.fail(Ending(error=f"can't subscribe: the server {exc}"))
            return
        except _RefusedError as exc:
            self.fail(Ending(exc.refusal.remedy, f'subscription refused: "{exc}"'))
            return
        if not self.has_ended:
            self.is_ready = True
            if endpoint.heartbeat is not None and endpoint.heartbeat.send is not None:
                self._beating = self._loop.create_task(
                    beat(endpoint.heartbeat, self.connection, self.outgoing, self._give_up, self._log)
                )

    async def _wait_acknowledged(self, acknowledged: asyncio.Future[None], within_s: float) -> None:
        closed = self.connection.connection_lost_waiter
        known = (acknowledged, closed)
        while not (acknowledged.done() or closed.done()):
            asked_at = self._loop.time()
            for timeout_s in (within_s, GRACE_S):
                await asyncio.wait(known, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not was_held(self.connection, asked_at):
                break
        if acknowledged.done():
            acknowledged.result()
        elif not closed.done():
            said = f'; the server\'s last words: "{text_in(self._last_words)}"' if self._last_words else ""
            self.fail(Ending(Remedy.SLOW_RETRY, f"subscription not acknowledged within {within_s:g} s{said}"))

    def change_streams(self, add: Sequence[str], remove: Sequence[str]) -> None:
        """Subscribe to more streams, and unsubscribe from others.

        Raises:
            SendError: it can't be sent, or what is to be taken away may not have been asked for yet.
        """
        if remove and not self.is_ready:
            raise SendError("is still being subscribed")
        for message in self._talk.cancellation(remove) if remove else ():
            self.outgoing.send(encode(message))
        for message in self._talk.subscription(add, None) if add else ():
            self.outgoing.send(encode(message))

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Unsubscribe and subscribe again.

        Raises:
            SendError: it can't be sent.
        """
        for message in (*self._talk.cancellation(streams), *self._talk.subscription(streams, None)):
            self.outgoing.send(encode(message))

    # Receiving

    def _take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        if self._talk.patterns and (found := self._find_control(payloads, joined)):
            if len(payloads) == 1:
                self._act(payloads[0], *found[0])
                self._note_control(self, payloads, received_at)
            else:
                self._sort_out(payloads, found, kind, received_at)
            return
        self._messages += len(payloads)
        self.receiver(payloads, joined, kind, received_at)

    def _find_control(self, payloads: list[bytes], joined: bytes) -> dict[int, tuple[Role, JSONValue | None]]:
        """The control messages by index: what they are, and the template of the reply."""
        found: dict[int, tuple[Role, JSONValue | None]] = {}
        for pattern, role, template in self._talk.patterns:
            for index in pattern.find(payloads, joined):
                found.setdefault(index, (role, template))
        if self._awaited is not None:
            self._look_for_refusals(payloads, found)
        return found

    def _sort_out(
        self,
        payloads: list[bytes],
        found: dict[int, tuple[Role, JSONValue | None]],
        kind: Kind,
        received_at: int,
    ) -> None:
        """Act on the control messages, and pass the rest on; where messages are numbered, all in order."""
        for index in sorted(found):
            self._act(payloads[index], *found[index])
        indexes = sorted(range(len(payloads)), key=found.__contains__)  # data first
        if self._talk.endpoint.sequence is not None:
            indexes = list(range(len(payloads)))
        for is_control, group in groupby(indexes, found.__contains__):
            part = [payloads[index] for index in group]
            if is_control:
                self._note_control(self, part, received_at)
            else:
                self._messages += len(part)
                self.receiver(part, b"\n".join(part), kind, received_at)

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

    @property
    def _awaited(self) -> asyncio.Future[None] | None:
        """The acknowledgement, until it is there."""
        acknowledged = self._acknowledged
        return None if acknowledged is None or acknowledged.done() else acknowledged

    def _act(self, payload: bytes, role: Role, template: JSONValue | None) -> None:
        match role:
            case Role.HEARTBEAT | Role.PONG:
                pass  # that it came is all it says
            case Role.REQUEST:
                self._reply(payload, template)
            case Role.READY if (awaited := self._awaited) is not None:
                awaited.set_result(None)
            case Role.REFUSED:
                refusal = refusal_in(payload) or Refusal(text_in(payload))
                if (awaited := self._awaited) is not None:
                    awaited.set_exception(_RefusedError(refusal))
                else:
                    self._log.warning('a subscription was refused: "%s"', refusal.words)
            case Role.GOODBYE:
                self._log.info("the server says that it will close the connection")
                self.said_goodbye = True
                self.on_event()

    def _reply(self, payload: bytes, template: JSONValue | None) -> None:
        if template is None:
            return
        try:
            self.outgoing.send(encode(fill(template, decoded(payload))), urgent=True)
        except SendError as exc:
            self._log.warning("can't reply: %s", exc)

    # Life

    def look(self, now: float, lag_s: float) -> Stall | None:
        """Whether data has stopped to come, and why; a stale connection is given up.

        Args:
            now: loop time.
            lag_s: how late the loop was.
        """
        stall = self._stalls.look(now, lag_s, self.messages, self.is_ready)
        if self._stalls.is_stale:
            what = "only heartbeats came" if stall is Stall.HEARTBEATS else "the server was silent"
            self._give_up(f"no data for {self._talk.endpoint.stale_after:g} s, {what}")
        return stall

    def take_over(self, old: Link) -> None:
        """Stand in the place of another connection, also in the budget of its host."""
        self._permit.take_over(old._permit)

    def come_first(self) -> None:
        """The same where the other one is another worker's."""
        self._permit.come_first()

    # The end

    def _give_up(self, reason: str) -> None:
        self.fail(Ending(error=f"connection given up: {reason}"))

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
            self.connection.abort()

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
        acknowledged = self._acknowledged
        if acknowledged is not None and acknowledged.done() and not acknowledged.cancelled():
            acknowledged.exception()
        self.connection.abort()
