"""A flag that one task waits for: what `asyncio.Event` does for many, in a tenth of its memory."""

from __future__ import annotations

import asyncio


class Flag:
    """Not set at first. There may be one that waits at a time."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Flag: {'set' if self._is_set else 'not set'}{', awaited' if self._waiter else ''}>"

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake the one that waits; it stays set until `clear`."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Take it back; who was woken before stays so."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it is set.

        Raises:
            RuntimeError: another task waits for it.
        """
        if self._is_set:
            return
        if self._waiter is not None:
            raise RuntimeError("a flag is waited for by one task at a time")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
