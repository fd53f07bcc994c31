"""Child processes: spawned with pipes whose other ends they alone hold, and watched until they are dead."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from scaleout import memory, signals, streams

ORPHAN_GRACE_S = 5.0
"""A process whose parent died has that long to end by itself, if its loop is stuck."""

_spawn = multiprocessing.get_context("spawn")


class Child:
    """A process that has been spawned."""

    def __init__(self, process: SpawnProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid or 0

    @property
    def exit_code(self) -> int | None:
        """The dead process's exit code; negative: the number of the signal that killed it."""
        return self._process.exitcode

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def join(self) -> None:
        """Wait until the process is gone, and do nothing else meanwhile."""
        self._process.join()

    async def wait_dead(self) -> None:
        """Wait until the process is gone."""
        loop = asyncio.get_running_loop()
        dead: asyncio.Future[None] = loop.create_future()
        with _exit_descriptor(self._process) as descriptor:
            loop.add_reader(descriptor, _resolve, dead)
            try:
                await dead
            finally:
                loop.remove_reader(descriptor)
        self._process.join()

    def explain_death(self) -> str:
        """How the process has ended, in words."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"killed by {signals.name_of(-code)}"
        return f"exit code {code}"

    def release(self) -> None:
        """Let go of what the dead process leaves behind."""
        self._process.close()


def spawn(
    target: Callable[..., object], name: str, pipes: int, *args: object
) -> tuple[Child, list[Connection]]:
    """Spawn a process that calls `target` with its ends of some pipes, then `args`.

    Args:
        target: a function of a module.
        name: of the process.
        pipes: how many there are to be.
        args: can be pickled.

    Returns:
        The process, and this side's ends of the pipes.

    Raises:
        OSError: the system can't give what that takes: processes, descriptors, memory.
    """
    multiprocessing.current_process().daemon = False  # a daemon may not have children
    with ExitStack() as at_failure, ExitStack() as ends_of_child:
        here: list[Connection] = []
        there: list[Connection] = []
        for _ in range(pipes):
            end, end_of_child = _spawn.Pipe(duplex=True)
            here.append(at_failure.enter_context(end))
            # Only the child holds its ends open, so that its death is an end of file here.
            there.append(ends_of_child.enter_context(end_of_child))
        process = _spawn.Process(target=target, args=(*there, *args), name=name, daemon=True)
        with signals.held_back(), _without_main_module():
            process.start()
        at_failure.pop_all()
    return Child(process), here


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep a spawn from importing this process's `__main__` in the child: it isn't needed there.

    A program that calls `scaleout.run` at its top level, without the usual guard, would otherwise run again in
    each worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _exit_descriptor(process: SpawnProcess) -> Iterator[int]:
    """A descriptor that is readable once the process is gone.

    The sentinel of multiprocessing also waits for children of the process that inherited its other end, so a
    pidfd is better where the system has it.
    """
    assert process.pid is not None
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, or no descriptors left
        yield process.sentinel
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# In the child


def begin_child() -> None:
    """Make this process a child as all are here; to be called first.

    Stop signals are left to the parent, standard output to the sinks, and the process ends with its parent.
    """
    signals.leave_to_parent()
    streams.leave_stdout_to_sinks()
    memory.keep_freed()
    threading.Thread(target=_end_with_parent, name="orphan-guard", daemon=True).start()


def _end_with_parent() -> None:
    """End a process whose loop is stuck and can't see the end of its pipe."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    time.sleep(ORPHAN_GRACE_S)
    os._exit(1)
