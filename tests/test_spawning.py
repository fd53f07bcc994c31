"""Child processes, from their spawn to their end."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import operator
import os
import signal
import time

import psutil
import pytest

from scaleout import spawning
from scaleout.spawning import spawn


def death_of(child: spawning.Child) -> str:
    async def wait() -> str:
        async with asyncio.timeout(30):
            await child.wait_dead()
        return child.explain_death()

    try:
        return asyncio.run(wait())
    finally:
        child.kill()
        child.join()
        child.release()


def test_an_end_of_its_own() -> None:
    child, pipes = spawn(os._exit, "ending", 0, 3)
    assert pipes == []
    assert death_of(child) == "exit code 3"


def test_an_end_by_a_signal() -> None:
    child, _ = spawn(time.sleep, "sleeping", 0, 600)
    pid = child.pid
    child.kill()
    assert death_of(child) == "killed by SIGKILL"
    assert not psutil.pid_exists(pid)


def test_stop_signals_are_held_back_until_the_child_takes_care_of_them() -> None:
    child, _ = spawn(time.sleep, "sleeping", 0, 600)
    os.kill(child.pid, signal.SIGTERM)
    os.kill(child.pid, signal.SIGINT)
    child.kill()
    assert death_of(child) == "killed by SIGKILL"


def test_the_childs_ends_of_its_pipes_are_its_alone() -> None:
    child, (first, second) = spawn(operator.is_, "piped", 2)
    with first, second:
        child.join()
        for pipe in (first, second):
            assert pipe.poll(10)
            with pytest.raises((EOFError, ConnectionResetError)):
                pipe.recv_bytes()
    child.release()


def test_what_was_opened_is_closed_where_no_process_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise OSError(errno.EAGAIN, "no processes left")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="no processes left"):
        spawn(os._exit, "refused", 3, 0)
    assert psutil.Process().num_fds() == before


def test_a_daemon_may_have_children() -> None:
    process = multiprocessing.current_process()
    process.daemon = True
    child, _ = spawn(os._exit, "grandchild", 0, 0)
    assert not process.daemon
    assert death_of(child) == "exit code 0"
