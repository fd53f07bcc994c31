"""What gaps cause happens soon, not too often, and harms nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.context import Context
from scaleout.core.sequence import Gap
from scaleout.errors import SendError
from scaleout.hooks import GapHook
from scaleout.logs import EndpointLogger
from scaleout.worker import cures as module
from scaleout.worker.cures import Cures, HookCaller

Run = Callable[[Awaitable[Any]], Any]
GAP = Gap(None, 3, 5)


def test_a_cure_comes_at_once_and_then_once_after_a_cooldown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COOLDOWN_S", 0.05)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        cures = Cures()
        done: list[tuple[str, float]] = []
        last = asyncio.Event()

        def cure(name: str) -> Callable[[], None]:
            def act() -> None:
                done.append((name, loop.time()))
                if len(done) == 3:
                    last.set()
                elif name == "first":
                    for _ in range(3):
                        cures.ask("a", cure("later"))

            return act

        cures.ask("a", cure("first"))
        cures.ask("a", cure("swallowed"))
        cures.ask("b", cure("other"))
        assert not done
        await last.wait()
        assert [name for name, _ in done] == ["first", "other", "later"]
        assert done[2][1] - done[0][1] >= 0.045
        cures.ask("c", cure("never"))
        cures.close()
        await asyncio.sleep(0)
        assert len(done) == 3

    run(main())


def test_keys_are_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 3)

    async def main() -> None:
        cures = Cures()
        done: list[int] = []
        for key in range(10):
            cures.ask(key, lambda key=key: done.append(key))  # type: ignore[misc]
        cures.close()
        assert len(cures._pending) == 0
        assert not done
        for key in range(10):
            came = asyncio.Event()
            cures.ask(key, came.set)
            await came.wait()
        assert len(cures._last) <= 3

    run(main())


async def turns(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


class Called:
    """A hook, and what is said of it."""

    def __init__(self, function: Callable[..., object], wants_context: bool = False) -> None:
        self.sent: list[str | bytes] = []
        self.caller = HookCaller(
            GapHook(function, wants_context), "feed", self.sent.append, EndpointLogger("feed", ())
        )


def test_a_function_is_called_with_the_gap_and_the_context(run: Run) -> None:
    seen: list[object] = []

    def hook(gap: Gap, context: Context) -> None:
        seen.append((gap, context.endpoint))
        context.send("again")

    async def main() -> None:
        called = Called(hook, wants_context=True)
        called.caller(GAP)
        assert not seen
        await turns(1)
        assert seen == [(GAP, "feed")]
        assert called.sent == ["again"]

    run(main())


def test_an_async_function_is_awaited_and_cancelled_at_the_end(run: Run) -> None:
    seen: list[str] = []

    async def main() -> None:
        done = asyncio.Event()

        async def hook(gap: Gap) -> None:
            seen.append("begun")
            if len(seen) > 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    seen.append("cancelled")
                    done.set()
            done.set()

        called = Called(hook)
        called.caller(GAP)
        await done.wait()
        done.clear()
        called.caller(GAP)
        await turns(2)
        called.caller.close()
        await done.wait()
        assert seen == ["begun", "begun", "cancelled"]

    run(main())


def raises(gap: Gap) -> None:
    raise ValueError("no")


def leaves(gap: Gap) -> None:
    raise SystemExit(3)


def cannot_send(gap: Gap) -> None:
    raise SendError("feed is not connected")


async def raises_later(gap: Gap) -> None:
    raise ValueError("no")


async def leaves_later(gap: Gap) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (raises, "ValueError: no"),
        (leaves, "SystemExit: 3"),
        (cannot_send, "SendError: feed is not connected"),
        (raises_later, "ValueError: no"),
        (leaves_later, "SystemExit: 3"),
    ],
)
def test_a_function_that_fails_is_told_of_once_in_a_while(
    run: Run, caplog: pytest.LogCaptureFixture, hook: Callable[..., object], words: str
) -> None:
    async def main() -> None:
        called = Called(hook)
        for _ in range(5):
            called.caller(GAP)
        await turns(10)

    with caplog.at_level(logging.ERROR):
        run(main())
    assert [record.getMessage() for record in caplog.records] == [f"on_gap failed: {words}"]


def test_calls_under_way_are_bounded(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 2)

    async def hook(gap: Gap) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        called = Called(hook)
        for _ in range(5):
            called.caller(GAP)
        await turns(10)
        assert len(called.caller._tasks) == 2
        called.caller.close()

    run(main())
    assert "2 calls are still under way" in caplog.text


def test_the_loop_goes_on_between_two_calls(run: Run) -> None:
    seen: list[str] = []

    async def main() -> None:
        called = Called(lambda gap: seen.append("call"))
        for _ in range(3):
            called.caller(GAP)
        for _ in range(4):
            seen.append("neighbour")
            await turns(1)

    run(main())
    assert seen == ["neighbour", "call", "neighbour", "call", "neighbour", "call", "neighbour"]


def test_gaps_that_wait_are_bounded(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    seen: list[int] = []

    async def main() -> None:
        called = Called(lambda gap: seen.append(gap.got))
        for number in range(10):
            called.caller(Gap(None, 0, number))
        await turns(10)
        called.caller(Gap(None, 0, 10))
        await turns(1)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert seen == [0, 1, 2, 10]
    assert [record.getMessage() for record in caplog.records] == [
        "on_gap is too slow, it isn't called with every gap"
    ]


def test_what_waits_at_the_end_is_dropped(run: Run) -> None:
    seen: list[Gap] = []

    async def main() -> None:
        called = Called(seen.append)
        for _ in range(3):
            called.caller(GAP)
        await turns(1)
        called.caller.close()
        called.caller(GAP)
        await turns(10)

    run(main())
    assert seen == [GAP]
