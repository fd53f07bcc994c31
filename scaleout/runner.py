"""Runs a configuration from start to end: what `scaleout.run`, `scaleout.serve` and the command line share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from socket import socket

import msgspec
import uvloop

from scaleout import memory, privatefiles, signals
from scaleout.config import Config
from scaleout.core.ledger import Ledger
from scaleout.deadletters import Limits, problem_of
from scaleout.errors import ConfigError, Fault
from scaleout.loading import check_config
from scaleout.machine import usable_cores
from scaleout.secrets import Redactor
from scaleout.sinks import make_sink
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.control import serving
from scaleout.supervisor.deadletters import DeadLetters, StoreSink
from scaleout.supervisor.listening import listening
from scaleout.supervisor.operator import Operator
from scaleout.supervisor.reloading import Reloader, Source
from scaleout.supervisor.status import Summary
from scaleout.supervisor.supervisor import Supervisor
from scaleout.supervisor.views import Views
from scaleout.supervisor.writer import SinkWriter

CLOSE_TIMEOUT_S = 5.0
"""How long sinks may take to close, once they have taken everything."""
LAST_CHANCE_S = 1.0
"""The same when the time to drain was over, or a second signal came."""

Watch = Callable[[Supervisor], Awaitable[None]]
"""Runs beside the supervisor and shows what goes on; cancelled at the end."""

Read = Callable[[], Config]

Show = Callable[[Summary], None]
"""Told what the run has come to, also where its summary can't be written."""


def run(config: Config, *, reload: Read | None = None) -> Summary:
    """Run a configuration until it ends, or until SIGINT or SIGTERM; to be called in the main thread.

    A first signal stops reading and drains; a second one ends at once. At SIGHUP the run follows its
    configuration again, with the smallest change.

    Args:
        config: of the run.
        reload: gives the configuration as it is to be followed from now on, such as
            `lambda: load("feeds.toml")`; called in a thread, at SIGHUP and for `Control.reload`.

    Raises:
        ConfigError: the configuration can't be used; holds all that is wrong.
        WorkerError: the workers can't be started.
        OSError: the summary can't be written.
    """
    return run_checked(check_config(config, import_processors=True), source=_source(reload))


async def serve(config: Config, *, reload: Read | None = None) -> Summary:
    """Run a configuration in the loop that runs already; signals are left alone.

    Cancelling drains like a first signal and writes the summary, then raises CancelledError.

    Args:
        config: of the run.
        reload: gives the configuration as it is to be followed from now on; called in a thread, for
            `Control.reload`.

    Raises:
        ConfigError: the configuration can't be used; holds all that is wrong.
        WorkerError: the workers can't be started.
        OSError: the summary can't be written.
    """
    config = check_config(config, import_processors=True)
    with listening(config.control) as listener:
        supervisor = _make_supervisor(config)
        reloader = Reloader(supervisor, _source(reload))
        return await _serve(supervisor, _run_to_the_end(supervisor), reloader, listener)


def _source(read: Read | None) -> Source | None:
    if read is None:
        return None
    return Source("the configuration", lambda: check_config(read(), import_processors=True))


def run_checked(
    config: Config, watch: Watch | None = None, show: Show | None = None, source: Source | None = None
) -> Summary:
    """`run` for a configuration that has been checked.

    Args:
        config: of the run.
        watch: shows what goes on.
        show: is told what the run has come to.
        source: where the configuration comes from; None: there is nothing to reload.
    """
    with memory.collecting_rarely(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve_until_signal(config, watch, show, source))


async def _serve_until_signal(
    config: Config, watch: Watch | None, show: Show | None, source: Source | None
) -> Summary:
    """Serve, with signals handled until the summary is written."""
    with listening(config.control) as listener:
        supervisor = _make_supervisor(config)
        reloader = Reloader(supervisor, source)
        with (
            signals.stop_signals_call(_stop_then_kill(supervisor)),
            signals.reload_signal_calls(reloader.ask),
        ):
            return await _serve(supervisor, supervisor.run(), reloader, listener, watch, show)


def _stop_then_kill(supervisor: Supervisor) -> Callable[[], None]:
    """What is done at each signal."""
    signals_seen = 0

    def on_signal() -> None:
        nonlocal signals_seen
        signals_seen += 1
        if signals_seen == 1:
            supervisor.stop("signal; a second one ends at once")
        else:
            supervisor.kill("second signal")

    return on_signal


async def _serve(
    supervisor: Supervisor,
    running: Awaitable[None],
    reloader: Reloader,
    listener: socket | None,
    watch: Watch | None = None,
    show: Show | None = None,
) -> Summary:
    config = supervisor.config
    watching = asyncio.ensure_future(watch(supervisor)) if watch is not None else None
    reloading = asyncio.ensure_future(reloader.keep_reloading())
    views = Views(supervisor, Redactor(config.secrets))
    operator = Operator(supervisor, views, reloader)
    try:
        async with views.measuring(), serving(listener, operator.answer):
            await running
    finally:
        reloading.cancel()
        if watching is not None:
            watching.cancel()
        await supervisor.aggregator.close(LAST_CHANCE_S if supervisor.is_out_of_time else CLOSE_TIMEOUT_S)
        summary = supervisor.summary()
        try:
            if config.summary is not None:
                write_summary(summary, config.summary)
        finally:
            if show is not None:
                show(summary)
    return summary


def _make_supervisor(config: Config) -> Supervisor:
    memory.keep_freed()
    ledger = Ledger()
    supervisor: Supervisor
    names: dict[int, str] = {}
    aggregator = _make_aggregator(
        config, ledger, names, lambda: supervisor.stop("nobody reads the sink any more")
    )
    supervisor = Supervisor(config, worker_count(config), ledger, aggregator, names)
    return supervisor


def _make_aggregator(
    config: Config, ledger: Ledger, names: Mapping[int, str], on_sink_closed: Callable[[], None]
) -> Aggregator:
    check_dead_letters(config)
    writers = [SinkWriter(make_sink(uri), on_sink_closed) for uri in config.sink]
    dead_letters = None
    if config.dead_letters is not None:
        limits = Limits(letters=config.max_dead_letters, bytes=config.max_dead_letter_bytes)
        sink = StoreSink(Path(config.dead_letters), limits)
        dead_letters = DeadLetters(SinkWriter(sink, on_sink_closed), names, Redactor(config.secrets))
    return Aggregator(ledger, writers, dead_letters, config.sink_backlog)


def check_dead_letters(config: Config) -> None:
    """See that dead letters can be kept where they are to be kept, if anywhere.

    Raises:
        ConfigError: they can't.
    """
    problem = None if config.dead_letters is None else problem_of(Path(config.dead_letters))
    if problem is not None:
        raise ConfigError([Fault("", "dead_letters", problem)])


async def _run_to_the_end(supervisor: Supervisor) -> None:
    """Let a cancellation drain the run first."""
    running = asyncio.ensure_future(supervisor.run())
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        supervisor.stop("cancelled")
        await running
        raise


def write_summary(summary: Summary, path: str) -> None:
    """Write the summary as JSON: to a private file, whole or not at all, or into a FIFO or device.

    Raises:
        OSError: it can't be written.
    """
    try:
        _write_summary(summary, Path(path).resolve())
    except OSError as exc:
        raise OSError(f"the summary can't be written to {path}: {exc.strerror or exc}") from exc


def _write_summary(summary: Summary, target: Path) -> None:
    document = msgspec.json.format(msgspec.json.encode(summary.to_mapping()), indent=2) + b"\n"
    if target.exists() and not target.is_file():  # replaced, /dev/null would be a file from then on
        target.write_bytes(document)
        return
    privatefiles.replace(target, document)


def worker_count(config: Config) -> int:
    """How many workers a run starts with: as configured, else one for each usable core, but no idle ones."""
    if config.workers == "auto":
        return config.scaling.min
    return config.workers or min(usable_cores(), len(config.endpoints))
