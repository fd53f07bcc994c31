"""Pipelines of plain functions that take the time they need, to be weighed against what helpers would take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from scaleout.worker.decoding import Read
from scaleout.worker.permessage import PerMessage
from scaleout.worker.pipeline import PerRead, Pipeline


class Timed(Pipeline):
    """Notes how long it is at work."""

    busy_s = 0.0
    """Seconds so far."""
    _is_timed = False

    def handle(self, read: Read) -> None:
        """Do with the messages what is to be done."""
        with self._timing():
            super().handle(read)

    @contextmanager
    def _timing(self) -> Iterator[None]:
        if self._is_timed:
            yield
            return
        began = time.perf_counter()
        self._is_timed = True
        try:
            yield
        finally:
            self._is_timed = False
            self.busy_s += time.perf_counter() - began


class TimedPerRead(Timed, PerRead):
    """Runs a plain function for each read."""


class TimedPerMessage(Timed, PerMessage):
    """Runs a plain function for each message, some of them in later turns of the loop."""

    def _take_turn(self) -> None:
        with self._timing():
            super()._take_turn()
