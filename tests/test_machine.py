"""Keeping processes to cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from scaleout import machine


@pytest.fixture(autouse=True)
def left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is remembered of the run, and the cores of this process."""
    monkeypatch.setattr(machine, "_cores_of_run", ())
    if not machine.can_pin():
        yield
        return
    cores = os.sched_getaffinity(0)
    yield
    machine.keep_to(cores, cores)


needs_pins = pytest.mark.skipif(not machine.can_pin(), reason="this system can't pin")


@needs_pins
def test_all_threads_keep_to_the_cores_and_the_run_still_has_all() -> None:
    cores = machine.cores_of_run()
    go, found = threading.Event(), set[int]()

    def tell() -> None:
        go.wait()
        found.update(os.sched_getaffinity(0))

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        machine.keep_to(cores[:1], cores)
    finally:
        go.set()
        thread.join()
    assert found == os.sched_getaffinity(0) == {cores[0]}
    assert machine.cores_of_run() == cores
    assert machine.usable_cores() == len(cores)


@needs_pins
def test_a_child_may_be_let_use_all() -> None:
    cores = machine.cores_of_run()
    machine.keep_to(cores[:1], cores)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert os.sched_getaffinity(child.pid) == {cores[0]}
        machine.let_use_all(child.pid)
        assert os.sched_getaffinity(child.pid) == set(cores)
    machine.let_use_all(child.pid)  # gone: nobody minds


@needs_pins
def test_cores_that_there_are_not_are_refused() -> None:
    with pytest.raises(OSError):
        machine.keep_to([max(machine.cores_of_run()) + 4096], machine.cores_of_run())


def test_without_a_way_to_ask_all_cores_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        for name in ("sched_getaffinity", "sched_setaffinity"):
            without.delattr(os, name, raising=False)
        without.setattr(os, "cpu_count", lambda: 3)
        assert (machine.cores_of_run(), machine.usable_cores(), machine.can_pin()) == ((0, 1, 2), 3, False)
