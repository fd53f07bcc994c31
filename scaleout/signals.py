"""The only code that touches signals. A handler only records; the loop acts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PARENT_SIGNALS = (*STOP_SIGNALS, signal.SIGHUP)
"""Those that reach whole process groups, and that only the parent acts on."""


@contextmanager
def stop_signals_call(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` in the running loop at each SIGINT or SIGTERM."""
    with _call(callback, STOP_SIGNALS):
        yield


@contextmanager
def reload_signal_calls(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` in the running loop at each SIGHUP."""
    with _call(callback, (signal.SIGHUP,)):
        yield


@contextmanager
def _call(callback: Callable[[], None], numbers: Sequence[int]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold the parent's signals back from this thread; a child that it spawns meanwhile starts like that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    # The first spawn starts multiprocessing's tracker, which ignores stop signals, but would die of a SIGHUP
    # that isn't held back. That lets stop signals through again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_parent() -> None:
    """Ignore the parent's signals: the parent says when to stop, and what is reloaded."""
    for number in PARENT_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENT_SIGNALS)


def pause(pid: int) -> None:
    """Stop a process where it is."""
    os.kill(pid, signal.SIGSTOP)


def unpause(pid: int) -> None:
    """Let a process that was paused go on."""
    os.kill(pid, signal.SIGCONT)


def name_of(number: int) -> str:
    """A signal's name, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
