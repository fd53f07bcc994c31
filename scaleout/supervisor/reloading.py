"""Has a live run follow its configuration again: it is read anew, and the smallest change is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Container, Iterable
from dataclasses import dataclass

from msgspec import structs

from scaleout.config import Config
from scaleout.control.messages import Reloaded
from scaleout.control.text import reload_text
from scaleout.core.changes import ConfigChanges, Depth, EndpointChange, config_changes
from scaleout.core.lifecycle import EndpointState
from scaleout.core.wire import ChangeStreams
from scaleout.errors import ConfigError, ControlError
from scaleout.monitor.text import plural
from scaleout.supervisor.status import EndpointStatus
from scaleout.supervisor.supervisor import Supervisor

STOPPING = "the run is coming to its end"

_log = logging.getLogger("scaleout.reload")


@dataclass(frozen=True)
class Source:
    """Where a run's configuration comes from."""

    name: str
    read: Callable[[], Config]
    """Reads and checks it; raises `ConfigError`."""


class Reloader:
    """Reads a run's configuration again, and has the run follow.

    Args:
        supervisor: of the run.
        source: None: there is nothing to read again.
    """

    def __init__(self, supervisor: Supervisor, source: Source | None) -> None:
        self._supervisor = supervisor
        self._source = source
        self._followed = supervisor.config
        """What the run follows, as it was read."""
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def ask(self) -> None:
        """Have it done soon."""
        self._asked.set()

    async def keep_reloading(self) -> None:
        """Reload whenever it is asked for, until cancelled; the log says what came of it."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except (ConfigError, ControlError):
                pass  # the log has it
            except Exception:
                _log.exception("internal error while the configuration was reloaded")

    async def reload(self) -> Reloaded:
        """Read the configuration, and make the smallest change.

        Raises:
            ConfigError: it has faults; nothing has changed.
            ControlError: it can't be read; nothing has changed.
        """
        if self._supervisor.is_stopping:
            raise ControlError(STOPPING)
        if self._source is None:
            problem = "there is nothing to reload: this run has no configuration file"
            _log.warning("%s", problem)
            raise ControlError(problem)
        async with self._one_at_a_time:
            new = await self._read(self._source)
            if self._supervisor.is_stopping:
                raise ControlError(STOPPING)
            self._supervisor.staff.hide(new.secrets)
            running = {status.endpoint.name: status.endpoint for status in self._supervisor.endpoints}
            done = await self._apply(new, config_changes(self._followed, new, running), self._source.name)
        self._tell(done)
        return done

    async def _read(self, source: Source) -> Config:
        try:
            return await asyncio.to_thread(source.read)
        except ConfigError as exc:
            count = plural(len(exc.faults), "fault")
            _log.error("%s isn't reloaded, it has %s; the run goes on as it is", source.name, count)
            for fault in exc.faults:
                _log.error("%s", fault)
            raise
        except Exception as exc:
            _log.exception("%s can't be reloaded; the run goes on as it is", source.name)
            raise ControlError(f"{source.name} can't be read: {type(exc).__name__}: {exc}") from exc

    def _tell(self, done: Reloaded) -> None:
        _log.info("%s", reload_text(done))
        for problem in done.problems:
            _log.error("%s", problem)
        if done.restart:
            _log.warning("restart to apply: %s", ", ".join(done.restart))

    # Applying

    async def _apply(self, new: Config, todo: ConfigChanges, source: str) -> Reloaded:
        """Make room first, then use it."""
        problems: dict[str | None, str] = {}
        """By endpoint; None: of the workers."""
        live = self._supervisor.changes

        async def attempt(name: str | None, what: str, action: Awaitable[None]) -> None:
            try:
                await action
            except ControlError as exc:
                problems[name] = f"{what}: {exc}"

        await asyncio.gather(
            *(attempt(name, f"{name} isn't removed", self._remove(name)) for name in todo.removed)
        )
        if todo.workers is not None:
            what = "the number of workers isn't changed"
            await attempt(None, what, live.scale_by_hand(todo.workers))
        await asyncio.gather(
            *(
                attempt(each.endpoint.name, f"{each.endpoint.name} isn't changed", self._change(each))
                for each in todo.changed
            )
        )
        try:
            live.add(todo.added)
        except ControlError as exc:
            names = [endpoint.name for endpoint in todo.added]
            problems |= dict.fromkeys(names, f"{plural(len(names), 'endpoint')} can't be added: {exc}")
        self._follow(new, todo, problems.keys())
        return Reloaded(
            source=source,
            added=_done((endpoint.name for endpoint in todo.added), problems),
            removed=_done(todo.removed, problems),
            changed=_done((each.endpoint.name for each in todo.changed), problems),
            workers=None if None in problems else todo.workers,
            restart=todo.restart,
            problems=tuple(dict.fromkeys(problems.values())),
        )

    def _follow(self, new: Config, todo: ConfigChanges, failed: Collection[str | None]) -> None:
        """Keep what is followed from now on: what couldn't be done is tried again with the next reload."""
        before = {endpoint.name: endpoint for endpoint in self._followed.endpoints}
        endpoints = [endpoint for endpoint in new.endpoints if endpoint.name not in failed]
        endpoints += [before[name] for name in failed if name in before]
        workers = self._followed.workers
        if todo.workers is not None and None not in failed:
            workers = todo.workers
        self._followed = structs.replace(self._followed, endpoints=tuple(endpoints), workers=workers)

    async def _remove(self, name: str) -> None:
        status = self._supervisor.endpoints.find(name)
        if status is not None:
            await self._supervisor.changes.remove(status.slot)

    async def _change(self, change: EndpointChange) -> None:
        status = self._supervisor.endpoints.find(change.endpoint.name)
        if status is None:
            raise ControlError("it has been removed meanwhile")
        wanted = change.endpoint
        if status.state is EndpointState.ENDED and change.depth is not Depth.PLACEMENT:
            await self._supervisor.changes.remove(status.slot)
            self._supervisor.changes.add([wanted])  # another try, which goes on with its books
            return
        if change.depth is Depth.STREAMS and await self._change_streams(status, change):
            wanted = structs.replace(wanted, streams=status.endpoint.streams)
        if wanted != status.endpoint:
            await self._supervisor.changes.change(status.slot, wanted)
        if change.is_placed_anew:
            await self._place(status)

    async def _change_streams(self, status: EndpointStatus, change: EndpointChange) -> bool:
        """Change streams on the connections that there are; whether that could be done."""
        if status.moving_to is not None or status.is_at_rest:
            return False
        problem = await self._supervisor.ask(
            status.slot, lambda number: ChangeStreams(number, status.slot, change.add, change.remove)
        )
        return problem is None

    async def _place(self, status: EndpointStatus) -> None:
        """Move an endpoint to the worker that it belongs to, if it isn't about to move there."""
        worker = status.endpoint.worker
        if worker is None or worker in (status.worker, status.moving_to):
            return
        if worker in self._supervisor.staff.ids:
            await self._supervisor.changes.move(status.slot, worker)


def _done(names: Iterable[str], problems: Container[str | None]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in problems)
