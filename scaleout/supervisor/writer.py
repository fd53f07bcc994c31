"""Writes to one sink from a thread of its own, in order, and tries again until the sink takes it.

The loop never blocks on a sink. What waits is bounded by whoever feeds the writer: `pending_bytes` says how
much it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue

from scaleout.errors import SinkClosedError, SinkError
from scaleout.sinks import Chunk, Sink

RETRY_FIRST_S = 0.1
RETRY_LONGEST_S = 5.0

_log = logging.getLogger("scaleout.sink")

Callback = Callable[[bool], None]
"""Told True once the chunks are written, False if they never will be."""


class _GivenUpError(Exception):
    """The run ends, and the sink still doesn't take what it is given: that stays in flight."""


class _Job:
    __slots__ = ("callbacks", "chunks", "size")

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.callbacks: list[Callback] = []
        self.size = 0


class SinkWriter:
    """The way to one sink.

    Args:
        sink: where to.
        on_closed: called once in the loop when the sink's reader has gone for good.
    """

    def __init__(self, sink: Sink, on_closed: Callable[[], None]) -> None:
        self.sink = sink
        self.pending_bytes = 0
        self.is_closed = False
        self.is_failing = False
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._next = _Job()
        self._busy = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._give_up = threading.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._finished = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.uri}", daemon=True)
        self._thread.start()

    # In the loop

    def write(self, chunks: Sequence[Chunk], callback: Callback) -> None:
        """Write chunks after all that came before, then call back in the loop."""
        if self.is_closed:
            callback(False)
            return
        job = self._next
        job.chunks.extend(chunks)
        job.callbacks.append(callback)
        size = sum(map(len, chunks))
        job.size += size
        self.pending_bytes += size
        self._idle.clear()
        if not self._busy:
            self._submit()

    def _submit(self) -> None:
        job, self._next = self._next, _Job()
        self._busy = True
        self._jobs.put(job)

    def _settle(self, job: _Job, written: bool) -> None:
        self._finish(job, written)
        if not written:
            self.is_closed = True
            later, self._next = self._next, _Job()
            self._finish(later, False)
            self._on_closed()
        self._busy = False
        if self._next.callbacks:
            self._submit()
        else:
            self._idle.set()

    def _finish(self, job: _Job, written: bool) -> None:
        self.pending_bytes -= job.size
        for callback in job.callbacks:
            callback(written)

    async def drain(self) -> None:
        """Wait until all that was given is written."""
        await self._idle.wait()

    async def close(self, timeout_s: float) -> None:
        """Write what was given and close the sink; what it doesn't take within the time is given up."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.drain()
                self._jobs.put(None)
                await self._finished.wait()
        except TimeoutError:
            if self.pending_bytes:
                size = f"{self.pending_bytes:,} bytes"
                _log.error("sink %s did not take the last %s within %g s", self.sink.uri, size, timeout_s)
        finally:
            self._give_up.set()
            self._jobs.put(None)

    # In the thread

    def _work(self) -> None:
        try:
            is_open = self._attempt(self.sink.open)
            while (job := self._jobs.get()) is not None:
                written = is_open and self._attempt(partial(self.sink.write, job.chunks))
                job.chunks.clear()  # whoever gave them may use their memory again
                if not self._call(self._settle, job, written):
                    return
        except _GivenUpError:
            return
        try:
            self.sink.close()
        except SinkError as exc:
            _log.error("%s", exc)
        except Exception:
            _log.exception("sink %s failed unexpectedly while it was closed", self.sink.uri)
        self._call(self._finished.set)

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do it, sooner or later; False if nobody will ever read what is written."""
        try:
            self._insist(action)
        except SinkClosedError:
            return False
        return True

    def _insist(self, action: Callable[[], None]) -> None:
        delay = RETRY_FIRST_S
        while True:
            try:
                action()
            except SinkClosedError:
                raise
            except SinkError as exc:
                if not self.is_failing:
                    _log.error("%s; trying again until it works", exc)
                self.is_failing = True
            except Exception:
                if not self.is_failing:
                    _log.exception("sink %s failed unexpectedly; trying again", self.sink.uri)
                self.is_failing = True
            else:
                if self.is_failing:
                    _log.warning("sink %s works again", self.sink.uri)
                    self.is_failing = False
                return
            if self._give_up.wait(delay):
                raise _GivenUpError
            delay = min(RETRY_LONGEST_S, delay * 2)

    def _call(self, function: Callable[..., None], *args: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed
            return False
        return True
