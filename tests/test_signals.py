"""Signals: recorded by a handler, held back around spawns, left to the parent by children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from scaleout import signals

LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@LOOPS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_stop_signal_calls_back_in_the_loop(loop_factory: LoopFactory, number: signal.Signals) -> None:
    before = [signal.getsignal(stop) for stop in signals.STOP_SIGNALS]

    async def main() -> None:
        calls: list[asyncio.AbstractEventLoop] = []
        called = asyncio.Event()

        def note() -> None:
            calls.append(asyncio.get_running_loop())
            called.set()

        with signals.stop_signals_call(note):
            for count in (1, 2):
                os.kill(os.getpid(), number)
                await asyncio.wait_for(called.wait(), 10)
                called.clear()
                assert calls == [asyncio.get_running_loop()] * count

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # Not `runner.run`, which has a handler of its own for SIGINT.
        runner.get_loop().run_until_complete(main())
    assert [signal.getsignal(stop) for stop in signals.STOP_SIGNALS] == before


def test_signals_that_were_held_back_come_afterwards() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        with signals.held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert got == []
        assert got == [signal.SIGTERM]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(signals.STOP_SIGNALS)
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
    print([bool(mask >> number - 1 & 1) for number in (signal.SIGINT, signal.SIGTERM)])
    child.join()
"""
    assert run_python(code) == "[True, True]"


def test_a_child_that_leaves_signals_to_its_parent_ignores_them() -> None:
    code = """
import os, signal
from scaleout import signals

with signals.held_back():
    os.kill(os.getpid(), signal.SIGINT)
    signals.leave_to_parent()
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGTERM)
print("alive", signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    assert run_python(code) == "alive set()"


def test_names_of_signals() -> None:
    assert signals.name_of(9) == "SIGKILL"
    assert signals.name_of(200) == "signal 200"
