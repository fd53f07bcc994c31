"""What all peers on asyncio have in common: connect, warm up, measure, leave, check."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import uvloop

from bench.sides.expectation import Expectation, Output, Tally, check_tallies
from bench.sides.jobs import Job, make_job
from bench.sides.meter import Meter
from bench.sides.result import SideResult, Task, Usage, own_peak_rss_bytes

SPOOL_DIRECTORY = Path("build")
"""Under the repository's top: a system's directory for temporary files may be memory."""
WRITE_BUFFER_BYTES = 256 * 1024

Leave = Callable[[], BaseException | None]
"""Ends a connection at once; what had ended it before."""
Connect = Callable[[Task, Job], Awaitable[Leave]]
"""Opens a connection that gives its messages to a job."""


class _Received(NamedTuple):
    messages: int
    """While it was measured."""
    usage: Usage
    tallies: list[Tally]
    """Of all the time."""
    faults: list[str]


def measure(task: Task, connect: Connect) -> SideResult:
    """Receive on all connections."""
    with contextlib.ExitStack() as stack:
        path, file = None, None
        if task.processor is None:
            SPOOL_DIRECTORY.mkdir(exist_ok=True)
            directory = tempfile.TemporaryDirectory(prefix="bench-", dir=SPOOL_DIRECTORY)
            path = Path(stack.enter_context(directory)) / "output.jsonl"
            file = stack.enter_context(path.open("wb", WRITE_BUFFER_BYTES))
        counted, usage, tallies, faults = uvloop.run(_receive(task, connect, file))
        if file is not None:
            file.close()
        return SideResult(
            messages=counted,
            usage=usage,
            output_bytes=sum(tally.output_bytes for tally in tallies),
            peak_rss_bytes=own_peak_rss_bytes(),
            faults=faults + check(task, tallies, path),
        )


async def _receive(task: Task, connect: Connect, file: BinaryIO | None) -> _Received:
    jobs = [make_job(task, index, file) for index in range(task.feed.connections)]
    leaves = [await connect(task, job) for job in jobs]
    await asyncio.sleep(task.warm_up_s)
    before = _messages(jobs)
    meter = Meter(task)
    await asyncio.sleep(task.seconds)
    usage = meter.usage()
    counted = _messages(jobs) - before
    ended = [problem for leave in leaves if (problem := leave()) is not None]
    for job in jobs:
        job.finish()
    faults = [f"a connection ended: {problem!r}" for problem in ended[:3]]
    return _Received(counted, usage, [job.tally() for job in jobs], faults)


def _messages(jobs: Sequence[Job]) -> int:
    return sum(job.tally().messages for job in jobs)


def check(task: Task, tallies: Sequence[Tally], path: Path | None) -> list[str]:
    """What is wrong with what was counted or, where there is a file, written."""
    expectation = Expectation(task)
    if path is None:
        return check_tallies(tallies, expectation)
    output = Output(expectation.cycle())
    output.read(path)
    counted = sum(tally.messages for tally in tallies)
    if counted != output.lines:
        output.faults.append(f"{counted} messages, but {output.lines} lines of output")
    return output.faults


def client_context(task: Task) -> ssl.SSLContext | None:
    """What a client over TLS needs; None without."""
    return None if task.ca_file is None else ssl.create_default_context(cafile=task.ca_file)
