"""What is done about gaps: resubscriptions, reconnects, and calls of a function of the user's."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable

from scaleout.context import Context
from scaleout.core.sequence import Gap
from scaleout.hooks import GapHook
from scaleout.logs import EndpointLogger
from scaleout.worker.telling import Telling
from scaleout.worker.words import named

COOLDOWN_S = 10.0
"""Between two resubscriptions because of gaps of one key, and two reconnects of one connection."""
MAX_KEYS = 10_000
MAX_CALLS = 1_000
"""Of an async function under way at the same time."""
MAX_WAITING = 1_000
"""Gaps that a function hasn't been called with yet."""


class Cures:
    """Does something about gaps: soon, but for each key not again for a while, and then once for all of them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last: dict[object, float] = {}
        self._pending: dict[object, asyncio.TimerHandle] = {}

    def ask(self, key: object, cure: Callable[[], None]) -> None:
        """Call this as soon as it may be; not at once, for the read with the gap is still to be delivered."""
        if key in self._pending or len(self._pending) >= MAX_KEYS:
            return
        now = self._loop.time()
        due = max(now, self._last.get(key, -COOLDOWN_S) + COOLDOWN_S)
        self._pending[key] = self._loop.call_at(due, self._do, key, cure)

    def _do(self, key: object, cure: Callable[[], None]) -> None:
        del self._pending[key]
        if len(self._last) >= MAX_KEYS:
            self._last.clear()
        self._last[key] = self._loop.time()
        cure()

    def close(self) -> None:
        """Do nothing any more."""
        for timer in self._pending.values():
            timer.cancel()
        self._pending.clear()


class HookCaller:
    """Calls a function of the user's with each gap; whatever it does harms nobody.

    It is called once in a turn of the loop, so that all else goes on beside a slow one.

    Args:
        hook: the function.
        endpoint: the endpoint's name.
        send: sends a message on the endpoint's connection.
        logger: knows the endpoint.
    """

    def __init__(
        self, hook: GapHook, endpoint: str, send: Callable[[str | bytes], None], logger: EndpointLogger
    ) -> None:
        self._hook = hook
        self._endpoint = endpoint
        self._send = send
        self._log = logger
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Gap] = deque()
        self._turn: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = Telling()
        self._dropped = Telling()
        self._is_closed = False

    def __call__(self, gap: Gap) -> None:
        """Call the function soon, behind the gaps before; await it in the background if it is to be awaited."""
        if self._is_closed:
            return
        if len(self._waiting) >= MAX_WAITING:
            more = self._dropped.more()
            if more is not None:
                self._log.warning("on_gap is too slow, it isn't called with every gap%s", more)
            return
        self._waiting.append(gap)
        if self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        gap = self._waiting.popleft()
        self._turn = self._loop.call_soon(self._take_turn) if self._waiting else None
        self._call(gap)

    def _call(self, gap: Gap) -> None:
        if len(self._tasks) >= MAX_CALLS:
            self._complain(f"{MAX_CALLS:,} calls are still under way")
            return
        arguments: tuple[object, ...] = (gap,)
        if self._hook.wants_context:
            arguments += (Context(self._endpoint, 0, self._send),)
        try:
            outcome = self._hook.function(*arguments)
        except BaseException as exc:  # it may even want to end the process
            self._complain(named(exc))
            return
        if inspect.isawaitable(outcome):
            task = asyncio.ensure_future(self._await(outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _await(self, outcome: object) -> None:
        try:
            await outcome  # type: ignore[misc]  # it was seen to be awaitable
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self._complain(named(exc))

    def _complain(self, why: str) -> None:
        more = self._failures.more()
        if more is not None:
            self._log.error("on_gap failed: %s%s", why, more)

    def close(self) -> None:
        """Cancel what is under way, and call the function no more."""
        self._is_closed = True
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()
        for task in self._tasks:
            task.cancel()
