"""How a run ends: first it is stopped and drains; then its time is over."""

from __future__ import annotations

import asyncio
import logging

_log = logging.getLogger("scaleout.supervisor")


class Ending:
    """Whether a run is coming to its end, and whether it has had its time for that.

    Args:
        drain_timeout_s: how long a stopping run may drain.
    """

    def __init__(self, drain_timeout_s: float) -> None:
        self._drain_timeout_s = drain_timeout_s
        self._stopping = asyncio.Event()
        self._out_of_time = asyncio.Event()

    def stop(self, reason: str) -> None:
        """Begin the end; whoever says so first gives the reason."""
        if not self.is_stopping:
            _log.info("stopping: %s", reason)
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._drain_timeout_s, self._out_of_time.set)

    def kill(self, reason: str) -> None:
        """Begin the end, without time to drain."""
        self.stop(reason)
        self._out_of_time.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the run is coming to its end."""
        return self._stopping.is_set()

    @property
    def is_out_of_time(self) -> bool:
        """Whether it has drained for as long as it may."""
        return self._out_of_time.is_set()

    async def stopping(self) -> None:
        """Wait until the run is coming to its end."""
        await self._stopping.wait()

    async def out_of_time(self) -> None:
        """Wait until it has drained for as long as it may."""
        await self._out_of_time.wait()
