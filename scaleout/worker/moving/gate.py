"""What stands between an endpoint's connections and what becomes of their messages, while it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from scaleout.core.frames import Kind
from scaleout.valve import Source
from scaleout.worker.connection import Receiver
from scaleout.worker.handover.recognition import Recognition

MAX_HELD = 65_536
"""Messages."""
MAX_HELD_BYTES = 64 * 2**20


class Gate(Protocol):
    """Stands at one connection's way in."""

    def take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read from the connection that delivers."""

    def do(self, action: Callable[[], None]) -> None:
        """Do something between the messages before and those after it."""

    def begin(self) -> None:
        """A connection was opened after none was there."""


class Bystander(Protocol):
    """Whose messages are held back: a session."""

    @property
    def accept(self) -> Receiver:
        """Takes messages that are this worker's to deliver."""

    def begin(self) -> None:
        """Expect messages of a connection that was opened after none was there."""

    def drop_duplicates(self, payloads: list[bytes]) -> None:
        """Count messages that another connection has delivered."""

    @property
    def links(self) -> Source:
        """Its connections."""


class Held:
    """What the connections of an endpoint have brought and nobody has seen, in order.

    It is bounded: when there is too much, the connections are held back.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self._items: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._reads: list[tuple[Bystander, list[bytes]]] = []
        self._paused: dict[Bystander, None] = {}

    def take(
        self, session: Bystander, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int
    ) -> None:
        """Hold a read of a session."""
        self._items.append((session.accept, (payloads, joined, kind, received_at)))
        self._reads.append((session, payloads))
        self.messages += len(payloads)
        self.bytes += len(joined)
        if self.messages >= MAX_HELD or self.bytes >= MAX_HELD_BYTES:
            self._paused[session] = None
            session.links.pause_reading(self)

    def do(self, action: Callable[[], None]) -> None:
        """Do something in the place that it has among the messages."""
        self._items.append((action, ()))

    def deliver(self) -> None:
        """Deliver all of it."""
        items, self._items = self._items, []
        for function, arguments in items:
            function(*arguments)
        self._let_go()

    def drop(self) -> None:
        """Count all of it as delivered elsewhere."""
        for session, payloads in self._reads:
            session.drop_duplicates(payloads)
        self._let_go()

    def _let_go(self) -> None:
        self._items, self._reads = [], []
        self.messages = self.bytes = 0
        for session in self._paused:
            session.links.resume_reading(self)
        self._paused = {}


class Recognizing:
    """Lets everything through but the copies of what another worker has delivered, and goes when it is over.

    Args:
        session: whose messages they are.
        recognition: delivers to the session.
    """

    def __init__(self, session: Guarded, recognition: Recognition) -> None:
        self._session = session
        self._recognition = recognition

    def take(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read."""
        self._recognition.receive(payloads, joined, kind, received_at)
        if self._recognition.is_over and self._session.gate is self:
            self._session.gate = None

    def do(self, action: Callable[[], None]) -> None:
        """Do it at once."""
        action()

    def begin(self) -> None:
        """Nothing is held back."""
        self._session.begin()


class Guarded(Bystander, Protocol):
    """A session that has a gate."""

    gate: Gate | None
