"""Starting workers while the system has nothing to give."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import psutil
import pytest

import scaleout
from scaleout.channel import Channel
from scaleout.simulator import Simulator, SimulatorConfig


def refuse(monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
    """Let so many pipes' ends fail to be opened, as when descriptors run out, after their process is there."""
    open_channel = Channel.open.__func__  # type: ignore[attr-defined]
    left = refusals

    async def open_or_not(cls: type, *arguments: object) -> object:
        nonlocal left
        if left:
            left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await open_channel(cls, *arguments)

    monkeypatch.setattr(Channel, "open", classmethod(open_or_not))


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


async def serve(sink: Path) -> scaleout.Summary:
    async with Simulator(SimulatorConfig(endpoints=1, rate=2_000)) as simulator:
        endpoints = tuple(scaleout.Endpoint(name=name, uri=uri) for name, uri in simulator.endpoints)
        config = scaleout.Config(endpoints=endpoints, workers=1, sink=(str(sink),), limit=100)
        return await asyncio.wait_for(scaleout.serve(config), 60)


def test_a_worker_that_can_not_be_started_now_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors = psutil.Process().num_fds()
    refuse(monkeypatch, 2)
    summary = asyncio.run(serve(tmp_path / "out.jsonl"))
    assert summary.balanced
    assert summary.totals.delivered == 100
    assert [worker.restarts for worker in summary.workers] == [2]
    assert workers() == []
    assert psutil.Process().num_fds() <= descriptors + 2  # multiprocessing's tracker and its pipe stay


def test_a_worker_that_can_never_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, 1_000)
    with pytest.raises(scaleout.WorkerError, match="can't be started: Too many open files"):
        asyncio.run(serve(tmp_path / "out.jsonl"))
    assert workers() == []
