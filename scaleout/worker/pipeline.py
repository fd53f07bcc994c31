"""One endpoint's way from payloads to results: receive, decode, process, each a read at a time.

Everything happens in the callback that brought the read. A message that can't be decoded, processed or encoded
goes to the dead letters alone; its neighbours go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import msgspec

from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.signatures import Processor
from scaleout.tally import Allowance, Tally
from scaleout.worker.books import Books, Failure
from scaleout.worker.decoding import Decoder, JSONDecoder, Read, decoder_for
from scaleout.worker.encoding import flatten
from scaleout.worker.outbox import Source

Sender = Callable[[str | bytes], None]


class Intake:
    """Notes what is read, before anything is done with it.

    Args:
        tally: shared memory that outlives this worker.
        allowance: what may still be received in a run with a limit.
        on_limit: called when the limit has been reached.
    """

    def __init__(self, tally: Tally, allowance: Allowance | None, on_limit: Callable[[], None]) -> None:
        self._counts = tally.values
        self._allowance = allowance
        self._on_limit = on_limit

    def received(self, slot: int) -> int:
        """Messages of this slot received by this worker."""
        return self._counts[slot]

    def admit(self, slot: int, count: int) -> int:
        """Note `count` messages; those beyond the limit are not received."""
        if self._allowance is not None:
            granted = self._allowance.take(count)
            if granted < count or self._allowance.is_used_up:
                self._on_limit()
            count = granted
        self._counts[slot] += count
        return count


class Pipeline:
    """One endpoint's pipeline; subclasses say what happens to the messages of a read."""

    def __init__(self, books: Books, intake: Intake) -> None:
        self.books = books
        self.intake = intake

    @property
    def received(self) -> int:
        """Messages received by this worker."""
        return self.intake.received(self.books.tray.slot)

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take one read from the connection; `joined` is the payloads with a newline between each two."""
        tray = self.books.tray
        count = self.intake.admit(tray.slot, len(payloads))
        if count < len(payloads):
            payloads = payloads[:count]
            joined = b"\n".join(payloads)
        if count:
            tray.received += count
            tray.bytes += len(joined) - count + 1
            self.handle(Read(payloads, joined, kind, received_at))

    def handle(self, read: Read) -> None:
        """Do with the messages what is to be done."""
        raise NotImplementedError

    def attach(self, source: Source) -> None:
        """Hold this connection back when there is too much to do."""

    def detach(self, source: Source) -> None:
        """Forget a connection."""

    async def drain(self, timeout_s: float) -> None:
        """Wait for messages that are being processed; those that take longer become dead letters."""


class PassThrough(Pipeline):
    """No processor, JSON: checked, and passed on byte for byte."""

    _decoder = JSONDecoder(msgspec.Raw)

    def handle(self, read: Read) -> None:
        """Check all of it in one call."""
        try:
            if not read.has_one_line_each or read.kind is not Kind.TEXT:
                raise ValueError
            self._decoder.decode_all(read)
        except ValueError:
            for payload in read.payloads:
                self._pass_one(read, payload)
            return
        tray = self.books.tray
        tray.delivered += len(read.payloads)
        tray.results += len(read.payloads)
        self.books.post(self.books.encoder.wrap(read.joined + b"\n", read.received_at))

    def _pass_one(self, read: Read, payload: bytes) -> None:
        try:
            self._decoder.decode_one(payload, read.kind)
            payload.decode()
        except ValueError as exc:
            self.books.dead_letter(read, payload, "decode", exc)
            self.books.post()
            return
        self.books.tray.delivered += 1
        self.books.tray.results += 1
        self.books.post(self.books.encoder.wrap(flatten(payload) + b"\n", read.received_at))


class Decoded(Pipeline):
    """Decodes, and hands the messages on; those that can't be decoded are dead letters."""

    def __init__(self, books: Books, intake: Intake, decoder: Decoder) -> None:
        super().__init__(books, intake)
        self._decoder = decoder

    def handle(self, read: Read) -> None:
        """Decode all in one call, one by one only if that fails."""
        payloads = read.payloads
        messages: Sequence[object]
        try:
            messages = self._decoder.decode_all(read)
        except Exception:
            payloads, messages = self._decode_each(read)
            if not payloads:
                return
        self.process(read, payloads, messages)

    def _decode_each(self, read: Read) -> tuple[list[bytes], list[object]]:
        good: list[bytes] = []
        messages: list[object] = []
        for payload in read.payloads:
            try:
                messages.append(self._decoder.decode_one(payload, read.kind))
            except Exception as exc:
                self.books.dead_letter(read, payload, "decode", exc)
            else:
                good.append(payload)
        self.books.post()
        return good, messages

    def process(self, read: Read, payloads: list[bytes], messages: Sequence[object]) -> None:
        """Without a processor the messages are the results."""
        self.books.deliver(read, payloads, messages)


class Processed(Decoded):
    """Runs a plain function for each message, or for each read."""

    def __init__(self, books: Books, intake: Intake, processor: Processor, send: Sender) -> None:
        super().__init__(books, intake, decoder_for(processor))
        self.processor = processor
        self._send = send

    def context_for(self, read: Read) -> Context:
        """What the processor may know and do besides."""
        return Context(self.books.endpoint, read.received_at, self._send)

    def process(self, read: Read, payloads: list[bytes], messages: Sequence[object]) -> None:
        """Call the function."""
        if self.processor.is_batch:
            self._process_batch(read, payloads, messages)
        else:
            self.books.deliver(read, payloads, self._process_each(read, messages))

    def _process_each(self, read: Read, messages: Sequence[object]) -> list[object]:
        """The outcome of each message; the loop over them runs in C until one raises."""
        function = self.processor.function
        outcomes: list[object] = []
        rest = iter(messages)
        contexts = repeat(self.context_for(read)) if self.processor.wants_context else None
        while True:
            try:
                # What was appended before an exception stays, and `rest` stands behind the message at fault.
                outcomes.extend(map(function, rest) if contexts is None else map(function, rest, contexts))
                if len(outcomes) == len(messages):
                    return outcomes
                raise RuntimeError("the processor raised StopIteration")
            except BaseException as exc:  # SystemExit and the like harm only their message, too
                outcomes.append(Failure(exc))

    def _process_batch(self, read: Read, payloads: list[bytes], messages: Sequence[object]) -> None:
        arguments = (messages, self.context_for(read)) if self.processor.wants_context else (messages,)
        outcome: object
        try:
            outcome = self.processor.function(*arguments)
        except BaseException as exc:
            outcome = Failure(exc)
        self.books.deliver_batch(read, payloads, outcome)
