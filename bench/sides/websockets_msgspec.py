"""websockets and msgspec on uvloop, in one process: a task a connection that calls `recv`."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_connection

from bench.sides.jobs import Job
from bench.sides.peer import Leave, client_context, measure
from bench.sides.result import Task, main


async def _read(connection: ClientConnection, job: Job) -> None:
    receive, take = connection.recv, job.take
    while True:
        take(await receive(decode=False))


async def connect(task: Task, job: Job) -> Leave:
    """Open a connection; a longer queue than the usual one pauses the transport less often."""
    connection = await open_connection(
        task.uri,
        compression=None if task.feed.deflate == "off" else "deflate",
        max_queue=1024,
        proxy=None,
        ssl=client_context(task),
    )
    reading = asyncio.create_task(_read(connection, job))

    def leave() -> BaseException | None:
        problem = reading.exception() if reading.done() else None
        reading.cancel()
        connection.transport.abort()
        return problem

    return leave


if __name__ == "__main__":
    main(lambda task: measure(task, connect))
