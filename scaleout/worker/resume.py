"""Where an endpoint was left, by a cursor in its messages, so that the next connection goes on from there.

Most cursors are inclusive: what comes first is the last message once more. Messages with the last value are known
by their digests, and such a repeat is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from scaleout.config import Cursor
from scaleout.core.fields import Field, Path, field_reader
from scaleout.core.frames import Kind
from scaleout.core.marks import CursorMark
from scaleout.worker.gaps import GapWatch
from scaleout.worker.inlet import Inlet

MAX_DIGESTS = 1_000
"""Of messages with the same value."""
MARK_EVERY = 64
"""Messages between two marks, at the most: so many of each read may come once more after a worker's death."""

CursorValue = str | int | float


class Resume:
    """Follows an endpoint's cursor.

    Args:
        cursor: where it is in the messages, and where it goes at a connect.
        mark: where the endpoint was left before.
        inlet: takes the messages that are no repeats.
        watch: takes them before, where numbers are watched.
    """

    def __init__(
        self, cursor: Cursor, mark: CursorMark | None, inlet: Inlet, watch: GapWatch | None = None
    ) -> None:
        self._cursor = cursor
        self._value = field_reader(Field(Path(cursor.field), CursorValue | None, _to_cursor))
        self.mark = mark
        """Where the endpoint was left."""
        self._inlet = inlet
        self._next = inlet if watch is None else watch
        self._may_repeat = False

    @property
    def value(self) -> CursorValue | None:
        """Where the endpoint was left; None: nowhere yet."""
        return self.mark.value if self.mark is not None else None

    def uri(self, uri: str) -> str:
        """The URI to connect to."""
        parameter = self._cursor.parameter
        if parameter is None or self.mark is None:
            return uri
        parts = urlsplit(uri)
        # What else there is stays as it is written: feeds differ in what they take.
        others = [pair for pair in parts.query.split("&") if pair and _name_of(pair) != parameter]
        return urlunsplit(parts._replace(query="&".join([*others, urlencode({parameter: self.mark.value})])))

    def begin(self) -> None:
        """A connection was opened, from where the cursor stands."""
        self._may_repeat = self.mark is not None

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read from the connection."""
        if self._may_repeat:
            rest = self._drop_repeats(payloads)
            if not rest:
                return
            if len(rest) < len(payloads):
                payloads, joined = rest, b"\n".join(rest)
        if len(payloads) <= MARK_EVERY:
            self._hand_on(payloads, joined, kind, received_at)
            return
        for start in range(0, len(payloads), MARK_EVERY):
            part = payloads[start : start + MARK_EVERY]
            if self._hand_on(part, b"\n".join(part), kind, received_at) < len(part):
                break  # the run's limit: what comes after isn't received

    def _hand_on(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> int:
        """Hand messages on, and a mark behind them; returns how many were received."""
        count = self._next.receive(payloads, joined, kind, received_at)
        mark = self._mark_after(payloads[:count])
        if mark is not None:
            self.mark = mark
            self._inlet.stage.in_turn(partial(self._inlet.books.mark, mark))
        return count

    def _drop_repeats(self, payloads: list[bytes]) -> list[bytes]:
        mark = self.mark
        assert mark is not None
        repeats: list[bytes] = []
        rest: list[bytes] = []
        for index, payload in enumerate(payloads):
            value = self._value.read_one(payload)
            if value is not None and value != mark.value:
                self._may_repeat = False
                rest += payloads[index:]
                break
            is_repeat = value is not None and _digest(payload) in mark.digests
            (repeats if is_repeat else rest).append(payload)
        if repeats:
            self._inlet.note_duplicates(repeats)
        return rest

    def _mark_after(self, payloads: Sequence[bytes]) -> CursorMark | None:
        """Where the endpoint stands after these messages; None: where it stood before."""
        last: CursorValue | None = None
        digests: list[bytes] = []
        for payload in reversed(payloads):
            value = self._value.read_one(payload)
            if value is None:
                continue
            if last is not None and value != last:
                break
            last = value
            if len(digests) < MAX_DIGESTS:
                digests.append(_digest(payload))
        else:
            if last is not None and self.mark is not None and self.mark.value == last:
                digests += self.mark.digests
        if last is None:
            return None
        return CursorMark(self._inlet.books.tray.slot, last, tuple(digests[:MAX_DIGESTS]))


def _to_cursor(value: object) -> CursorValue | None:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=8).digest()
