"""What the simulator's tests share: a deadline for everything, and a client that takes all it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

T = TypeVar("T")
Run = Callable[[Coroutine[None, None, T]], T]


@dataclass
class Got:
    """What a client got from one connection, and the code it ended with."""

    messages: list[str | bytes] = field(default_factory=list)
    code: int | None = None


Take = Callable[..., Coroutine[None, None, Got]]


@pytest.fixture
def run() -> Run[object]:
    """Runs a coroutine to its end, but no longer than 30 s."""
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.fixture
def take() -> Take:
    """Takes messages from a URI, or from an open connection, until it ends or until there are `limit`."""

    async def take_all(connection: ClientConnection, limit: int) -> Got:
        got = Got()
        try:
            while len(got.messages) < limit:
                got.messages.append(await connection.recv())
        except ConnectionClosed:
            got.code = connection.close_code
        return got

    async def take(source: str | ClientConnection, limit: int = 10**9, send: str | None = None) -> Got:
        if not isinstance(source, str):
            return await take_all(source, limit)
        async with connect(
            source, proxy=None, compression=None, max_size=2**26, max_queue=None
        ) as connection:
            if send is not None:
                await connection.send(send)
            return await take_all(connection, limit)

    return take
