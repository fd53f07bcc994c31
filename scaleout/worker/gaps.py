"""Gaps in numbered messages: found, counted, written into the output where they are, and acted on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial

import msgspec

from scaleout.config import Endpoint
from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.core.sequence import Gap, SequenceTracker
from scaleout.core.wire import NumbersMark
from scaleout.hooks import GapHook
from scaleout.logs import EndpointLogger
from scaleout.worker.inlet import Inlet
from scaleout.worker.words import text_of

COOLDOWN_S = 10.0
"""Between two resubscriptions or reconnects because of gaps (of one key), and between two log lines about them."""
MAX_KEYS = 10_000
MAX_CARRIED_KEYS = 1_000
"""With more keys, gaps aren't seen across the death of a worker: each batch would have to look at all of them."""

Act = Callable[[Gap], None]

_encoder = msgspec.json.Encoder()


class GapWatch:
    """Looks at the numbers of the messages on their way to the inlet.

    Args:
        endpoint: says where the numbers are.
        inlet: takes the messages.
        act: called with each gap.
        logger: knows the endpoint.
        numbers: what the messages were expected to start with, in a worker that is gone.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        inlet: Inlet,
        act: Act,
        logger: EndpointLogger,
        numbers: NumbersMark | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._inlet = inlet
        self._act = act
        self._log = logger
        self._tracker = self._make_tracker()
        self._reported: dict[str | int | None, int] = {}
        if endpoint.sequence_scope == "endpoint":
            inlet.books.tray.numbers = self._take_changes
            if numbers is not None:
                self._tracker.resume(numbers.expected)
        self._told_at = -COOLDOWN_S
        self._untold = 0

    def _make_tracker(self) -> SequenceTracker:
        endpoint = self._endpoint
        assert endpoint.sequence is not None
        return SequenceTracker(
            endpoint.sequence, endpoint.sequence_key, endpoint.sequence_first, endpoint.sequence_previous
        )

    def _take_changes(self) -> NumbersMark | None:
        """What has changed since the last batch, for the worker that comes after this one if it dies."""
        expected = self._tracker.expected
        if len(expected) > MAX_CARRIED_KEYS:
            return None
        changed = expected.items() - self._reported.items()
        if not changed:
            return None
        self._reported = dict(expected)
        return NumbersMark(self._inlet.books.tray.slot, tuple(changed))

    def begin(self) -> None:
        """A connection was opened after none was there."""
        if self._endpoint.sequence_scope == "connection":
            self._tracker = self._make_tracker()
        else:
            self._tracker.restart()

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> int:
        """Take a read from the connection; returns how many of its messages were received."""
        findings = self._tracker.track(payloads)
        tray = self._inlet.books.tray
        tray.repeats += findings.repeats
        tray.backwards += findings.backwards
        if not findings.gaps:
            return self._inlet.receive(payloads, joined, kind, received_at)
        received = start = 0
        for index, gap in [*findings.gaps, (len(payloads), None)]:
            part = payloads[start:index]
            if part:
                count = self._inlet.receive(part, b"\n".join(part), kind, received_at)
                received += count
                if count < len(part):
                    break  # the run's limit: what comes after isn't received
            if gap is not None:
                self._note(gap, received_at)
            start = index
        return received

    def _note(self, gap: Gap, received_at: int) -> None:
        books = self._inlet.books
        books.tray.gaps += 1
        books.tray.missed += gap.missed
        if self._endpoint.gap_records:
            line = self._record(gap, received_at)
            self._inlet.stage.in_turn(partial(books.insert, line))
        else:
            books.post()
        self._tell(gap)
        self._act(gap)

    def _record(self, gap: Gap, received_at: int) -> bytes:
        what: dict[str, object] = {"expected": gap.expected, "got": gap.got}
        if gap.key is not None:
            what["key"] = gap.key
        record = {"endpoint": self._endpoint.name, "received_at": received_at, "gap": what}
        return _encoder.encode(record) + b"\n"

    def _tell(self, gap: Gap) -> None:
        """Log a gap, unless one was logged just now."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at < COOLDOWN_S:
            self._untold += 1
            return
        more = f" (and {self._untold} more since the last one told)" if self._untold else ""
        of_key = f" of {gap.key}" if gap.key is not None else ""
        self._log.warning("gap%s: expected %d, got %d%s", of_key, gap.expected, gap.got, more)
        self._told_at, self._untold = now, 0


class Cooldown:
    """Lets something happen once, and then not again for a while, for each key."""

    def __init__(self) -> None:
        self._last: dict[str | None, float] = {}

    def allows(self, key: str | None, now: float) -> bool:
        """Whether it may happen; if so, it has."""
        if now - self._last.get(key, -COOLDOWN_S) < COOLDOWN_S:
            return False
        if len(self._last) >= MAX_KEYS:
            self._last.clear()
        self._last[key] = now
        return True


class HookCaller:
    """Calls a function of the user's with each gap; whatever it does harms nobody.

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
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, gap: Gap) -> None:
        """Call the function, and await it in the background if it is to be awaited."""
        arguments: tuple[object, ...] = (gap,)
        if self._hook.wants_context:
            arguments += (Context(self._endpoint, 0, self._send),)
        try:
            outcome = self._hook.function(*arguments)
        except BaseException as exc:  # it may even want to end the process
            self._complain(exc)
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
            self._complain(exc)

    def _complain(self, exc: BaseException) -> None:
        self._log.error("on_gap failed: %s: %s", type(exc).__name__, text_of(exc))
