"""What becomes of an endpoint's messages: counted, encoded, or kept as dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from types import NoneType
from typing import cast

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.ledger import Entry
from scaleout.core.marks import CursorMark
from scaleout.core.wire import DeadLetter
from scaleout.errors import Reject
from scaleout.logs import EndpointLogger
from scaleout.monitor.text import plural
from scaleout.worker.decoding import Read
from scaleout.worker.encoding import LineEncoder, Lines, encode_lines, types_of
from scaleout.worker.outbox import Outbox
from scaleout.worker.telling import Telling
from scaleout.worker.tray import Tray
from scaleout.worker.words import named, text_of, traceback_of


class Failure:
    """Stands in the place of a result that there isn't.

    It keeps words alone: the exception would keep the whole read alive, through its traceback.

    Args:
        exception: why.
        expected: exceptions that explain themselves, without their type's name and a traceback.
        stage: where it happened, `decode` or `process`.
    """

    __slots__ = ("reason", "stage", "traceback")

    def __init__(
        self,
        exception: BaseException,
        expected: tuple[type[BaseException], ...] = (Reject,),
        stage: str = "process",
    ) -> None:
        self.stage = stage
        is_expected = isinstance(exception, expected)
        said = text_of(exception) if is_expected else ""
        self.reason = said or named(exception)
        self.traceback = None if is_expected else traceback_of(exception)
        # One exception that is raised again and again would drag a traceback along that grows each time.
        BaseException.with_traceback(exception, None)


Fate = list[object] | Failure
"""What a message has come to: its results (none: it is filtered out), or why it is dead."""


class Books:
    """What an endpoint's pipeline reports of its messages: counts, dead letters, encoded results."""

    def __init__(
        self,
        slot: int,
        endpoint: Endpoint,
        outbox: Outbox,
        envelope: bool,
        logger: EndpointLogger | None = None,
    ) -> None:
        self.config = endpoint
        self.endpoint = endpoint.name
        self.tray = Tray(slot)
        self.outbox = outbox
        self.envelope = envelope
        self.undecodable = 0
        """Messages that could not be decoded, so far."""
        self._linger_s = endpoint.linger
        self._encoder = LineEncoder(endpoint.name, envelope)
        self.log = logger or EndpointLogger(endpoint.name, ())
        self._dead = Telling(TELL_EVERY_S)

    @property
    def head(self) -> bytes:
        """What a line's envelope begins with."""
        return self._encoder.head

    def encode(self, results: Sequence[object], received_at: int) -> Lines:
        """Results as lines, in their envelopes where these are wanted.

        Raises:
            Exception: whatever msgspec says of the first result that can't be encoded.
        """
        return self._encoder.encode(results, received_at)

    @contextmanager
    def in_one_batch(self) -> Iterator[None]:
        """While the endpoint is to move, send what is posted in one batch with the hashes that belong to it."""
        if self.tray.tails is None:
            yield
            return
        self.outbox.hold()
        try:
            yield
        finally:
            self.outbox.let_go()

    def post(self, lines: Lines = ()) -> None:
        """Hand the tray, and lines that belong to it, to the outbox."""
        self.outbox.put(self.tray, lines, self._linger_s)

    def dead_letter(self, read: Read, payload: bytes, failure: Failure) -> None:
        """Count a message as dead, tell of it unless that was done just now, and keep it; `post` is to follow."""
        self.tray.dead_lettered += 1
        self.undecodable += failure.stage == "decode"
        self.keep(
            DeadLetter(
                slot=self.tray.slot,
                stage=failure.stage,
                reason=failure.reason,
                payload=payload,
                is_text=read.kind is Kind.TEXT,
                received_at=read.received_at,
                traceback=failure.traceback,
            )
        )

    def keep(self, letter: DeadLetter) -> None:
        """Keep a dead letter that is counted, and tell of it unless that was done just now."""
        count = self._dead.count()
        if count:
            reason = self.log.redact(letter.reason)
            self.log.warning(
                "%s, the last: %s (stage %s)", plural(count, "dead letter"), reason, letter.stage
            )
        self.outbox.put_dead_letter(letter)

    def adopt(self, entry: Entry, letters: Sequence[DeadLetter], lines: Lines) -> None:
        """Take what has become of messages in another process: counts, dead letters, encoded results."""
        tray = self.tray
        tray.delivered += entry.delivered
        tray.filtered += entry.filtered
        tray.dead_lettered += entry.dead_lettered
        tray.results += entry.results
        for letter in letters:
            self.keep(letter)
            self.undecodable += letter.stage == "decode"
        self.post(lines)

    def insert(self, line: bytes) -> None:
        """Put a line of this program's own into the output, behind the results so far."""
        self.tray.results += 1
        self.post((line,))

    def mark(self, cursor: CursorMark) -> None:
        """Note how far the endpoint has come with what was delivered so far."""
        self.tray.cursor = cursor
        self.post()

    def deliver_lines(self, read: Read, count: int, lines: bytes) -> None:
        """Take results that are JSON lines already, one for each of `count` messages."""
        self.tray.delivered += count
        self.tray.results += count
        self.post(self._encoder.wrap(lines, read.received_at))

    def deliver(self, read: Read, payloads: Sequence[bytes], outcomes: Sequence[object]) -> None:
        """Take the outcome of each payload: a result, None, a `Failure`, or an iterator of results."""
        results = single_results(outcomes)
        if results is None:
            self._deliver_mixed(read, payloads, outcomes)
            return
        try:
            lines = self._encoder.encode(results, read.received_at)
        except Exception:  # one of them can't be encoded: find it
            self._deliver_mixed(read, payloads, outcomes)
            return
        if _size(lines) > MAX_RESULTS_BYTES:
            self._deliver_mixed(read, payloads, outcomes)
            return
        self.tray.delivered += len(results)
        self.tray.filtered += len(payloads) - len(results)
        self.tray.results += len(results)
        self.post(lines)

    def _deliver_mixed(self, read: Read, payloads: Sequence[bytes], outcomes: Sequence[object]) -> None:
        fates = list(map(fate_of, outcomes))
        try:
            lines = encode_lines([*chain.from_iterable(fate for fate in fates if isinstance(fate, list))])
        except Exception:
            lines = _encode_each(fates)
        if len(lines) > MAX_RESULTS_BYTES:
            if len(payloads) > 1:
                for payload, fate in zip(payloads, fates, strict=True):
                    self._deliver_mixed(read, [payload], [iter(fate) if isinstance(fate, list) else fate])
                return
            fates, lines = [_too_large(len(lines))], b""
        tray = self.tray
        for payload, fate in zip(payloads, fates, strict=True):
            if isinstance(fate, Failure):
                self.dead_letter(read, payload, fate)
            elif fate:
                tray.delivered += 1
                tray.results += len(fate)
            else:
                tray.filtered += 1
        self.post(self._encoder.wrap(lines, read.received_at))

    def deliver_batch(self, read: Read, payloads: Sequence[bytes], outcome: object) -> None:
        """Take the outcome of a batch as a whole: an iterable of results, None, or a `Failure`."""
        fate = fate_of_batch(outcome)
        lines: Lines = ()
        if not isinstance(fate, Failure):
            try:
                lines = self._encoder.encode(fate, read.received_at)
            except Exception as exc:
                fate = Failure(exc)
            if (size := _size(lines)) > MAX_RESULTS_BYTES:
                fate, lines = _too_large(size), ()
        tray = self.tray
        if isinstance(fate, Failure):
            for payload in payloads:
                self.dead_letter(read, payload, fate)
        elif fate:
            tray.delivered += len(payloads)
            tray.results += len(fate)
        else:
            tray.filtered += len(payloads)
        self.post(lines)


TELL_EVERY_S = 60.0
"""Between two log lines about dead letters of an endpoint."""

_PLAIN_TYPES: set[type] = set()
"""Types of results that have been seen to be neither None nor iterators."""

_MANY_TYPES = 256

MAX_RESULTS = 1_000_000
"""Of one call of a processor; an iterator that goes on must not fill the memory."""

MAX_RESULTS_BYTES = 256 * 2**20
"""Of one call's results, encoded: they have to fit through the channel."""


def _size(lines: Lines) -> int:
    return sum(map(len, lines))


def _too_large(size: int) -> Failure:
    reason = f"results of {size:,} bytes, more than the {MAX_RESULTS_BYTES:,} that one call may come to"
    return Failure(ValueError(reason), (ValueError,))


def _are_plain(types: set[type]) -> bool:
    if types <= _PLAIN_TYPES:
        return True
    if NoneType in types or any(issubclass(kind, Failure | Iterator) for kind in types):
        return False
    if len(_PLAIN_TYPES) < _MANY_TYPES:
        _PLAIN_TYPES.update(types)
    return True


def single_results(outcomes: Sequence[object]) -> Sequence[object] | None:
    """The outcomes that aren't None, if each is one result."""
    types = types_of(outcomes)
    if _are_plain(types):
        return outcomes
    if NoneType not in types or not _are_plain(types - {NoneType}):
        return None
    return [outcome for outcome in outcomes if outcome is not None]


def fate_of(outcome: object) -> Fate:
    """What a message has come to, by what its processor returned."""
    if outcome is None:
        return []
    if isinstance(outcome, Failure):
        return outcome
    if type(outcome) in _PLAIN_TYPES or not isinstance(outcome, Iterator):
        return [outcome]
    return _collect(outcome)


def fate_of_batch(outcome: object) -> Fate:
    """What a batch has come to, by what its processor returned."""
    if outcome is None:
        return []
    if isinstance(outcome, Failure):
        return outcome
    if isinstance(outcome, str | bytes | Mapping):
        what = f"a batch's results come as a list or another iterable, found {type(outcome).__name__}"
        return Failure(TypeError(what), (TypeError,))
    return _collect(cast(Iterable[object], outcome))


def _collect(results: Iterable[object]) -> Fate:
    try:
        found = list(islice(results, MAX_RESULTS + 1))
        if len(found) > MAX_RESULTS:
            raise ValueError(
                f"more than {MAX_RESULTS:,} results of one call; is it an iterator without an end?"
            )
        return [result for result in found if result is not None]
    except BaseException as exc:  # a processor may raise anything, also while it is iterated
        return Failure(exc)


def _encode_each(fates: list[Fate]) -> bytes:
    """Encode the results of one message after the other; what can't be encoded becomes a failure."""
    lines: list[bytes] = []
    for index, fate in enumerate(fates):
        if isinstance(fate, list):
            try:
                lines.append(encode_lines(fate))
            except Exception as exc:
                fates[index] = Failure(exc)
    return b"".join(lines)
