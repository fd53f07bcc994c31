"""Messages to send from a function of the user's: an async generator, started anew with each connection."""

from __future__ import annotations

import asyncio

from scaleout.context import Context
from scaleout.hooks import Producer
from scaleout.logs import EndpointLogger
from scaleout.worker.links.outgoing import Outgoing, encode
from scaleout.worker.words import named

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
"""Between two starts on one connection, of a producer that raises."""


class Producing:
    """Runs an endpoint's producer.

    Args:
        producer: makes the messages.
        endpoint: the endpoint's name.
        logger: knows the endpoint.
    """

    def __init__(self, producer: Producer, endpoint: str, logger: EndpointLogger) -> None:
        self._producer = producer
        self._endpoint = endpoint
        self._log = logger

    def start(self, outgoing: Outgoing) -> asyncio.Task[None]:
        """Send what it makes on this connection, until the task is cancelled."""
        return asyncio.get_running_loop().create_task(self._keep_running(outgoing))

    async def _keep_running(self, outgoing: Outgoing) -> None:
        delay_s = FIRST_DELAY_S
        while outgoing.is_open:
            try:
                await self._run(outgoing)
                return
            except BaseException as exc:  # `sys.exit` in it must not end the worker
                if _is_cancelled() or not outgoing.is_open:
                    raise asyncio.CancelledError from None  # it begins anew with the next connection
                self._log.error("the producer failed, starting it again in %g s: %s", delay_s, named(exc))
            await asyncio.sleep(delay_s)
            delay_s = min(LONGEST_DELAY_S, 2 * delay_s)

    async def _run(self, outgoing: Outgoing) -> None:
        arguments = (Context(self._endpoint, 0, outgoing.send),) if self._producer.wants_context else ()
        messages = self._producer.function(*arguments)
        try:
            async for message in messages:
                await outgoing.put(encode(message))
        finally:
            close = getattr(messages, "aclose", None)
            if close is not None:
                await close()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
