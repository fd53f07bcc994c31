"""Heartbeats that this side sends in messages, and the end of a server that doesn't answer them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scaleout.config import Heartbeat
from scaleout.errors import SendError
from scaleout.logs import EndpointLogger
from scaleout.worker.connection import FeedConnection
from scaleout.worker.links.outgoing import Outgoing, encode
from scaleout.worker.links.stalls import GRACE_S, was_held


async def beat(
    heartbeat: Heartbeat,
    connection: FeedConnection,
    outgoing: Outgoing,
    give_up: Callable[[str], None],
    logger: EndpointLogger,
) -> None:
    """Send heartbeats, until nothing at all comes back where an answer is expected.

    Args:
        heartbeat: what to send, and how often.
        connection: where what comes back is seen.
        outgoing: its way out.
        give_up: told why the connection is given up.
        logger: knows the endpoint.
    """
    loop = asyncio.get_running_loop()
    is_asked = False
    reads, asked_at = 0, 0.0
    while outgoing.is_open:
        await asyncio.sleep(heartbeat.every)
        if is_asked and not await _lives(connection, reads, asked_at):
            give_up(f"no answer to the heartbeat within {heartbeat.every:g} s")
            return
        reads, asked_at = connection.last_read_at, loop.time()
        try:
            outgoing.send(encode(heartbeat.send), urgent=True)
            is_asked = heartbeat.expect is not None
        except SendError as exc:
            if outgoing.is_open:
                logger.warning("can't send the heartbeat: %s", exc)


async def _lives(connection: FeedConnection, reads: int, asked_at: float) -> bool:
    """Whether anything came since, or could not have been read."""

    def may_live() -> bool:
        return connection.last_read_at != reads or was_held(connection, asked_at)

    if not may_live():
        await asyncio.sleep(GRACE_S)
    return may_live()
