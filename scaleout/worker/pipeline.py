"""One endpoint's way from payloads to results: receive, decode, process, each a read at a time.

Everything happens in the callback that brought the read. A message that can't be decoded, processed or encoded
goes to the dead letters alone; its neighbours go on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice

import msgspec

from scaleout.context import Context
from scaleout.signatures import Processor
from scaleout.valve import Source, Valve
from scaleout.worker.books import Books, Failure
from scaleout.worker.decoding import Decoder, Read, decoder_for, json_decoder
from scaleout.worker.encoding import flatten

BAD_MESSAGE = (ValueError, RecursionError)
"""What decoding raises because of the message, not because of code that it runs."""

Sender = Callable[[str | bytes], None]


class Wish(msgspec.Struct, frozen=True):
    """What a pipeline does with messages, where others' messages may be dealt with beside them."""

    key: Hashable
    """The same for the same wish."""
    decoder: Decoder | None = None
    """None: they are passed on as they are, if they are JSON."""
    function: Callable[[object], object] | None = None
    """None: the messages are the results."""


class Pipeline:
    """One endpoint's pipeline; subclasses say what happens to the messages of a read."""

    def __init__(self, books: Books) -> None:
        self.books = books

    @property
    def is_prompt(self) -> bool:
        """Whether what is taken is delivered at once: nothing ever waits here."""
        return True

    @property
    def wish(self) -> Wish | None:
        """What it does with messages; None: it has to take them itself."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return True

    @property
    def cpu_s(self) -> float:
        """CPU seconds that helper processes have used so far, those that are gone, too."""
        return 0.0

    @property
    def processors(self) -> int:
        """How many helper processes there are to be."""
        return 0

    def handle(self, read: Read) -> None:
        """Do with the messages what is to be done."""
        raise NotImplementedError

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something when all that was taken so far has been delivered: at once, where nothing ever waits."""
        action()

    def attach(self, source: Source) -> None:
        """Hold this connection back when there is too much to do."""
        self.books.outbox.valve.attach(source)

    def detach(self, source: Source) -> None:
        """Forget a connection."""
        self.books.outbox.valve.detach(source)

    async def drain(self, timeout_s: float) -> None:
        """Wait for messages that are being processed; those that take longer become dead letters."""


def attempt_next(
    function: Callable[..., object],
    items: Iterator[object],
    count: int,
    outcomes: list[object],
    *further: Iterable[object],
    fail: Callable[[BaseException], Failure] = Failure,
) -> None:
    """Call the function with each of the next items; whatever it raises harms that item alone.

    Args:
        count: how many items, of those that there are.
        outcomes: gets what the function returned, a `Failure` where it raised.
        further: more arguments, at least as many as items.
        fail: what stands in the place of a result, by what was raised.
    """
    goal = len(outcomes) + count
    while len(outcomes) < goal:
        try:
            # The loop runs in C until a call raises. What was appended before stays, and `items` stands behind
            # the item at fault.
            outcomes.extend(map(function, islice(items, goal - len(outcomes)), *further))
            if len(outcomes) < goal:
                raise RuntimeError("StopIteration was raised, which only an iterator may do")
        except BaseException as exc:  # SystemExit and the like harm only their item, too
            outcomes.append(fail(exc))


def undecodable(exc: BaseException) -> Failure:
    """Stands in the place of a message that can't be decoded."""
    return Failure(exc, BAD_MESSAGE, "decode")


class Decoded(Pipeline):
    """Decodes, and hands the messages on; those that can't be decoded are dead letters."""

    def __init__(self, books: Books, decoder: Decoder) -> None:
        super().__init__(books)
        self._decoder = decoder

    @property
    def wish(self) -> Wish | None:
        """The results are the messages."""
        return Wish(self._decoder, self._decoder)

    def handle(self, read: Read) -> None:
        """Decode the payloads."""
        decode = self._decoder(read)
        if decode is None:
            self.process(read, read.payloads, list(read.payloads))
            return
        payloads = read.payloads
        messages: list[object] = []
        attempt_next(decode, iter(payloads), len(payloads), messages, fail=undecodable)
        if Failure in map(type, messages):
            payloads, messages = self._leave_out_bad(read, messages)
        if payloads:
            self.process(read, payloads, messages)

    def _leave_out_bad(self, read: Read, messages: list[object]) -> tuple[list[bytes], list[object]]:
        good: list[tuple[bytes, object]] = []
        for payload, message in zip(read.payloads, messages, strict=True):
            if isinstance(message, Failure):
                self.books.dead_letter(read, payload, message)
            else:
                good.append((payload, message))
        self.books.post()
        return [payload for payload, _ in good], [message for _, message in good]

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Without a processor the messages are the results."""
        self.books.deliver(read, payloads, messages)


class PassThrough(Decoded):
    """No processor, JSON: checked, and passed on byte for byte, but on one line."""

    def __init__(self, books: Books) -> None:
        super().__init__(books, json_decoder(msgspec.Raw))

    @property
    def wish(self) -> Wish | None:
        """The results are the payloads."""
        return Wish("json")

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Pass the payloads on."""
        lines = b"\n".join(payloads) + b"\n"
        if b"\r" in lines or lines.count(b"\n") > len(payloads):
            lines = b"\n".join(map(flatten, payloads)) + b"\n"
        self.books.deliver_lines(read, len(payloads), lines)


class Processed(Decoded):
    """Has a processor; subclasses call it."""

    def __init__(self, books: Books, processor: Processor, send: Sender) -> None:
        super().__init__(books, decoder_for(processor))
        self.processor = processor
        self.valve: Valve[Source] = Valve()
        """Holds the endpoint's connections back while too much waits for the processor."""
        self._send = send

    @property
    def wish(self) -> Wish | None:
        """None: what it does is its own."""
        return None

    def attach(self, source: Source) -> None:
        """Hold this connection back when too much waits."""
        super().attach(source)
        self.valve.attach(source)

    def detach(self, source: Source) -> None:
        """Forget a connection."""
        super().detach(source)
        self.valve.detach(source)

    def context_for(self, read: Read) -> Context:
        """What the processor may know and do besides."""
        return Context(self.books.endpoint, read.received_at, self._send)


class PerRead(Processed):
    """Runs a plain function for each read, on all of its messages."""

    def process(self, read: Read, payloads: list[bytes], messages: list[object]) -> None:
        """Call the function."""
        arguments = (messages, self.context_for(read)) if self.processor.wants_context else (messages,)
        outcome: object
        try:
            outcome = self.processor.function(*arguments)
        except BaseException as exc:
            outcome = Failure(exc)
        self.books.deliver_batch(read, payloads, outcome)
