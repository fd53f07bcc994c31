"""What the tests of spreading share: a desk whose messages go to helpers, and stand-ins for those."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout.core.frames import Kind
from scaleout.core.ledger import Entry
from scaleout.core.spreadwire import Answer, Outcome, Outfit
from scaleout.processors import load_processor
from scaleout.worker.encoding import LineEncoder
from scaleout.worker.spread.line import Batch
from scaleout.worker.spread.process import AT_HAND, HelperEvents
from scaleout.worker.spread.spread import Spread

SLOT = 1
BUSY_S = 50e-6
"""What the processing of a message takes a stand-in."""


class StandIn:
    """Stands in the place of a helper process: a test says when it answers, and when it dies."""

    def __init__(self, outfit: Outfit, events: HelperEvents, fleet: Fleet) -> None:
        self.given: deque[Batch] = deque()
        self.cpu_s = 0.25
        self.is_ready = False
        self.is_retired = False
        self._fleet = fleet
        self._events = events
        self._encoder = LineEncoder(outfit.endpoint.name, outfit.envelope)
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> str:
        """Be ready at once, and live until told otherwise."""
        self.is_ready = True
        self._events.on_ready()
        return await self._end

    @property
    def has_room(self) -> bool:
        return self.is_ready and len(self.given) < AT_HAND

    def give(self, batch: Batch) -> None:
        self.given.append(batch)
        self._fleet.was_given.set()

    def answer(self) -> None:
        """Hand back the oldest batch: each payload is its result."""
        batch = self.given.popleft()
        for index, segment in enumerate(batch.segments):
            for portion in segment:
                lines = self._encoder.wrap(b"".join(b"%b\n" % each for each in portion.payloads), 1 << 61)
                count = len(portion.payloads)
                entry = Entry(SLOT, delivered=count, results=count)
                batch.outcomes.append((Outcome(index, entry, sum(map(len, lines))), lines))
        batch.is_done = True
        self._events.on_answer(batch, Answer(0, (), self.cpu_s, BUSY_S * batch.messages))
        if self.is_retired and not self.given:
            self.die("retired")

    def die(self, reason: str = "killed by SIGKILL") -> None:
        self.is_ready = False
        if not self._end.done():
            self._end.set_result(reason)

    def retire(self) -> None:
        self.is_ready = False
        self.is_retired = True
        if not self.given:
            self.die("retired")

    def look(self) -> None: ...


class Fleet(list[StandIn]):
    """The stand-ins that there are, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.was_given = asyncio.Event()

    async def until_given(self, count: int = 1) -> None:
        """Wait until they have so many batches before them."""
        async with asyncio.timeout(10):
            while sum(len(each.given) for each in self) < count:
                self.was_given.clear()
                await self.was_given.wait()


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The helpers that are made from now on are stand-ins."""
    fleet = Fleet()

    def make(outfit: Outfit, events: HelperEvents) -> StandIn:
        fleet.append(StandIn(outfit, events, fleet))
        return fleet[-1]

    monkeypatch.setattr("scaleout.worker.spread.crew.HelperProcess", make)
    return fleet


@pytest.fixture
def spread_desk(desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a desk whose stage spreads: of the source of a module with a function `process`, and keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "processing", raising=False)

    class SpreadDesk(desk):  # type: ignore[misc]
        """A desk, and what tells how far helpers are."""

        def __init__(
            self,
            source: str,
            processors: object = 2,
            had: int = 0,
            on_resize: Callable[[], None] = lambda: None,
            **keys: Any,
        ) -> None:
            (tmp_path / "processing.py").write_text(source)
            spec = "processing:process"
            super().__init__(processor=None, **keys)
            books = self.inlet.books
            books.config = _with(books.config, processor=spec, processors=processors)
            self.pipeline = Spread(books, load_processor(spec), self.replies.append, had, on_resize)
            self.inlet.stage = self.pipeline

        def receive_numbers(self, *numbers: int, kind: Kind = Kind.TEXT) -> None:
            self.receive(*(b"%d" % number for number in numbers), kind=kind)

        def so_far(self, field: str) -> int:
            """The sum of one field over all that was reported, or is about to be."""
            total: int = self.count(field) + getattr(self.inlet.books.tray, field)
            return total

        async def until(self, condition: Callable[[], object]) -> None:
            """Wait until what was handed over fulfils a condition."""
            while not condition():
                self.channel.was_sent.clear()
                await self.channel.was_sent.wait()

    return SpreadDesk


def _with(endpoint: Any, **keys: Any) -> Any:
    return msgspec.structs.replace(endpoint, **keys)
