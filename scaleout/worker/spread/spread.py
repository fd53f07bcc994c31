"""The stage of an endpoint whose messages are processed by helpers: given in batches, booked in order.

The messages stand in a line. Helpers that have room get the next batches of it, of a few milliseconds each, and
what they answer waits until all that came before is answered, too. With `processors = "auto"` the worker itself
processes the messages as long as it has the time.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from functools import partial

from scaleout import logs
from scaleout.core.frames import Kind
from scaleout.core.spreading import Spreading
from scaleout.core.spreadwire import Answer, Outfit, Portion
from scaleout.errors import SendError
from scaleout.machine import usable_cores
from scaleout.signatures import Processor
from scaleout.valve import Source, Valve
from scaleout.worker.books import Books
from scaleout.worker.decoding import Read
from scaleout.worker.pipeline import Pipeline, Sender
from scaleout.worker.spread.crew import Crew
from scaleout.worker.spread.line import Action, Batch, Line
from scaleout.worker.spread.process import AT_HAND
from scaleout.worker.spread.sizing import Sizing
from scaleout.worker.spread.timed import TimedPerMessage, TimedPerRead
from scaleout.worker.telling import Telling

COALESCE_S = 0.001
"""How long messages wait for more, to make a batch, unless results may not wait so long."""
LOOK_EVERY_S = 1.0
"""Between two looks at the helpers, and at how many there should be."""
CLOSE_GRACE_S = 2.0
"""How long helpers may take to end once there is nothing more to do."""


class Place(enum.Enum):
    """Where messages are processed."""

    WORKER = "in the worker"
    HELPERS = "in helpers"
    RETURNING = "in the worker, as soon as helpers have answered"


class Spread(Pipeline):
    """Has messages processed by helpers.

    Args:
        books: the endpoint's.
        processor: a plain function.
        send: sends on the endpoint's connection.
        processors: how many helpers there are at first, where their number is `auto`.
        on_resize: called after each change of that number.
    """

    def __init__(
        self,
        books: Books,
        processor: Processor,
        send: Sender,
        processors: int = 0,
        on_resize: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(books)
        config = books.config
        self._config = config
        self._send = send
        self._on_resize = on_resize
        self._loop = asyncio.get_running_loop()
        self._line = Line(books.tray.slot, are_portions_whole=processor.is_batch)
        self._crew = Crew(partial(_outfit_for, books), self, books.log)
        self._unsent = Telling()
        self._sizing = Sizing()
        self._messages = 0
        """Processed since the last look."""
        self._busy_s = 0.0
        self._coalesce_s = min(COALESCE_S, config.linger)
        self._coalescing: asyncio.TimerHandle | None = None
        self._has_waited = self._coalesce_s == 0
        """Whether what waits has waited for more long enough."""
        self._is_settled = True
        """Whether all that the worker itself was to process is booked."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.valve: Valve[Source] = Valve()
        """Holds the endpoint's connections back while too much is in the line."""
        self._spreading: Spreading | None = None
        self._local: TimedPerMessage | TimedPerRead | None = None
        self._place = Place.HELPERS
        if config.processors == "auto":
            self._spreading = Spreading(usable_cores(), processors)
            timed = TimedPerRead if processor.is_batch else TimedPerMessage
            self._local = timed(books, processor, send)
            if not self._spreading.processors:
                self._place = Place.WORKER
            self._crew.resize(self._spreading.processors)
        else:
            self._crew.resize(config.processors)
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)

    def __repr__(self) -> str:
        return f"<Spread {self._place.value}: {self._crew.size} helpers, {self._line!r}>"

    @property
    def is_prompt(self) -> bool:
        """Messages may wait."""
        return False

    @property
    def cpu_s(self) -> float:
        """CPU seconds that helpers have used so far."""
        return self._crew.cpu_s

    @property
    def processors(self) -> int:
        """How many helpers there are to be."""
        return self._crew.size

    # What comes

    def attach(self, source: Source) -> None:
        """Hold this connection back when there is too much to do."""
        super().attach(source)
        for valve in self._valves:
            valve.attach(source)

    def detach(self, source: Source) -> None:
        """Forget a connection."""
        super().detach(source)
        for valve in self._valves:
            valve.detach(source)

    @property
    def _valves(self) -> list[Valve[Source]]:
        return [self.valve] if self._local is None else [self.valve, self._local.valve]

    def handle(self, read: Read) -> None:
        """Have the messages processed."""
        if self._place is Place.WORKER and self._local is not None:
            self._messages += len(read.payloads)
            self._local.handle(read)
            return
        self._line.add(Portion(read.payloads, read.kind is Kind.TEXT, read.received_at))
        self._idle.clear()
        self._give()
        self._regulate()

    def in_turn(self, action: Action) -> None:
        """Do something when all that was taken so far has been booked; it must not raise."""
        if not self._line.is_empty:
            self._line.add_action(action)
        elif self._local is not None:
            self._local.in_turn(action)
        else:
            action()

    def _regulate(self) -> None:
        messages, size = self._line.messages, self._line.size_bytes
        config = self._config
        if messages > config.high_water or size > config.high_water_bytes:
            self.valve.close()
        elif messages < config.goes_on_below and size < max(1, config.high_water_bytes // 4):
            self.valve.open()

    # What helpers are given

    def on_ready(self) -> None:
        """Give a helper something to do."""
        if self._place is Place.WORKER and self._local is not None:
            self._place = Place.HELPERS
            self._is_settled = False
            self._local.in_turn(self._settle)
        self._give()

    def _settle(self) -> None:
        """All that the worker itself has processed is booked: what helpers answer comes next."""
        self._is_settled = True
        self._book()

    def _give(self) -> None:
        """Give helpers as much as they have room for."""
        # Few enough for each helper to have its share of the line.
        size = self._sizing.size(self._config.goes_on_below // (AT_HAND * max(1, self._crew.size)))
        while self._is_due(size) and (helper := self._crew.least_loaded()) is not None:
            batch = self._line.form(size)
            assert batch is not None
            helper.give(batch)
        if not self._line.waiting:
            self._has_waited = self._coalesce_s == 0
        elif self._coalescing is None and not self._has_waited and self._place is Place.HELPERS:
            self._coalescing = self._loop.call_later(self._coalesce_s, self._stop_waiting)

    def _is_due(self, size: int) -> bool:
        line = self._line
        if line.has_again or self._place is not Place.HELPERS:
            return line.has_again
        return line.waiting >= size or (line.waiting > 0 and self._has_waited)

    def _stop_waiting(self) -> None:
        self._coalescing = None
        self._has_waited = True
        self._give()

    # What they answer

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """Take what a helper has done, and give it more."""
        self._messages += batch.messages
        self._busy_s += answer.busy
        self._sizing.note(batch.messages, answer.busy)
        self._book()
        self._give()
        self._regulate()

    def on_death(self, batches: list[Batch], reason: str) -> None:
        """Have what a dead helper hasn't answered processed by another."""
        self._line.give_back(batches, reason)
        self._book()
        self._give()
        self._regulate()

    def _book(self) -> None:
        """Book what is answered, as far as all that came before is, too."""
        if not self._is_settled:
            return
        outbox = self.books.outbox
        while (batch := self._line.done) is not None:
            outbox.hold()  # what is done behind messages goes out with them
            try:
                self._book_batch(batch)
            finally:
                self._line.drop_first()
                outbox.let_go()
        if self._place is Place.RETURNING and not self._line.is_given:
            self._return()
        if self._line.is_empty:
            self._idle.set()

    def _book_batch(self, batch: Batch) -> None:
        done = 0
        for outcome, lines in batch.outcomes:
            _act(batch.actions[done : outcome.segment])
            done = outcome.segment
            self.books.adopt(outcome.entry, outcome.dead_letters, lines)
            for outgoing in outcome.outgoing:
                self._try_to_send(outgoing.message)
        _act(batch.actions[done:])

    def _try_to_send(self, message: str | bytes) -> None:
        try:
            self._send(message)
        except SendError as exc:
            if (more := self._unsent.more()) is not None:
                self.books.log.warning("a message of the processor can't be sent: %s%s", exc, more)

    # How many there should be

    def _look(self) -> None:
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)
        self._crew.look()
        spreading = self._spreading
        if spreading is None or self._place is Place.RETURNING or self._crew.ready < self._crew.size:
            return
        if spreading.observe(self._loop.time(), *self._take_measures()):
            self.books.log.info("%s", spreading.explain())
            if spreading.processors or self._place is Place.WORKER:
                self._crew.resize(spreading.processors)
                self._on_resize()
            else:
                self._place = Place.RETURNING
                self._book()

    def _take_measures(self) -> tuple[int, float]:
        """Messages processed, and the seconds that took, since the last look."""
        messages, self._messages = self._messages, 0
        busy_s, self._busy_s = self._busy_s, 0.0
        if self._local is not None:
            busy_s += self._local.busy_s
            self._local.busy_s = 0.0
        return messages, busy_s

    def _return(self) -> None:
        """Let the worker itself process what waits, and what comes from now on."""
        assert self._local is not None
        self._place = Place.WORKER
        self._crew.resize(0)
        self._on_resize()
        for item in self._line.take_waiting():
            if isinstance(item, Portion):
                kind = Kind.TEXT if item.is_text else Kind.BINARY
                self._messages += len(item.payloads)
                self._local.handle(Read(item.payloads, kind, item.received_at))
            else:
                self._local.in_turn(item)
        self._regulate()

    # The end

    async def drain(self, timeout_s: float) -> None:
        """Wait until all is booked; what takes longer is dead. Then let the helpers end."""
        ends_at = self._loop.time() + timeout_s
        grace_s = CLOSE_GRACE_S
        try:
            async with asyncio.timeout_at(ends_at):
                await self._idle.wait()
        except TimeoutError:
            self._cut_off(f"still being processed {timeout_s:g} s after the run was stopped")
            grace_s = 0.0
        if self._local is not None:
            await self._local.drain(max(0.0, ends_at - self._loop.time()))
        self._looking.cancel()
        await self._crew.close(grace_s)

    def _cut_off(self, reason: str) -> None:
        self._line.give_up(reason)
        self._is_settled = True
        self._book()


def _act(lists: list[list[Action]]) -> None:
    for actions in lists:
        for action in actions:  # it may have something else done behind what comes later
            action()


def _outfit_for(books: Books) -> Outfit:
    log = logs.settings()
    return Outfit(
        slot=books.tray.slot,
        endpoint=books.config,
        envelope=books.envelope,
        worker=log.worker,
        log_level=log.level,
        log_format=log.log_format,
        secrets=log.secrets,
    )
