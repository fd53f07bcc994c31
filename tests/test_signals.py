"""Signals: recorded by a handler, held back around spawns, left to the parent by children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import uvloop

from scaleout import signals

LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
CallsBack = Callable[[Callable[[], None]], AbstractContextManager[None]]


@LOOPS
@pytest.mark.parametrize(
    ("number", "calls_back"),
    [
        (signal.SIGINT, signals.stop_signals_call),
        (signal.SIGTERM, signals.stop_signals_call),
        (signal.SIGHUP, signals.reload_signal_calls),
    ],
)
def test_each_signal_calls_back_in_the_loop(
    loop_factory: LoopFactory, number: signal.Signals, calls_back: CallsBack
) -> None:
    before = [signal.getsignal(each) for each in signals.PARENT_SIGNALS]

    async def main() -> None:
        calls: list[asyncio.AbstractEventLoop] = []
        called = asyncio.Event()

        def note() -> None:
            calls.append(asyncio.get_running_loop())
            called.set()

        with calls_back(note):
            for count in (1, 2):
                os.kill(os.getpid(), number)
                await asyncio.wait_for(called.wait(), 10)
                called.clear()
                assert calls == [asyncio.get_running_loop()] * count

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # Not `runner.run`, which has a handler of its own for SIGINT.
        runner.get_loop().run_until_complete(main())
    assert [signal.getsignal(each) for each in signals.PARENT_SIGNALS] == before


def test_signals_that_were_held_back_come_afterwards() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        with signals.held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert got == []
        assert got == [signal.SIGTERM]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(signals.PARENT_SIGNALS)
    finally:
        signal.signal(signal.SIGTERM, before)


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip()


def test_the_first_child_that_is_spawned_starts_with_stop_signals_held_back() -> None:
    code = """
import multiprocessing, signal
from scaleout import signals

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    pipe, other = spawn.Pipe()
    with signals.held_back():
        child = spawn.Process(target=signal.pthread_sigmask, args=(signal.SIG_BLOCK, ()))
        child.start()
        with open(f"/proc/{child.pid}/status") as status:
            mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk"))
    print([bool(mask >> number - 1 & 1) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
    child.join()
"""
    assert run_python(code) == "[True, True, True]"


def test_the_helper_of_multiprocessing_outlives_a_terminal_that_hangs_up() -> None:
    code = """
import os, signal
from multiprocessing import resource_tracker
from scaleout import signals

with signals.held_back():
    pass
tracker = resource_tracker._resource_tracker
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(tracker._pid, number)
os.close(tracker._fd)  # which is how it is told that it isn't needed any more
print(os.waitpid(tracker._pid, 0)[1], signal.pthread_sigmask(signal.SIG_BLOCK, ()))
tracker._fd = tracker._pid = None
"""
    assert run_python(code) == "0 set()"


def test_a_child_that_leaves_signals_to_its_parent_ignores_them() -> None:
    code = """
import os, signal
from scaleout import signals

with signals.held_back():
    os.kill(os.getpid(), signal.SIGINT)
    signals.leave_to_parent()
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGHUP)
print("alive", signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    assert run_python(code) == "alive set()"


def test_names_of_signals() -> None:
    assert signals.name_of(9) == "SIGKILL"
    assert signals.name_of(200) == "signal 200"
