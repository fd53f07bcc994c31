"""Counts in shared memory outlive the process that keeps them."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from scaleout.tally import Allowance, Tally

TIMEOUT_S = 30

CHILD = """
import fcntl

def count(tally, pipe):
    tally.messages[1] += 41
    tally.messages[1] += 1
    tally.messages[2] = 2**40
    pipe.send(tally.slots)
    pipe.recv()

def take_all(allowance, size, pipe):
    pipe.send("ready")
    pipe.recv()
    total = 0
    while (taken := allowance.take(size)):
        total += taken
    pipe.send(total)
    pipe.recv()

def take_some_and_hold(allowance, pipe):
    pipe.send(allowance.take(10))
    fcntl.lockf(allowance._fd, fcntl.LOCK_EX)
    pipe.send("holding")
    pipe.recv()
"""


class Children:
    """Processes that run functions of `CHILD`."""

    def __init__(self, module: object) -> None:
        self._module = module
        self._spawn = multiprocessing.get_context("spawn")
        self.stack = ExitStack()

    def start(self, function: str, *arguments: object) -> tuple[SpawnProcess, Connection]:
        pipe, other = self._spawn.Pipe()
        process = self._spawn.Process(
            target=getattr(self._module, function), args=(*arguments, other), daemon=True
        )
        process.start()
        other.close()
        self.stack.enter_context(pipe)
        self.stack.callback(process.join)
        self.stack.callback(process.kill)
        return process, pipe


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    (tmp_path / "tallying_child.py").write_text(CHILD)
    monkeypatch.syspath_prepend(tmp_path)
    children = Children(importlib.import_module("tallying_child"))
    with children.stack:
        yield children


def receive(pipe: Connection) -> object:
    assert pipe.poll(TIMEOUT_S), "nothing came from the child"
    received: object = pipe.recv()
    return received


def test_only_slots_with_messages_are_read() -> None:
    with Tally(5) as tally:
        assert tally.read() == {}
        tally.messages[0] += 3
        tally.messages[4] += 1
        assert tally.read() == {0: 3, 4: 1}


def test_counts_outlive_a_killed_process(children: Children) -> None:
    with Tally(4) as tally:
        process, pipe = children.start("count", tally)
        assert receive(pipe) == 4
        process.kill()
        process.join(TIMEOUT_S)
        assert process.exitcode == -9
        assert tally.read() == {1: 42, 2: 2**40}


def test_no_more_is_taken_than_was_granted() -> None:
    with Allowance() as allowance:
        assert allowance.is_used_up
        allowance.grant(10)
        assert [allowance.take(4) for _ in range(4)] == [4, 4, 2, 0]
        assert allowance.is_used_up
        allowance.grant(1)
        assert not allowance.is_used_up


def test_an_allowance_is_exact_over_several_processes(children: Children) -> None:
    with Allowance() as allowance:
        allowance.grant(100_003)
        pipes = [children.start("take_all", allowance, size)[1] for size in (1, 3, 7)]
        for pipe in pipes:
            assert receive(pipe) == "ready"
        for pipe in pipes:
            pipe.send("go")
        totals = [receive(pipe) for pipe in pipes]
        assert sum(total for total in totals if isinstance(total, int)) == 100_003
        assert allowance.is_used_up


def test_a_process_that_dies_while_it_takes_does_not_hold_up_the_others(children: Children) -> None:
    with Allowance() as allowance:
        allowance.grant(1000)
        holder, pipe = children.start("take_some_and_hold", allowance)
        assert receive(pipe) == 10
        assert receive(pipe) == "holding"
        _, taking = children.start("take_all", allowance, 6)
        assert receive(taking) == "ready"
        taking.send("go")
        assert not taking.poll(0.2), "the lock keeps nobody out"
        holder.kill()
        assert receive(taking) == 990
        assert allowance.take(1) == 0
