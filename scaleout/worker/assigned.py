"""All that a worker has for one endpoint, from its assignment until it is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from websockets.frames import CloseCode

from scaleout import logs
from scaleout.core.marks import Assignment
from scaleout.core.wire import Setup, StateChange
from scaleout.worker.books import Books
from scaleout.worker.feed import Feed
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.means import Means
from scaleout.worker.moving.gate import Gate
from scaleout.worker.outbox import Outbox
from scaleout.worker.pooled import Pools
from scaleout.worker.retries import Retries
from scaleout.worker.session import Session
from scaleout.worker.stages import build_stage


class Assigned:
    """One endpoint: its connections, the way of its messages, and its books.

    Args:
        assignment: which endpoint, and where it was left.
        setup: how this worker runs.
        outbox: the worker's.
        intake: the worker's.
        means: what the worker has to connect.
        on_change: called after each change of its state.
        pools: where its messages may be gathered with those of other endpoints.
        groups: the streams of each connection; None: as the endpoint asks for.
        make_gate: what each of them is shadowed by, where another worker has the endpoint.

    Raises:
        ProcessorError: a function of the user's can't be used.
    """

    def __init__(
        self,
        assignment: Assignment,
        setup: Setup,
        outbox: Outbox,
        intake: Intake,
        means: Means,
        on_change: Callable[[Assigned], None],
        *,
        pools: Pools | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        make_gate: Callable[[Session], Gate] | None = None,
    ) -> None:
        endpoint = assignment.endpoint
        self.slot = assignment.slot
        self.name = endpoint.name
        self._outbox = outbox
        self._known_streams: tuple[str, ...] = ()
        """What the supervisor has been told."""
        self._is_gone = False
        self._receiving: asyncio.Task[None] | None = None
        self.log = logger = logs.EndpointLogger(endpoint.name, setup.secrets)
        books = Books(self.slot, endpoint, outbox, setup.envelope, logger)

        def follow(feed: Feed) -> None:
            if not self._is_gone:
                on_change(self)

        self.feed = Feed(assignment, means, follow, logger, groups, make_gate)
        self.stage = build_stage(
            endpoint, books, self.feed.send, assignment.processors, lambda: follow(self.feed)
        )
        self.inlet = Inlet(books, intake, self.stage)
        if pools is not None and self.stage.wish is not None:
            self.inlet.gather_in(pools.find(self.stage.wish, setup.envelope, endpoint.linger))
        self.feed.deliver_to(self.inlet)
        self.retries = Retries(self.inlet, setup.envelope, self.feed.send, logger)
        self._tray = books.tray
        outbox.know(self._tray)

    def __repr__(self) -> str:
        return f"<Assigned {self.slot}: {self.feed!r}>"

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Connect, and stay connected."""
        self._receiving = tasks.create_task(self.feed.run(), name=self.name)

    def take_change(self) -> StateChange:
        """Its state, for the supervisor."""
        feed = self.feed
        streams = feed.streams if feed.streams is not self._known_streams else None
        self._known_streams = feed.streams
        return StateChange(
            self.slot,
            feed.state,
            feed.connects,
            feed.last_error,
            feed.stall,
            streams,
            self.stage.processors,
        )

    # The end

    def stop_receiving(self) -> None:
        """Receive nothing from now on, and connect no more."""
        self.feed.stop_receiving()
        if self._receiving is not None:
            self._receiving.cancel()

    async def say_goodbye(self) -> None:
        """Connect no more, and close the connections in good order."""
        self.stop_receiving()
        await self.feed.say_goodbye()

    async def drain(self, timeout_s: float) -> None:
        """Hand over all that was received."""
        self.inlet.settle()
        await asyncio.gather(self.stage.drain(timeout_s), self.retries.drain(timeout_s))

    async def let_go(self, timeout_s: float) -> None:
        """Close the connections in good order, and hand over all that was received; nothing is left of it then."""
        self._is_gone = True
        self.stop_receiving()
        await asyncio.gather(self.feed.say_goodbye(CloseCode.NORMAL_CLOSURE), self.drain(timeout_s))
        if self._receiving is not None:
            await asyncio.wait((self._receiving,))
        self.feed.close_all()
        self._outbox.forget(self._tray)
        self._outbox.put_released(self.slot)
