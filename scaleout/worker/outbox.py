"""Collects what the pipelines have done and sends it up the results pipe, in batches.

A batch goes out when it is large enough, or when its first part has waited for the endpoint's `linger`. While
the pipe is full the outbox holds on; above its high-water mark it stops all connections from reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scaleout.channel import Channel
from scaleout.core.wire import Batch, Command, DeadLetter, Drained, Released, TriedLetter
from scaleout.valve import Source, Valve
from scaleout.worker.encoding import Lines
from scaleout.worker.tray import Tray, take_all, with_marks

FLUSH_BYTES = 64 * 2**10
BULK_BYTES = 600_000
"""So much of what comes in large pieces goes out at a time: the aggregator is woken for each batch, and has as much
to do for a small one as for a large one."""
HIGH_WATER_BYTES = 2**20
MAX_BATCH_BYTES = 2**29
"""Above it a batch goes out even while the pipe is full: with one more call's results it has to fit through."""
DEAD_LETTER_BYTES = 256
"""What a dead letter takes beside its texts, so that letters without any fill the outbox, too."""


class Outbox:
    """The way out of a worker."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: Channel[Command] | None = None
        self._known: list[Tray] = []
        self._trays: list[Tray] = []
        self._dead_letters: list[DeadLetter] = []
        self._retried: list[TriedLetter] = []
        self._parts: list[bytes | bytearray | memoryview] = []
        self._timer: asyncio.Handle | None = None
        self._due_at = 0.0
        """Loop time at which it goes off."""
        self._held = 0
        """How many there are that want what they put to go out as one."""
        self._is_due = False
        """Whether something has been put meanwhile that is not to wait."""
        self._released: list[int] = []
        """Endpoints of which nothing more comes."""
        self.valve: Valve[Source] = Valve()
        """Holds connections back while the pipe is full."""
        self.backlog_bytes = 0
        """Bytes that wait for the pipe."""

    def send_through(self, channel: Channel[Command]) -> None:
        """Use this channel from now on; its `on_writable` must be `flush`."""
        self._channel = channel

    # Filling

    def put(self, tray: Tray, lines: Lines, linger_s: float) -> None:
        """Take an endpoint's tray, and lines that belong to it."""
        if not tray.is_open:
            tray.is_open = True
            self._trays.append(tray)
        for part in lines:
            self._parts.append(part)
            self.backlog_bytes += len(part)
        if self.backlog_bytes >= FLUSH_BYTES or linger_s == 0:
            self._flush_unless_held()
        else:
            self._flush_within(linger_s)

    def put_together(
        self, trays: Sequence[Tray], lines: Sequence[bytes | bytearray | memoryview], patience_s: float
    ) -> None:
        """Take trays that have just been opened, and lines of theirs and of open ones that may wait for so long."""
        self._trays.extend(trays)
        self._parts.extend(lines)
        self.backlog_bytes += sum(map(len, lines))
        if self.backlog_bytes >= BULK_BYTES or patience_s == 0:
            self._flush_unless_held()
        else:
            self._flush_within(patience_s)

    def _flush_within(self, linger_s: float) -> None:
        due_at = self._loop.time() + linger_s
        if self._timer is not None:
            if self._due_at <= due_at:
                return
            self._timer.cancel()
        # For less than half a millisecond uvloop gives a handle that doesn't say when it is due.
        self._timer, self._due_at = self._loop.call_later(linger_s, self.flush), due_at

    def _flush_unless_held(self) -> None:
        if self._held and self.backlog_bytes < MAX_BATCH_BYTES:
            self._is_due = True
        else:
            self.flush()

    def know(self, tray: Tray) -> None:
        """This tray is filled from now on."""
        self._known.append(tray)

    def forget(self, tray: Tray) -> None:
        """Nothing more comes into this tray."""
        self._known = [each for each in self._known if each is not tray]

    def hold(self) -> None:
        """Send nothing until `let_go`: what is put until then belongs together."""
        self._held += 1

    def let_go(self) -> None:
        """Send what has become due since `hold`."""
        self._held -= 1
        if self._is_due and not self._held:
            self._is_due = False
            self.flush()

    def post_all(self) -> None:
        """Take the trays in which messages are noted without an outcome as yet, so that the books show them."""
        for tray in self._known:
            if not tray.is_open and (tray.received or tray.dropped):
                self.put(tray, (), 0)

    def put_dead_letter(self, letter: DeadLetter) -> None:
        """Take a dead letter; the tray that counts it follows with `put`."""
        self._dead_letters.append(letter)
        texts = len(letter.payload) + len(letter.reason) + len(letter.traceback or "")
        self.backlog_bytes += texts + DEAD_LETTER_BYTES

    def put_retried(self, retried: TriedLetter) -> None:
        """Take what has become of a dead letter that was tried again; the tray that counts it follows."""
        self._retried.append(retried)

    def put_released(self, slot: int) -> None:
        """An endpoint has been let go: say so behind all that there is of it."""
        self._released.append(slot)
        self.flush()

    # Emptying

    def flush(self) -> None:
        """Send what there is, unless the pipe is full and it can wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._channel is None or not self._channel.is_writable:
            if self.backlog_bytes >= HIGH_WATER_BYTES:
                self.valve.close()
            if self._channel is None or self.backlog_bytes < MAX_BATCH_BYTES:
                return
        self._send(self._channel)
        if self._channel.is_writable:
            self.valve.open()

    def _send(self, channel: Channel[Command]) -> None:
        if self._trays:
            self._send_batch(channel)
        for slot in self._released:
            channel.send(Released(slot))
        self._released.clear()

    def _send_batch(self, channel: Channel[Command]) -> None:
        trays, self._trays = self._trays, []
        letters, self._dead_letters = self._dead_letters, []
        parts, self._parts = self._parts, []
        retried, self._retried = self._retried, []
        self.backlog_bytes = 0
        marked = with_marks(trays)
        cursors = tuple(tray.cursor for tray in marked if tray.cursor is not None)
        numbers = tuple(mark for tray in marked if tray.numbers and (mark := tray.numbers()) is not None)
        tails = tuple(each for tray in marked if tray.tails and (each := tray.tails()) is not None)
        plain, entries = take_all(trays)
        channel.send(Batch(entries, tuple(letters), cursors, tuple(retried), numbers, tails, plain), parts)

    async def finish(self, cpu_s: float) -> None:
        """Send what there is and the last message, and wait until the pipe has taken all of it."""
        if self._channel is not None:
            self._send(self._channel)
            self._channel.send(Drained(cpu=cpu_s))
            await self._channel.close()
