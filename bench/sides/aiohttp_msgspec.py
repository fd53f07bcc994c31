"""aiohttp and msgspec on uvloop, in one process: a task a connection that calls `receive`."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType

from bench.sides.jobs import Job
from bench.sides.peer import Leave, client_context, measure
from bench.sides.result import Task, main

LARGEST_WINDOW_BITS = 15


async def _read(connection: ClientWebSocketResponse[bool], job: Job) -> None:
    receive, take, text = connection.receive, job.take, WSMsgType.TEXT
    while True:
        message = await receive()
        if message.type is not text:
            raise ConnectionError(f"aiohttp received {message.type!r}")
        take(message.data)


async def connect(task: Task, job: Job) -> Leave:
    """Open a connection, whose texts stay bytes: msgspec needs nothing else."""
    session = ClientSession(connector=TCPConnector(limit=0))
    connection = await session.ws_connect(
        task.uri,
        compress=0 if task.feed.deflate == "off" else LARGEST_WINDOW_BITS,
        decode_text=False,
        max_msg_size=0,
        ssl=client_context(task) or True,
    )
    reading = asyncio.create_task(_read(connection, job))

    def leave() -> BaseException | None:
        problem = reading.exception() if reading.done() else None
        reading.cancel()
        # A session that is not closed complains when it is collected; the process ends with it all the same.
        session.detach()
        return problem

    return leave


if __name__ == "__main__":
    main(lambda task: measure(task, connect))
