"""What becomes of an endpoint's messages: counted, encoded, or kept as dead letters."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.wire import DeadLetter
from scaleout.errors import Reject
from scaleout.worker.decoding import Read
from scaleout.worker.encoding import LineEncoder, Lines
from scaleout.worker.outbox import Outbox, Tray

MAX_TRACEBACK_CHARS = 8_000


class Failure:
    """Stands in the place of a result that there isn't."""

    __slots__ = ("exception",)

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception


class Books:
    """What an endpoint's pipeline reports of its messages: counts, dead letters, encoded results."""

    def __init__(self, slot: int, endpoint: Endpoint, outbox: Outbox, envelope: bool) -> None:
        self.endpoint = endpoint.name
        self.tray = Tray(slot)
        self._outbox = outbox
        self._linger_s = endpoint.linger
        self.encoder = LineEncoder(endpoint.name, envelope)

    def post(self, lines: Lines = ()) -> None:
        """Hand the tray, and lines that belong to it, to the outbox."""
        self._outbox.put(self.tray, lines, self._linger_s)

    def dead_letter(self, read: Read, payload: bytes, stage: str, exception: BaseException) -> None:
        """Count a message as dead, and keep it."""
        self.tray.dead_lettered += 1
        expected = stage == "decode" or isinstance(exception, Reject)
        self._outbox.put_dead_letter(
            DeadLetter(
                slot=self.tray.slot,
                stage=stage,
                reason=reason_of(exception, stage),
                payload=payload,
                is_text=read.kind is Kind.TEXT,
                received_at=read.received_at,
                traceback=None if expected else traceback_of(exception),
            )
        )

    def deliver(self, read: Read, payloads: Sequence[bytes], outcomes: Sequence[object]) -> None:
        """Take the outcome of each payload: a result, None, a `Failure`, or an iterator of results."""
        if _PLAIN_TYPES.issuperset(map(type, outcomes)) or _are_plain(outcomes):
            try:
                lines = self.encoder.encode(outcomes, read.received_at)
            except Exception:
                pass  # one of them can't be encoded: find it
            else:
                self.tray.delivered += len(payloads)
                self.tray.results += len(outcomes)
                self.post(lines)
                return
        for payload, outcome in zip(payloads, outcomes, strict=True):
            self._deliver_one(read, payload, outcome)

    def _deliver_one(self, read: Read, payload: bytes, outcome: object) -> None:
        try:
            if isinstance(outcome, Failure):
                raise outcome.exception
            results = list(outcome) if isinstance(outcome, Iterator) else [outcome]
            results = [result for result in results if result is not None]
            lines = self.encoder.encode(results, read.received_at) if results else ()
        except BaseException as exc:  # a processor may raise anything, also while it is iterated
            self.dead_letter(read, payload, "process", exc)
            self.post()
            return
        if results:
            self.tray.delivered += 1
            self.tray.results += len(results)
        else:
            self.tray.filtered += 1
        self.post(lines)

    def deliver_batch(self, read: Read, payloads: Sequence[bytes], outcome: object) -> None:
        """Take the outcome of a batch as a whole: an iterable of results, None, or a `Failure`."""
        try:
            if isinstance(outcome, Failure):
                raise outcome.exception
            results = [result for result in cast(Iterable[object], outcome or ()) if result is not None]
            lines = self.encoder.encode(results, read.received_at) if results else ()
        except BaseException as exc:  # a processor may raise anything, also while it is iterated
            for payload in payloads:
                self.dead_letter(read, payload, "process", exc)
            self.post()
            return
        if results:
            self.tray.delivered += len(payloads)
            self.tray.results += len(results)
        else:
            self.tray.filtered += len(payloads)
        self.post(lines)


_PLAIN_TYPES: set[type] = set()
"""Types of results that have been seen to be neither None nor iterators."""

_MANY_TYPES = 256


def _are_plain(outcomes: Sequence[object]) -> bool:
    types = set(map(type, outcomes))
    if type(None) in types or Failure in types or any(issubclass(kind, Iterator) for kind in types):
        return False
    if len(_PLAIN_TYPES) < _MANY_TYPES:
        _PLAIN_TYPES.update(types)
    return True


def reason_of(exception: BaseException, stage: str) -> str:
    """Why a message is dead, in one line."""
    try:
        text = " ".join(str(exception).split())
    except Exception:
        text = ""
    if isinstance(exception, Reject) or (stage == "decode" and text):
        return text or "rejected"
    return f"{type(exception).__name__}: {text}" if text else type(exception).__name__


def traceback_of(exception: BaseException) -> str:
    """The exception's traceback, its end where it is very long."""
    try:
        return "".join(traceback.format_exception(exception))[-MAX_TRACEBACK_CHARS:]
    except Exception:
        return type(exception).__name__
