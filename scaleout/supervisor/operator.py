"""Does what people ask of a live run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from scaleout.config import Endpoint
from scaleout.control import messages as control
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import ChangeStreams, Command, Resume, Send
from scaleout.errors import ConfigError, ControlError, Fault
from scaleout.hints import did_you_mean
from scaleout.loading import endpoints_from_tables
from scaleout.secrets import Redactor
from scaleout.supervisor.reloading import STOPPING, Reloader
from scaleout.supervisor.status import EndpointStatus
from scaleout.supervisor.supervisor import Supervisor
from scaleout.supervisor.views import Views

RESUMABLE = (EndpointState.PAUSED, EndpointState.QUARANTINED, EndpointState.BACKOFF)
MAX_WORKERS = 1_000
"""That a person may ask for: more is a slip, and would bring the machine down."""


class Operator:
    """Answers requests to a run.

    Args:
        supervisor: of the run.
        views: how it looks.
        reloader: has it follow its configuration.
    """

    def __init__(self, supervisor: Supervisor, views: Views, reloader: Reloader) -> None:
        self._supervisor = supervisor
        self._changes = supervisor.changes
        self._views = views
        self._reloader = reloader
        self._redact = Redactor(supervisor.config.secrets)

    async def answer(self, request: control.AnyRequest) -> control.AnyReply:
        """Do what is asked.

        Raises:
            ControlError: it can't be done.
            ConfigError: a configuration that comes with it, or is to be read, has faults.
        """
        try:
            return await self._answer(request)
        except ControlError as exc:
            raise ControlError(self._redact(str(exc))) from None

    async def _answer(self, request: control.AnyRequest) -> control.AnyReply:
        if isinstance(request, control.GetStatus):
            return control.Report(status=self._views.status())
        if isinstance(request, control.Drain):
            return await self._drain()
        if self._supervisor.is_stopping:
            raise ControlError(STOPPING)
        match request:
            case control.Add():
                return control.Added(endpoints=await self._add(request))
            case control.Remove():
                return control.Removed(endpoints=await self._each(request.endpoints, self._remove))
            case control.Pause():
                return control.Paused(endpoints=await self._each(request.endpoints, self._pause))
            case control.Resume():
                return control.Resumed(endpoints=await self._resume(request.endpoints))
            case control.Move():
                return await self._move(request.endpoint, request.worker)
            case control.Rebalance():
                return control.Moved(moves=tuple(map(self._views.move, await self._changes.rebalance())))
            case control.Scale():
                return await self._scale(request.workers)
            case control.Reload():
                return await self._reloader.reload()
            case control.Send():
                status = self._find(request.endpoint)
                await self._tell(status, lambda number: Send(number, status.slot, request.text))
            case control.ChangeStreams():
                await self._change_streams(request)
            case control.Retry():
                return await self._supervisor.retries.retry(request)
        return control.Done()

    # Endpoints

    async def _add(self, request: control.Add) -> tuple[str, ...]:
        self._supervisor.staff.hide(request.secrets)
        # Processors are imported, which may take its time.
        config = await asyncio.to_thread(
            endpoints_from_tables, request.endpoints, request.source, self._supervisor.config.secrets
        )
        self._check_workers(config.endpoints, request.source)
        self._changes.add(config.endpoints)
        return tuple(endpoint.name for endpoint in config.endpoints)

    def _check_workers(self, endpoints: Sequence[Endpoint], source: str) -> None:
        """An endpoint that is to have a worker of its own choice needs one that there is, or may be."""
        if self._supervisor.config.workers == "auto":
            return
        ids = self._supervisor.staff.ids
        faults = [
            Fault(source, f"endpoints[{index}].worker", _no_worker(endpoint.worker, ids))
            for index, endpoint in enumerate(endpoints)
            if endpoint.worker is not None and endpoint.worker not in ids
        ]
        if faults:
            raise ConfigError(faults)

    async def _remove(self, status: EndpointStatus) -> None:
        await self._changes.remove(status.slot)

    async def _pause(self, status: EndpointStatus) -> None:
        _check_not_ended(status)
        if status.state is EndpointState.PAUSED:
            raise ControlError("it is paused already")
        await self._changes.pause(status.slot)

    async def _resume(self, names: Sequence[str]) -> tuple[str, ...]:
        if not names:
            names = [each.endpoint.name for each in self._supervisor.endpoints if each.state in RESUMABLE]
            if not names:
                return ()
        return await self._each(names, self._resume_one)

    async def _resume_one(self, status: EndpointStatus) -> None:
        if status.state is EndpointState.PAUSED:
            self._changes.unpause(status.slot)
        else:
            await self._tell(status, lambda number: Resume(number, status.slot))

    async def _change_streams(self, request: control.ChangeStreams) -> None:
        status, add, remove = self._find(request.endpoint), request.add, request.remove
        problem = _problem_of_change(add, remove)
        if problem is not None:
            raise ControlError(problem)
        if status.moving_to is not None:
            raise ControlError(f"it is moving to worker {status.moving_to}: try again")
        await self._tell(status, lambda number: ChangeStreams(number, status.slot, add, remove))

    # Workers

    async def _move(self, name: str, worker: int) -> control.Moved:
        status, ids = self._find(name), self._supervisor.staff.ids
        if worker not in ids:
            raise ControlError(_no_worker(worker, ids))
        if status.worker == worker and status.moving_to is None:
            raise ControlError(f"{name} is on worker {worker} already")
        pinned = status.endpoint.worker
        if pinned in ids and worker != pinned:
            raise ControlError(f"{name} belongs to worker {pinned}: its configuration says so (`worker`)")
        _check_not_ended(status)
        return control.Moved(moves=(self._views.move(await self._changes.move(status.slot, worker)),))

    async def _scale(self, workers: int) -> control.Scaled:
        if not 1 <= workers <= MAX_WORKERS:
            raise ControlError(f"expected a number of workers from 1 to {MAX_WORKERS:,}, found {workers}")
        await self._changes.scale_by_hand(workers)
        return control.Scaled(workers=tuple(self._supervisor.staff.ids))

    # The run

    async def _drain(self) -> control.Drained:
        self._supervisor.stop("to be drained, by command")
        await self._supervisor.drained()
        return control.Drained(totals=self._views.totals())

    # Common

    def _find(self, name: str) -> EndpointStatus:
        status = self._supervisor.endpoints.find(name)
        if status is None:
            names = [each.endpoint.name for each in self._supervisor.endpoints]
            raise ControlError(f"there is no endpoint {name!r}{did_you_mean(name, names)}")
        return status

    async def _each(
        self, names: Sequence[str], act: Callable[[EndpointStatus], Awaitable[None]]
    ) -> tuple[str, ...]:
        """Do something with some endpoints at the same time; with none, where one of them isn't there.

        Returns:
            Their names.

        Raises:
            ControlError: some couldn't; it is done with the others.
        """
        if not names:
            raise ControlError("which endpoints? there is no name")
        chosen = [self._find(name) for name in dict.fromkeys(names)]
        outcomes = await asyncio.gather(*map(act, chosen), return_exceptions=True)
        problems = []
        for status, outcome in zip(chosen, outcomes, strict=True):
            if isinstance(outcome, ControlError):
                problems.append(f"{status.endpoint.name}: {outcome}")
            elif isinstance(outcome, BaseException):
                raise outcome
        if problems:
            raise ControlError("; ".join(problems))
        return tuple(status.endpoint.name for status in chosen)

    async def _tell(self, status: EndpointStatus, command: Callable[[int], Command]) -> None:
        """Have an endpoint's worker do something.

        Raises:
            ControlError: it can't.
        """
        _check_not_ended(status)
        if status.state is EndpointState.PAUSED:
            raise ControlError("it is paused: resume it first")
        problem = await self._supervisor.ask(status.slot, command)
        if problem is not None:
            raise ControlError(problem)


def _check_not_ended(status: EndpointStatus) -> None:
    if status.state is EndpointState.ENDED:
        why = f": {status.last_error}" if status.last_error is not None else ""
        raise ControlError(f"it has ended for good{why}")


def _no_worker(worker: int | None, ids: Sequence[int]) -> str:
    return f"there is no worker {worker}; there {'is' if len(ids) == 1 else 'are'} {', '.join(map(str, ids))}"


def _problem_of_change(add: Sequence[str], remove: Sequence[str]) -> str | None:
    """What is wrong with a change of streams, whatever the endpoint has."""
    if not add and not remove:
        return "no stream to add, and none to remove"
    bad = [each for each in (*add, *remove) if not each or not each.isprintable()]
    if bad:
        return f"expected names of streams, found {bad[0]!r}"
    twice = [each for each, count in Counter((*add, *remove)).items() if count > 1]
    return f"named more than once: {', '.join(twice)}" if twice else None
