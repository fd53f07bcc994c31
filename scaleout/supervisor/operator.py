"""Does what people ask of a live run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from scaleout.control import messages as control
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import ChangeStreams, Command, Resume, Send
from scaleout.errors import ControlError
from scaleout.hints import did_you_mean
from scaleout.secrets import Redactor
from scaleout.supervisor.meter import Meter
from scaleout.supervisor.status import EndpointStatus
from scaleout.supervisor.supervisor import Supervisor

LOOK_INTERVAL_S = 1.0
"""Between two looks at the counts, of which the rates are made."""
RESUMABLE = (EndpointState.QUARANTINED, EndpointState.BACKOFF)


class Operator:
    """Answers requests to a run.

    Args:
        supervisor: of the run.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._meter = Meter()
        self._redact = Redactor(supervisor.config.secrets)

    async def answer(self, request: control.AnyRequest) -> control.AnyReply:
        """Do what is asked.

        Raises:
            ControlError: it can't be done.
        """
        try:
            return await self._answer(request)
        except ControlError as exc:
            raise ControlError(self._redact(str(exc))) from None

    async def _answer(self, request: control.AnyRequest) -> control.AnyReply:
        if isinstance(request, control.GetStatus):
            return control.Report(status=self.status())
        if self._supervisor.is_stopping:
            raise ControlError("the run is coming to its end")
        match request:
            case control.Resume():
                return control.Resumed(endpoints=await self.resume(request.endpoints))
            case control.Send():
                await self.send(request.endpoint, request.text)
            case control.ChangeStreams():
                await self.change_streams(request.endpoint, request.add, request.remove)
            case control.Retry():
                return await self._supervisor.retries.retry(request)
        return control.Done()

    # Looking

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure rates, meanwhile."""
        task = asyncio.ensure_future(self._keep_looking())
        try:
            yield
        finally:
            task.cancel()

    async def _keep_looking(self) -> None:
        loop, supervisor = asyncio.get_running_loop(), self._supervisor
        while True:
            received = {
                each.slot: supervisor.ledger.counts(each.slot).received for each in supervisor.endpoints
            }
            self._meter.look(loop.time(), received)
            await asyncio.sleep(LOOK_INTERVAL_S)

    def status(self) -> control.Status:
        """The run at this moment."""
        totals = self._supervisor.ledger.total().to_mapping()
        return control.Status(
            workers=tuple(
                control.WorkerView(
                    id=worker.id,
                    state=worker.state.value,
                    restarts=worker.restarts,
                    cpu_s=round(worker.cpu_s, 3),
                    received=worker.received,
                    lag_s=round(worker.lag_s, 6),
                    backlog_bytes=worker.backlog_bytes,
                )
                for worker in self._supervisor.workers
            ),
            endpoints=tuple(map(self._view, self._supervisor.endpoints)),
            totals={term: value for term, value in totals.items() if isinstance(value, int)},
        )

    def _view(self, status: EndpointStatus) -> control.EndpointView:
        return control.EndpointView(
            name=status.endpoint.name,
            worker=status.worker,
            state=status.state.value,
            rate=round(self._meter.rate(status.slot), 3),
            received=self._supervisor.ledger.counts(status.slot).received,
            reason=None if status.last_error is None else self._redact(status.last_error),
            since=status.since,
            stall=status.stall.value if status.stall is not None else None,
            connects=status.connects,
            streams=tuple(map(self._redact, status.endpoint.streams)),
        )

    # Acting

    async def resume(self, names: Sequence[str] = ()) -> tuple[str, ...]:
        """End quarantines and waits.

        Args:
            names: of endpoints; without any, all that are quarantined or wait between two attempts.

        Returns:
            The names of those that were told to connect.

        Raises:
            ControlError: one of them can't; the others have been told.
        """
        if names:
            chosen = [self._find(name) for name in dict.fromkeys(names)]
        else:
            chosen = [each for each in self._supervisor.endpoints if each.state in RESUMABLE]

        async def tell(status: EndpointStatus) -> str | None:
            return await self._ask(status, lambda number: Resume(number, status.slot))

        problems = await asyncio.gather(*map(tell, chosen))
        failed = [
            f"{status.endpoint.name}: {problem}"
            for status, problem in zip(chosen, problems, strict=True)
            if problem is not None
        ]
        if failed:
            raise ControlError("; ".join(failed))
        return tuple(status.endpoint.name for status in chosen)

    async def send(self, name: str, text: str) -> None:
        """Send a text on an endpoint's connection.

        Raises:
            ControlError: it can't be sent.
        """
        status = self._find(name)
        await self._tell(status, lambda number: Send(number, status.slot, text))

    async def change_streams(self, name: str, add: Sequence[str], remove: Sequence[str]) -> None:
        """Add streams to an endpoint, and take others away.

        Raises:
            ControlError: it can't be done, or isn't known to be.
        """
        status = self._find(name)
        problem = _problem_of_change(add, remove)
        if problem is not None:
            raise ControlError(problem)
        await self._tell(status, lambda number: ChangeStreams(number, status.slot, tuple(add), tuple(remove)))

    def _find(self, name: str) -> EndpointStatus:
        named = {each.endpoint.name: each for each in self._supervisor.endpoints}
        if name not in named:
            raise ControlError(f"there is no endpoint {name!r}{did_you_mean(name, named)}")
        return named[name]

    async def _tell(self, status: EndpointStatus, command: Callable[[int], Command]) -> None:
        problem = await self._ask(status, command)
        if problem is not None:
            raise ControlError(problem)

    async def _ask(self, status: EndpointStatus, command: Callable[[int], Command]) -> str | None:
        if status.state is EndpointState.ENDED:
            why = f": {status.last_error}" if status.last_error is not None else ""
            return f"it has ended for good{why}"
        return await self._supervisor.ask(status.slot, command)


def _problem_of_change(add: Sequence[str], remove: Sequence[str]) -> str | None:
    """What is wrong with a change of streams, whatever the endpoint has."""
    if not add and not remove:
        return "no stream to add, and none to remove"
    bad = [each for each in (*add, *remove) if not each or not each.isprintable()]
    if bad:
        return f"expected names of streams, found {bad[0]!r}"
    twice = [each for each, count in Counter((*add, *remove)).items() if count > 1]
    return f"named more than once: {', '.join(twice)}" if twice else None
