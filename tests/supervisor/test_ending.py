"""How a run ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.supervisor.ending import Ending

Run = Callable[[Awaitable[Any]], Any]


def test_a_stop_leaves_time_to_drain(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        ending = Ending(0.02)
        assert not ending.is_stopping
        with caplog.at_level("INFO"):
            ending.stop("signal")
            ending.stop("and again")
        await ending.stopping()
        assert (ending.is_stopping, ending.is_out_of_time) == (True, False)
        await ending.out_of_time()
        assert ending.is_out_of_time
        assert [record.getMessage() for record in caplog.records] == ["stopping: signal"]

    run(scenario())


def test_a_kill_leaves_none(run: Run) -> None:
    async def scenario() -> None:
        ending = Ending(3600)
        ending.kill("second signal")
        assert (ending.is_stopping, ending.is_out_of_time) == (True, True)
        await asyncio.gather(ending.stopping(), ending.out_of_time())

    run(scenario())
