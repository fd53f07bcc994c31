"""Keeps one connection of an endpoint open: connects, reconnects, and moves on to the next one without a break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from urllib.parse import quote

from websockets.frames import CloseCode

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.lifecycle import EndpointState, Stall, connection_step
from scaleout.core.remedies import Remedy
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.connection import Receiver
from scaleout.worker.flag import Flag
from scaleout.worker.gaps import GapWatch
from scaleout.worker.handover.succession import Succession
from scaleout.worker.inlet import Inlet
from scaleout.worker.lane import Lane
from scaleout.worker.links import endings
from scaleout.worker.links.endings import Ending, Renegotiation
from scaleout.worker.links.invalid import InvalidWatch
from scaleout.worker.links.link import Link
from scaleout.worker.links.openlinks import OpenLinks
from scaleout.worker.links.producing import Producing
from scaleout.worker.links.standing import Standing
from scaleout.worker.links.talk import Talk
from scaleout.worker.means import Means
from scaleout.worker.moving.gate import Gate
from scaleout.worker.resume import Resume

OnChange = Callable[["Session"], None]


class Session:
    """The reconnect loop of one connection.

    Args:
        endpoint: what to connect to, and how.
        streams: those that this connection carries, where the endpoint has several.
        inlet: takes what is received.
        means: what the worker has to connect.
        on_change: called after each change of `state`, `connects`, `last_error` or `stall`.
        logger: knows the endpoint.
        watch: looks at the numbers of the messages, where they have some.
        resume: follows the cursor, where there is one.
        producing: makes messages to send, where the endpoint has a producer.

    Attributes:
        is_spare: whether another worker's connection is there that delivers.
        links: the connections there are.
        resume: follows the cursor, where there is one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        streams: Sequence[str],
        inlet: Inlet,
        means: Means,
        on_change: OnChange,
        logger: EndpointLogger,
        watch: GapWatch | None = None,
        resume: Resume | None = None,
        producing: Producing | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.streams = list(streams)
        self.state = EndpointState.WAITING
        self.stall: Stall | None = None
        self.connects = 0
        self.last_error: str | None = None
        self._gate: Gate | None = None
        self.is_spare = False
        self._inlet = inlet
        self._means = means
        self._on_change = on_change
        self._log = logger
        self._watch = watch
        self.resume = resume
        self._receive: Receiver = (resume or watch or inlet).receive
        self._producing = producing
        self._talk = Talk(endpoint)
        self._standing = Standing(endpoint, means.rng, logger)
        self._invalid: InvalidWatch | None = None
        if endpoint.max_invalid is not None:
            is_decoded_at_once = endpoint.backpressure == "block" and not endpoint.processors
            self._invalid = InvalidWatch(endpoint.max_invalid, is_decoded_at_once, inlet.books)
        self.links = OpenLinks(inlet, self._standing.backoff)
        self._wake = Flag()
        self._roused = Flag()
        """Set when a spare isn't one any more, or has ended."""

    def __repr__(self) -> str:
        return f"<Session {self.endpoint.name}: {self.state.value}, {self.connects} connects>"

    @property
    def gate(self) -> Gate | None:
        """Stands between the connections and what becomes of their messages, while the endpoint moves."""
        return self._gate

    @gate.setter
    def gate(self, gate: Gate | None) -> None:
        self._gate = gate
        for link in self.links:
            link.find_way()

    def _lane(self) -> Lane | None:
        """The short way, if nothing is to be done with messages before they are dealt with."""
        is_straight = self._gate is None and self._invalid is None and self._receive == self._inlet.receive
        return self._inlet.lane if is_straight else None

    @property
    def uri(self) -> str:
        """Where to connect."""
        uri = self.endpoint.uri
        if self.streams:
            uri = uri.replace("{stream}", quote(self.streams[0], safe="@,:!*"))
        return self.resume.uri(uri) if self.resume is not None else uri

    @property
    def rng(self) -> Random:
        """Randomness."""
        return self._means.rng

    def _enter(self, state: EndpointState) -> None:
        if state is not self.state:
            self.state = connection_step(self.state, state)
            self.stall = None
            self._on_change(self)

    # The loop

    async def run(self) -> None:
        """Stay connected until the endpoint has ended for good, or the task is cancelled."""
        while True:
            self._enter(EndpointState.CONNECTING)
            try:
                ending = await self._live()
            except Exception as exc:  # a fault of this program must not take the neighbours along
                self._log.exception("internal error, reconnecting")
                self.close_all()
                ending = Ending(error=f"internal error: {endings.words_of(exc)}")
            self._note(ending)
            reconnect = self.endpoint.reconnect
            if reconnect == "never" or (reconnect == "on_error" and ending.is_normal):
                self._enter(EndpointState.ENDED)
                return
            await self._pause(ending)

    async def _live(self) -> Ending:
        """From the attempt to connect to the end of the last connection that followed without a break."""
        link = await self.open(self.deliver, begins=True)
        if isinstance(link, Ending):
            return link
        return await self._stay_with(link)

    async def _pause(self, ending: Ending) -> None:
        """Wait before the next attempt, unless a person wants it at once."""
        state, delay = self._standing.wait_after(ending)
        self._enter(state)
        self._log.info("reconnecting in %.1f s", delay)
        self._wake.clear()
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            pass

    def resume_now(self) -> None:
        """End the quarantine, or the wait for the next attempt, on a person's word."""
        self._standing.release()
        self._wake.set()

    def _note(self, ending: Ending) -> None:
        if ending.error is None:
            self._log.info("the server closed the connection normally")
            return
        self.last_error = self._log.redact(ending.error)
        self._log.warning("%s", self.last_error)

    # Opening

    async def open(self, receiver: Receiver, *, begins: bool = False) -> Link | Ending:
        """Open a connection and subscribe; what it brings goes to the receiver.

        Args:
            begins: whether nothing is connected yet: what is new then is seen by all.
        """
        try:
            connection, permit = await self._means.connect(
                self.endpoint, lambda: self.uri, self._standing.offers, is_spare=self.is_spare or not begins
            )
        except Exception as exc:
            return self._standing.renegotiate(endings.of_attempt(exc))
        self.connects += 1
        if not begins:
            self._on_change(self)
        link = Link(connection, self._talk, permit, self._note_control, self._log)
        link.deliver_to(receiver, self._lane if begins else None)
        self.links.add(link)
        if begins:
            if not self.is_spare:
                link.come_first()  # it may have been a spare when it began to connect
            self._begin()
        await link.subscribe(self.streams, self.resume.value if self.resume is not None else None)
        return link if link.is_ready else await self._await_ending(link)

    def _begin(self) -> None:
        if self.gate is not None:
            self.gate.begin()
        else:
            self.begin()
        if self.endpoint.ready is None:
            self._enter(EndpointState.LIVE)  # data may come at once, and shows that it is

    def begin(self) -> None:
        """Expect messages of a connection that was opened after none was there, or is another one than before."""
        if self.resume is not None:
            self.resume.begin()
        if self._invalid is not None:
            self._invalid.reset()
        if self._watch is not None:
            self._watch.begin()

    async def _await_ending(self, link: Link) -> Ending:
        """Wait for a connection's end; where that is cut short, the connection is left for `say_goodbye`."""
        ending = await link.wait_ended()
        if ending.remedy is not Remedy.REFUSED and ending.renegotiation is None:
            self._standing.look(link, has_ended_well=True)  # nobody may have looked while it was open
        self.close(link)
        return self._standing.renegotiate(ending)

    def close(self, link: Link) -> None:
        """Forget a connection."""
        self.links.close(link)

    def close_all(self) -> None:
        """Cut all connections."""
        self.links.close_all()

    # Staying connected

    async def _stay_with(self, link: Link) -> Ending:
        """Stay with the connection, and with those that follow it; returns how the last of them ended."""
        self._enter(EndpointState.LIVE)
        self._log.info("live")
        while (follower := await self._accompany(link)) is not None:
            self.links.retire(link, follower)
            link = follower
            if link.receiver == self.deliver:
                link.deliver_to(self.deliver, self._lane)
            self._log.info("another connection has taken over, without a break")
            self._on_change(self)
        for other in self.links:
            if other is not link:
                self.close(other)
        return await self._await_ending(link)

    async def _accompany(self, link: Link) -> Link | None:
        """Wait for the end of a connection; returns the one that has taken over, if one has."""
        await self._come_first(link)
        producing = self._producing.start(link.outgoing) if self._producing is not None else None
        try:
            return await Succession(link, self).run()
        finally:
            if producing is not None:
                producing.cancel()

    async def _come_first(self, link: Link) -> None:
        """Wait until a spare connection is one no longer, or has ended."""
        link.on_event = self._roused.set
        while self.is_spare and not link.has_ended:
            self._roused.clear()
            await self._roused.wait()

    def come_first(self) -> None:
        """Deliver in the place of another worker's connection."""
        self.is_spare = False
        self.links.come_first()
        self._roused.set()

    # Receiving

    def deliver(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read from the connection that delivers."""
        if self.gate is None:
            self.accept(payloads, joined, kind, received_at)
        else:
            self.gate.take(payloads, joined, kind, received_at)

    def accept(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take messages that are this worker's to deliver."""
        if self._invalid is None:
            self._receive(payloads, joined, kind, received_at)
            return
        self._invalid.before()
        self._receive(payloads, joined, kind, received_at)
        fault = self._invalid.after(len(payloads))
        if fault is not None and self.links.first is not None:
            error = f"connection given up: {fault}"
            self.links.first.fail(Ending(error=error, renegotiation=Renegotiation.AS_BEFORE))

    def _note_control(self, link: Link, payloads: list[bytes], received_at: int) -> None:
        """Count messages that are no data; some feeds number them like the others."""
        if self._watch is not None and link is self.links.first:
            self._do_in_place(partial(self._watch.pass_by, payloads, received_at))
        self._inlet.note_filtered(payloads)

    def _do_in_place(self, action: Callable[[], None]) -> None:
        """Do something between the messages before and those after it."""
        if self.gate is None:
            action()
        else:
            self.gate.do(action)

    def drop_duplicates(self, payloads: list[bytes]) -> None:
        """Count messages that another connection has delivered."""
        self._inlet.note_duplicates(payloads)

    def note_uncertain(self) -> None:
        """Count a move to another connection whose messages could not be aligned with the old one's."""
        self._log.warning("moved to a connection that has nothing in common with the one before: uncertain")
        self._inlet.note_uncertain()
        if self.gate is not None:
            self.gate.begin()
        elif self._watch is not None:
            self._watch.begin()

    def note_failure(self, ending: Ending) -> None:
        """Tell that a connection which was to take over can't be opened, or has ended."""
        if ending.error is not None:
            self.last_error = self._log.redact(ending.error)
            self._log.warning("no other connection takes over: %s", self.last_error)
            self._on_change(self)

    def look(self, now: float, lag_s: float) -> None:
        """See whether data has stopped to come.

        Args:
            now: loop time.
            lag_s: how late the loop was.
        """
        stalls = [link.look(now, lag_s) for link in self.links]
        if self.links.first is not None:
            self._standing.look(self.links.first)
        stall = stalls[0] if stalls and self.state is EndpointState.LIVE else None
        if stall is not self.stall:
            self.stall = stall
            self._on_change(self)

    # Sending

    def send(self, message: str | bytes) -> None:
        """Send a message on the connection there is.

        Raises:
            SendError: there is none, or its peer doesn't read what it is sent.
        """
        try:
            if self.links.first is None:
                raise SendError("is not connected")
            self.links.first.outgoing.send(message)
        except SendError as exc:
            raise SendError(f"{self.endpoint.name} {exc}") from None

    def change_streams(self, add: Sequence[str], remove: Sequence[str]) -> None:
        """Carry other streams; what stays isn't interrupted."""
        self.streams = [stream for stream in self.streams if stream not in remove] + list(add)
        for link in self.links:
            try:
                link.change_streams(add, remove)
            except SendError as exc:
                self._log.warning("can't change the subscription: %s; reconnecting", exc)
                link.fail(Ending(error=f"the subscription can't be changed: {exc}"))

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Unsubscribe and subscribe again: to these streams, or, without any, to all there is."""
        if self.links.first is not None:
            try:
                self.links.first.resubscribe(streams or self.streams)
            except SendError as exc:
                self._log.warning("can't resubscribe: %s", exc)

    def reconnect(self, reason: str) -> None:
        """Give the connection up and open another."""
        if self.links.first is not None:
            self.links.first.fail(Ending(error=f"connection given up: {reason}"))

    # The end

    def stop_receiving(self) -> None:
        """Receive nothing from now on."""
        self.links.stop_receiving()

    async def say_goodbye(self, code: CloseCode = CloseCode.GOING_AWAY) -> None:
        """Close the connections there are, and cut them when the peer takes its time."""
        await self.links.say_goodbye(code)
