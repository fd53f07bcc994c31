"""One endpoint in a worker: the connections that it needs, and one way in for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from websockets.frames import CloseCode

from scaleout import hooks
from scaleout.core.hosts import streams_per_connection
from scaleout.core.lifecycle import EndpointState, Stall, state_of_all
from scaleout.core.marks import Assignment, CursorMark, NumbersMark
from scaleout.core.sequence import Gap
from scaleout.core.streams import Change, assign, change
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.cures import Cures, HookCaller
from scaleout.worker.flag import Flag
from scaleout.worker.gaps import GapWatch, Numbering
from scaleout.worker.inlet import Inlet
from scaleout.worker.links.producing import Producing
from scaleout.worker.links.stalls import look_every_s
from scaleout.worker.means import Means
from scaleout.worker.moving.gate import Gate
from scaleout.worker.resume import Resume
from scaleout.worker.session import Session


class Feed:
    """Keeps the connections of one endpoint open.

    Args:
        assignment: which endpoint, and where it was left.
        means: what the worker has to connect.
        on_change: called after each change of its state.
        logger: knows the endpoint.
        groups: the streams of each connection; None: as the endpoint asks for.
        make_gate: what each of them is to be shadowed by, where another worker has the endpoint.

    Raises:
        ProcessorError: the producer, or what is called about gaps, can't be used.
    """

    def __init__(
        self,
        assignment: Assignment,
        means: Means,
        on_change: Callable[[Feed], None],
        logger: EndpointLogger,
        groups: Sequence[Sequence[str]] | None = None,
        make_gate: Callable[[Session], Gate] | None = None,
    ) -> None:
        endpoint = assignment.endpoint
        self._first_groups = groups
        self._make_gate = make_gate
        self.endpoint = endpoint
        self.streams = endpoint.streams
        self.sessions: list[Session] = []
        self.connects = 0
        """Connections opened so far."""
        self._connects_before = 0
        """Of sessions that are gone."""
        self.last_error: str | None = None
        self._means = means
        self._assignment = assignment
        self._on_change = on_change
        self._log = logger
        self._inlet: Inlet
        self._numbering: Numbering | None = None
        self._cures = Cures()
        self._producing: Producing | None = None
        self._hook: HookCaller | None = None
        self._tasks: dict[Session, asyncio.Task[None]] = {}
        self._farewells: dict[asyncio.Task[None], None] = {}
        self._ended = Flag()
        self.look_every_s = look_every_s(endpoint.stale_after)
        """How often `look` is to be called."""
        if endpoint.producer is not None:
            self._producing = Producing(hooks.load_producer(endpoint.producer), endpoint.name, logger)
        if endpoint.on_gap not in (None, "resubscribe", "reconnect"):
            hook = hooks.load_gap_hook(endpoint.on_gap)
            self._hook = HookCaller(hook, endpoint.name, self.send, logger)

    def __repr__(self) -> str:
        return f"<Feed {self.endpoint.name}: {self.state.value}, {len(self.sessions)} connections wanted>"

    def deliver_to(self, inlet: Inlet) -> None:
        """Use this way in; to be called before `run`."""
        self._inlet = inlet

    # What is known of it

    @property
    def state(self) -> EndpointState:
        """Of the connection that is worst off."""
        return state_of_all(session.state for session in self.sessions)

    @property
    def stall(self) -> Stall | None:
        """Why a live connection brings no data."""
        return next((session.stall for session in self.sessions if session.stall is not None), None)

    # Life

    async def run(self) -> None:
        """Stay connected until all connections have ended for good, or the task is cancelled."""
        for streams in self._first_groups or self._groups(self.streams):
            self._start(streams)
        try:
            await self._ended.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            self._cures.close()
            if self._hook is not None:
                self._hook.close()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _groups(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        """What each connection carries."""
        return assign(streams, streams_per_connection(self.endpoint)) if streams else [()]

    def _start(self, streams: Sequence[str]) -> None:
        endpoint = self.endpoint
        session: Session

        def act(gap: Gap) -> None:
            self._act(session, gap)

        watch = None
        if endpoint.sequence is not None:
            if self._numbering is None or endpoint.sequence_scope == "connection":
                self._numbering = Numbering(endpoint, self._inlet, self._assignment.numbers)
            watch = GapWatch(endpoint, self._inlet, self._numbering, act, self._log)
        resume = None
        if endpoint.cursor is not None:
            resume = Resume(endpoint.cursor, self._assignment.cursor, self._inlet, watch)
        session = Session(
            endpoint,
            streams,
            self._inlet,
            self._means,
            self._follow,
            self._log,
            watch=watch,
            resume=resume,
            producing=self._producing,
        )
        if self._make_gate is not None:
            session.is_spare = True
            session.gate = self._make_gate(session)
        self.sessions.append(session)
        self._run(session)

    def _run(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.run(), name=self.endpoint.name)
        self._tasks[session] = task
        task.add_done_callback(lambda task: self._end(session, task))

    def _end(self, session: Session, task: asyncio.Task[None]) -> None:
        if self._tasks.get(session) is not task:
            return  # another one runs it
        del self._tasks[session]
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._log.error("internal error, the connection is given up", exc_info=exc)
        if not self._tasks:
            self._ended.set()

    def _follow(self, session: Session) -> None:
        self.connects = self._connects_before + sum(each.connects for each in self.sessions)
        self.last_error = session.last_error or self.last_error
        self._on_change(self)

    def look(self, now: float, lag_s: float) -> None:
        """See whether data has stopped to come; the arguments are those of the sessions."""
        for session in self.sessions:
            session.look(now, lag_s)

    # Moving to another worker

    @property
    def cursor(self) -> CursorMark | None:
        """How far it has come."""
        return next((each.resume.mark for each in self.sessions if each.resume is not None), None)

    @property
    def numbers(self) -> NumbersMark | None:
        """What its messages are expected to start with."""
        return self._numbering.mark if self._numbering is not None else None

    def go_on_from(self, cursor: CursorMark | None, numbers: NumbersMark | None) -> None:
        """Go on from where another worker has come to."""
        if self._numbering is not None:
            self._numbering.go_on_from(numbers)
        for session in self.sessions:
            if session.resume is not None and cursor is not None:
                session.resume.mark = cursor

    def come_first(self) -> None:
        """It is this worker that has the endpoint, from now on."""
        self._make_gate = None
        for session in self.sessions:
            session.come_first()
            is_asking = session.state is EndpointState.CONNECTING and session.links.first is None
            if is_asking and session in self._tasks:
                # It may be waiting for a permit that only first connections get.
                self._tasks[session].cancel()
                self._run(session)

    # Gaps

    def _act(self, session: Session, gap: Gap) -> None:
        if self._hook is not None:
            self._hook(gap)
        elif self.endpoint.on_gap is not None and not gap.reconnected:
            carrier = next((each for each in self.sessions if gap.key in each.streams), None)
            streams = [gap.key] if carrier is not None and gap.key is not None else []
            key = (session, gap.key if self.endpoint.on_gap == "resubscribe" else None)
            self._cures.ask(key, partial(self._cure, carrier or session, session.connects, streams, gap))

    def _cure(self, session: Session, connects: int, streams: Sequence[str], gap: Gap) -> None:
        if session.connects != connects:
            return  # that has cured it
        if self.endpoint.on_gap == "reconnect":
            session.reconnect(f"gap: expected {gap.expected}, got {gap.got}")
        else:
            session.resubscribe(streams)

    # From outside

    def send(self, message: str | bytes) -> None:
        """Send a message on the first connection that is open.

        Raises:
            SendError: there is none, or its peer doesn't read what it is sent.
        """
        for session in self.sessions:
            if session.state is EndpointState.LIVE:
                session.send(message)
                return
        raise SendError(f"{self.endpoint.name} is not connected")

    def resume(self) -> None:
        """End quarantines and waits: connect at once."""
        for session in self.sessions:
            session.resume_now()

    def change_streams(self, add: Sequence[str], remove: Sequence[str]) -> str | None:
        """Add streams, and take others away; the others aren't interrupted.

        Returns:
            What is wrong with that, if anything is.
        """
        if not self.streams:
            return f"{self.endpoint.name} has no streams"
        if len(set(add)) < len(add) or not all(add):
            return "each stream is to be named once"
        unknown = [stream for stream in remove if stream not in self.streams]
        known = [stream for stream in add if stream in self.streams]
        if unknown or known:
            return (
                f"no such stream: {', '.join(unknown)}" if unknown else f"there already: {', '.join(known)}"
            )
        if not set(self.streams) - set(remove) and not add:
            return "at least one stream has to stay"
        if remove and not self.endpoint.unsubscribe and "{stream}" not in self.endpoint.uri:
            return f"{self.endpoint.name} has no `unsubscribe`: its streams can't be taken away"
        self.streams = tuple(stream for stream in self.streams if stream not in remove) + tuple(add)
        groups = [tuple(session.streams) for session in self.sessions]
        for changed in change(groups, add, remove, streams_per_connection(self.endpoint)):
            self._apply(changed)
        self._on_change(self)
        return None

    def _apply(self, changed: Change) -> None:
        if changed.group is None:
            self._start(changed.add)
            return
        session = self.sessions[changed.group]
        session.change_streams(changed.add, changed.remove)
        if not session.streams:
            if session in self._tasks:  # else it has ended for good
                self._tasks[session].cancel()
            farewell = asyncio.get_running_loop().create_task(self._dismiss(session))
            self._farewells[farewell] = None
            farewell.add_done_callback(self._farewells.pop)

    async def _dismiss(self, session: Session) -> None:
        """Close a connection that nothing is left for."""
        try:
            await session.say_goodbye()
        finally:
            self.sessions.remove(session)
            self._connects_before += session.connects

    # The end

    def stop_receiving(self) -> None:
        """Receive nothing from now on."""
        for session in self.sessions:
            session.stop_receiving()

    async def say_goodbye(self, code: CloseCode = CloseCode.GOING_AWAY) -> None:
        """Close all connections."""
        await asyncio.gather(*(session.say_goodbye(code) for session in self.sessions))

    def close_all(self) -> None:
        """Cut all connections."""
        for session in self.sessions:
            session.close_all()
