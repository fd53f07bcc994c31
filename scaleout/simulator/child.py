"""A simulator's own process: what it and its parent say to each other, and how it lives.

The parent writes one `Start` to the child's standard input and reads one `Ready` (or `Failed`) from its
standard output, each a line of JSON; after that, each `Query` is answered by one `Report`. The end of the
input ends the child: so it also ends when its parent is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import msgspec
from msgspec import Struct

from scaleout.errors import ScaleoutError
from scaleout.simulator.certificates import Certificates
from scaleout.simulator.config import SimulatorConfig
from scaleout.simulator.records import Attempt, ConnectionRecord
from scaleout.simulator.server import EndpointAddress, Simulator


class Start(Struct, frozen=True, tag=True):
    """What a child serves."""

    config: SimulatorConfig
    share: tuple[int, int]
    certificates: Certificates | None


class Query(Struct, frozen=True, tag=True):
    """Asks for a report."""

    wait_idle_s: float = 0.0
    """How long it may take until there is no connection, in seconds."""


class Ready(Struct, frozen=True, tag=True):
    """The child listens."""

    endpoints: list[EndpointAddress]


class Failed(Struct, frozen=True, tag=True):
    """The child can't serve."""

    problem: str


class Report(Struct, frozen=True, tag=True):
    """What has happened at the child's endpoints."""

    connections: list[ConnectionRecord]
    attempts: list[Attempt]


Answer = Ready | Failed | Report


async def serve_parent() -> None:
    """The child's life: serve as the parent says, until it closes the input."""
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    line = await reader.readline()
    if not line:
        return
    start = msgspec.json.decode(line, type=Start)
    async with contextlib.AsyncExitStack() as stack:
        try:
            simulator = await stack.enter_async_context(
                Simulator(start.config, share=start.share, certificates=start.certificates)
            )
        except (ScaleoutError, OSError) as error:
            _reply(Failed(str(error)))
            return
        _reply(Ready(simulator.endpoints))
        while line := await reader.readline():
            query = msgspec.json.decode(line, type=Query)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(simulator.wait_idle(), query.wait_idle_s)
            _reply(Report(simulator.connections, simulator.attempts))


def _reply(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()
