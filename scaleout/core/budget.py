"""Connects to one host, granted over all workers so that together they never exceed what the host allows.

A connect reaches the host at an unknown instant between its grant and the end of its attempt. So what a grant takes
comes back one period after the attempt's *end*: any later grant that uses it arrives at least a period after it,
whatever the delays between supervisor, worker and host. The price is that slow attempts lower the rate.

A *spare* is a connection beside one that delivers: a standby, or one that is moved to. Spares have only the places
that the first connections, all of them, leave free; else one that has to reconnect would find its place taken.
"""

from __future__ import annotations

from collections import OrderedDict, deque


class HostBudget:
    """Hands out connects in the order in which they were asked for; to spares last.

    A ticket stands for one attempt and the connection that comes of it. It waits, is granted, opens, and is gone:

        ask → grants → attempt_ended → connection_ended

    An attempt that failed goes from `grants` to `connection_ended`. What is said about a ticket that isn't there is
    ignored, for it crosses with the ticket's end. All times are monotonic, in seconds, of one clock.

    Args:
        connects: so many in any period of so many seconds; None: no limit.
        concurrent: so many open, or being opened, at a time; None: no limit.
        host: its name, for people.
    """

    def __init__(
        self, connects: tuple[int, float] | None, concurrent: int | None, host: str = "the host"
    ) -> None:
        self._connects = connects
        self._concurrent = concurrent
        self._host = host
        self._reserved = 0
        self._queue: OrderedDict[int, None] = OrderedDict()
        self._spare_queue: OrderedDict[int, None] = OrderedDict()
        self._connecting: set[int] = set()
        self._open: set[int] = set()
        self._spares: set[int] = set()
        """Those of them that are none of the first connections."""
        self._recalled: set[int] = set()
        """Spares that were to end, and haven't yet."""
        self._returns_at: deque[float] = deque()
        """When the connects whose attempts ended may be used again."""

    def __repr__(self) -> str:
        return (
            f"<HostBudget {self._host}: {self.waiting} waiting, "
            f"{len(self._connecting)} connecting, {len(self._open)} open>"
        )

    @property
    def waiting(self) -> int:
        """How many tickets wait for their grant."""
        return len(self._queue) + len(self._spare_queue)

    @property
    def spare_places(self) -> int | None:
        """How many spares there may be at a time; None: any number."""
        return None if self._concurrent is None else max(0, self._concurrent - self._reserved)

    def reserve(self, places: int) -> None:
        """Keep so many more places for first connections."""
        self._reserved += places

    def ask(self, ticket: int, *, is_spare: bool = False) -> None:
        """Queue for a connect.

        Args:
            ticket: a number that no other attempt has.
            is_spare: whether another connection is there that delivers.

        Raises:
            ValueError: the ticket is in use.
        """
        used = (self._queue, self._spare_queue, self._connecting, self._open)
        if any(ticket in tickets for tickets in used):
            raise ValueError(f"ticket {ticket} for {self._host} is in use: each attempt needs its own")
        queue = self._spare_queue if is_spare else self._queue
        queue[ticket] = None

    def grants(self, now: float) -> list[int]:
        """The tickets that may connect at once, each named one time."""
        while self._returns_at and self._returns_at[0] <= now:
            self._returns_at.popleft()
        granted: list[int] = []
        while (queue := self._next_queue) and self._has_connect:
            ticket, _ = queue.popitem(last=False)
            self._connecting.add(ticket)
            if queue is self._spare_queue:
                self._spares.add(ticket)
            granted.append(ticket)
        return granted

    def next_at(self, now: float) -> float | None:
        """When to call `grants`; None: in vain for now, as nothing waits, or only an end can make room."""
        if not self._next_queue:
            return None
        if self._has_connect:
            return now
        return max(now, self._returns_at[0]) if self._returns_at else None

    def attempt_ended(self, ticket: int, now: float) -> None:
        """Take note that the connection is open: nothing of its attempt can reach the host any more."""
        if ticket in self._connecting:
            self._end_attempt(ticket, now)
            self._open.add(ticket)

    def connection_ended(self, ticket: int, now: float) -> None:
        """Take note that the connection is closed, or that its attempt failed."""
        if ticket in self._connecting:
            self._end_attempt(ticket, now)
        self._open.discard(ticket)
        self._spares.discard(ticket)
        self._recalled.discard(ticket)

    def recalls(self) -> list[int]:
        """Spares that must end, each named one time: more places are reserved now, and somebody waits for one."""
        if self.spare_places is None or self._has_place:
            return []
        count = min(len(self._queue), len(self._spares) - self.spare_places) - len(self._recalled)
        recalled = sorted((self._spares & self._open) - self._recalled)[: max(0, count)]
        self._recalled.update(recalled)
        return recalled

    def rank(self, ticket: int, *, is_spare: bool) -> None:
        """Take note that an open connection has become a spare, or is none any more."""
        if ticket not in self._open:
            return
        if is_spare:
            self._spares.add(ticket)
        else:
            self._spares.discard(ticket)
            self._recalled.discard(ticket)

    def forget(self, ticket: int, now: float) -> None:
        """Take note that nobody is behind the ticket, wherever it is: its worker died, or changed its mind."""
        self._queue.pop(ticket, None)
        self._spare_queue.pop(ticket, None)
        self.connection_ended(ticket, now)

    @property
    def _has_connect(self) -> bool:
        return self._connects is None or len(self._connecting) + len(self._returns_at) < self._connects[0]

    @property
    def _has_place(self) -> bool:
        return self._concurrent is None or len(self._connecting) + len(self._open) < self._concurrent

    @property
    def _has_spare_place(self) -> bool:
        return self._has_place and (self.spare_places is None or len(self._spares) < self.spare_places)

    @property
    def _next_queue(self) -> OrderedDict[int, None] | None:
        """Who is next, if there is a place for them: spares only where none of the first connections waits."""
        if self._queue:
            return self._queue if self._has_place else None
        return self._spare_queue if self._has_spare_place else None

    def _end_attempt(self, ticket: int, now: float) -> None:
        self._connecting.remove(ticket)
        if self._connects is not None:
            self._returns_at.append(now + self._connects[1])
