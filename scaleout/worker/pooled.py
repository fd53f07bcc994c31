"""What is done with messages that were gathered over many connections: decoded, processed, encoded in one go.

Whatever is out of the ordinary is left to the endpoint's own books, a read at a time: a message that fails, a
result that can't be encoded, an iterator of results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence

import msgspec

from scaleout.core.frames import Kind
from scaleout.core.runs import run_of
from scaleout.worker.books import MAX_RESULTS_BYTES, Failure, single_results
from scaleout.worker.decoding import Decode, Decoder, Read, json_decoder
from scaleout.worker.encoding import Lines, encode_lines, encode_loosely
from scaleout.worker.envelopes import pass_on, wrap
from scaleout.worker.lane import Clock, Pool, Portion, payloads_of, settle
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import BAD_MESSAGE, Wish, attempt_next, undecodable

TURN_S = 0.05
"""How long the messages of a pool may keep the loop, give or take a step; the rest go the long way."""
LONGEST_STEP = 256
"""Messages between two looks at the clock; a function that turns slow all at once is noticed after so many."""
SHORTEST_STEP = 8
STEP_S = 0.01
"""What a step should take at the most."""

Function = Callable[[object], object]


class PooledWork:
    """Decodes, calls a plain function for each message, and encodes.

    Args:
        decoder: how to decode.
        function: None: the messages are the results.
        outbox: the worker's.
        envelope: whether results are to be in one.
        clock: the loop.
    """

    def __init__(
        self,
        decoder: Decoder,
        function: Function | None,
        outbox: Outbox,
        envelope: bool,
        clock: Clock,
    ) -> None:
        self._decoder = decoder
        self._function = function
        self._outbox = outbox
        self._envelope = envelope
        self._clock = clock
        self._step = SHORTEST_STEP

    def handle(self, portions: list[Portion], kind: Kind, patience_s: float) -> None:
        """Deal with them, in order."""
        payloads = payloads_of(portions)
        outcomes = self.attempt(Read(payloads, kind, portions[0].received_at))
        late: list[Portion] = []
        if len(outcomes) < len(payloads):
            portions, late = _split(portions, len(outcomes))
        self._deliver(portions, kind, outcomes, patience_s)
        for portion in late:
            portion.lane.is_alone = True
            portion.lane.inlet.hand_on(portion.run.payloads(), kind, portion.received_at)

    def attempt(self, read: Read) -> Sequence[object]:
        """What the messages come to, one after the other, as far as there is time."""
        payloads = read.payloads
        decode, function = self._decoder(read), self._function
        if decode is None and function is None:
            return payloads
        items: Iterator[object] = iter(payloads)
        if function is None:
            assert decode is not None
            call: Callable[..., object] = decode
        else:
            call = function
            if decode is not None:
                items = map(decode, payloads)
        outcomes: list[object] = []

        def fail(exc: BaseException) -> Failure:
            return _failure(decode, payloads[len(outcomes)], exc)

        now = self._clock.time()
        ends_at = now + TURN_S
        while len(outcomes) < len(payloads) and now < ends_at:
            step = min(self._step, len(payloads) - len(outcomes))
            attempt_next(call, items, step, outcomes, fail=fail)
            before, now = now, self._clock.time()
            if now - before > STEP_S:
                self._step = SHORTEST_STEP
            elif step == self._step < LONGEST_STEP:
                self._step *= 2
        return outcomes

    def _deliver(
        self, portions: list[Portion], kind: Kind, outcomes: Sequence[object], patience_s: float
    ) -> None:
        results = single_results(outcomes)
        if results is None:
            deliver_apart(portions, kind, outcomes)
            return
        counts = None if len(results) == len(outcomes) else _count_results(portions, outcomes)
        try:
            lines = self._encode(portions, counts, results)
        except Exception:  # one of them can't be encoded: its endpoint's books find it
            lines = None
        if lines is None or sum(map(len, lines)) > MAX_RESULTS_BYTES:
            deliver_apart(portions, kind, outcomes)
        else:
            self._outbox.put_together(settle(portions, counts), lines, patience_s)

    def _encode(
        self, portions: list[Portion], counts: list[int] | None, results: Sequence[object]
    ) -> Lines | None:
        """Results as lines, so many of each portion (None: one for each message); None where that isn't plain."""
        if not self._envelope or not results:
            return (encode_lines(results),)
        if len(portions) == 1:
            return portions[0].lane.books.encode(results, portions[0].received_at)
        lines = wrap(portions, counts, encode_loosely(results))
        return (lines,) if lines is not None else None


class PooledPassThrough(PooledWork):
    """Checks that the messages are JSON, and passes them on byte for byte."""

    def __init__(self, outbox: Outbox, envelope: bool, clock: Clock) -> None:
        super().__init__(json_decoder(msgspec.Raw), None, outbox, envelope, clock)

    def handle(self, portions: list[Portion], kind: Kind, patience_s: float) -> None:
        """Pass them on; where one is no JSON, or of several lines, each endpoint sees to its own."""
        if self._are_lines(portions, kind):
            lines = pass_on(portions, self._envelope)
            self._outbox.put_together(settle(portions, None), lines, patience_s)
            return
        for portion in portions:
            portion.lane.inlet.hand_on(portion.run.payloads(), kind, portion.received_at)

    def _are_lines(self, portions: list[Portion], kind: Kind) -> bool:
        """Whether all of them are JSON, and on one line each."""
        rest: list[bytes] = []
        for portion in portions:
            run = portion.run
            sure = run.count_sure() if kind is Kind.TEXT else 0
            if sure < run.count:
                rest += run.payloads()[sure:]
        if not rest:
            return True
        together = b"".join(rest)
        if b"\n" in together or b"\r" in together:
            return False
        decode = self._decoder(Read(rest, kind, 0))
        assert decode is not None
        try:
            deque(map(decode, rest), maxlen=0)
        except BAD_MESSAGE:
            return False
        return True


def _failure(decode: Decode | None, payload: bytes, exc: BaseException) -> Failure:
    """Tell a message that can't be decoded from one that the function doesn't take."""
    if decode is not None:
        try:
            decode(payload)
        except BaseException as bad:
            return undecodable(bad)
    return Failure(exc)


def _split(portions: list[Portion], done: int) -> tuple[list[Portion], list[Portion]]:
    """The portions of the first so many messages, and those of the others."""
    before: list[Portion] = []
    after: list[Portion] = []
    for portion in portions:
        payloads = portion.run.payloads()
        if done:
            before.append(Portion(portion.lane, run_of(payloads[:done]), portion.received_at))
        if done < len(payloads):
            after.append(Portion(portion.lane, run_of(payloads[done:]), portion.received_at))
        done = max(0, done - len(payloads))
    return before, after


def _count_results(portions: list[Portion], outcomes: Sequence[object]) -> list[int]:
    """How many results each portion has, where some outcomes are None."""
    found = []
    start = 0
    for portion in portions:
        count = portion.run.count
        # Not by `count(None)`, which would ask the results whether they equal it.
        found.append(sum([outcome is not None for outcome in outcomes[start : start + count]]))
        start += count
    return found


def deliver_apart(portions: list[Portion], kind: Kind, outcomes: Sequence[object]) -> None:
    """Have each endpoint's books take its own outcomes."""
    start = 0
    for portion in portions:
        payloads = portion.run.payloads()
        read = Read(payloads, kind, portion.received_at)
        portion.lane.books.deliver(read, payloads, outcomes[start : start + len(payloads)])
        start += len(payloads)


class Pools:
    """The pools of a worker, by what the messages in them want.

    Args:
        outbox: the worker's.
        clock: the loop.
        on_flush: told of how many reads have been dealt with together.
    """

    def __init__(self, outbox: Outbox, clock: Clock, on_flush: Callable[[int], object] | None = None) -> None:
        self._outbox = outbox
        self._clock = clock
        self._on_flush = on_flush
        self._pools: dict[Hashable, Pool] = {}

    def find(self, wish: Wish, envelope: bool, linger_s: float) -> Pool:
        """The pool for messages that want that."""
        key = (wish.key, envelope, linger_s)
        pool = self._pools.get(key)
        if pool is None:
            work = (
                PooledPassThrough(self._outbox, envelope, self._clock)
                if wish.decoder is None
                else PooledWork(wish.decoder, wish.function, self._outbox, envelope, self._clock)
            )
            pool = self._pools[key] = Pool(work, linger_s, self._clock, self._on_flush)
        return pool
