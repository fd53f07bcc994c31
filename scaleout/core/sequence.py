"""Finds gaps, repeats and steps back in numbered messages, at the speed of the message path.

Every numbered message goes on from where the one before it ended, and says so in one of three ways: its number is
one more than the last; the *first* number that it covers is (Binance: `U` and `u`); or it names the *previous*
number itself (`pu`; OKX: `prevSeqId`). In each case it has a *start*, which must be what the last one left as
expected, and leaves a number that is expected next. So looking at a message that is in order is one comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, repeat

import msgspec

from scaleout.core.fields import Field, Path, field_reader, row_reader

Key = str | int | None
Row = tuple[int | None, int | None, Key]
"""Of a message: its start, its number (it isn't numbered if one of them is None) and its key."""

_UNSEEN = object()


class Gap(msgspec.Struct, frozen=True):
    """Messages that are missing: the next should have started with `expected`, but did with `got`."""

    key: str | None
    expected: int
    got: int
    reconnected: bool = False
    """Whether the connection was opened anew in between: what is missing may have been sent meanwhile."""

    @property
    def missed(self) -> int:
        """How many numbers are missing: at least 1, and where numbers aren't dense no count of messages."""
        return max(1, self.got - self.expected)


class Findings(msgspec.Struct):
    """What is wrong with the numbers of a batch of messages."""

    gaps: list[tuple[int, Gap]] = []
    """Each with the index of the message before which something is missing."""
    repeats: int = 0
    backwards: int = 0


class SequenceTracker:
    """Follows the numbers of one endpoint's messages, for each key on its own.

    Numbers are integers, in quotes or not. A message without one of the numbers that are asked for (an
    acknowledgement, a heartbeat, one of another channel) is passed over. What happens to a message that doesn't
    start with what is expected:

    - It starts later: a gap, and the sequence goes on from there.
    - It starts earlier but ends later: it overlaps what is known, and the sequence goes on from its end.
    - It ends where the last one did: a repeat.
    - It ends earlier: a step backwards, or a repeat if it is one of ranges (`first`). The sequence goes on from
      there, as the server may have started over; if then a message comes that is at or after what was expected
      before the step, it was an old message that came late, and the sequence goes on from before the step.
    - Its `previous` number is negative (a snapshot): the sequence starts over.

    Args:
        sequence: path of a message's number; its last one if it covers a range.
        key: path of what tells independent sequences apart; messages without it are one sequence.
        first: path of the first number that a message covers.
        previous: path of the number of the message before; if given, `first` isn't looked at.
        max_keys: how many keys are remembered; those added least recently are forgotten.
    """

    def __init__(
        self,
        sequence: str,
        key: str | None = None,
        first: str | None = None,
        previous: str | None = None,
        *,
        max_keys: int = 100_000,
    ) -> None:
        number = _number_field(sequence)
        self._names_previous = bool(previous)
        self._covers_ranges = bool(first) and not previous
        self._step = 0 if previous else 1
        self._max_keys = max_keys
        self._numbers = field_reader(number) if not (key or first or previous) else None
        start = _number_field(previous or first or sequence)
        self._rows = row_reader(start, number, Field(Path(key) if key else None, Key, _to_key))
        self._expected: dict[Key, int] = {}
        self._before_step_back: dict[Key, int] = {}
        self._before_restart: dict[Key, int] = {}

    def track(self, payloads: list[bytes]) -> Findings:
        """Look at the next messages, in order."""
        if self._numbers is None:
            return self._follow(self._rows.read(payloads))
        numbers = self._numbers.read(payloads)
        expected = self._expected.get(None)
        if expected is not None and numbers == list(range(expected, expected + len(numbers))):
            self._expected[None] = expected + len(numbers)
            return Findings()
        return self._follow(zip(numbers, numbers, repeat(None)))

    @property
    def expected(self) -> dict[Key, int]:
        """What each key's next message should start with; to be looked at, not to be changed."""
        return self._expected

    @property
    def carried(self) -> dict[Key, int]:
        """What another tracker has to know to go on in the place of this one."""
        return self._before_restart | self._expected

    def resume(self, expected: Iterable[tuple[Key, int]]) -> None:
        """Go on from what another tracker expected, as after a `restart` of it."""
        self._before_restart = dict(expected)

    def restart(self) -> None:
        """A connection begins: each key's next message may be any earlier one, but a jump ahead is still a gap."""
        self._before_restart |= self._expected
        self._expected = {}
        self._before_step_back = {}

    def _follow(self, rows: Iterable[Row]) -> Findings:
        findings = Findings()
        expected_of, step = self._expected, self._step
        for index, (start, number, key) in enumerate(rows):
            if number is None:
                continue
            if expected_of.get(key, _UNSEEN) == start:
                expected_of[key] = number + step
            elif start is not None:
                self._judge(findings, index, key, start, number)
        return findings

    def _judge(self, findings: Findings, index: int, key: Key, start: int, number: int) -> None:
        """Find out what a message is that doesn't start with what is expected."""
        after = number + self._step
        expected = self._expected.get(key)
        is_first = expected is None
        if expected is None:
            expected = self._before_restart.pop(key, None)
            self._make_room()
        self._expected[key] = after
        if expected is None or (self._names_previous and start < 0):
            self._before_step_back.pop(key, None)
            return
        highest = max(expected, self._before_step_back.pop(key, expected))
        if start >= highest:
            expected = highest
        if start > expected:
            findings.gaps.append((index, Gap(None if key is None else str(key), expected, start, is_first)))
        elif start < expected and not is_first:
            if after < highest:
                self._before_step_back[key] = highest
            if after == expected or (after < expected and self._covers_ranges):
                findings.repeats += 1
            elif after < expected:
                findings.backwards += 1

    def _make_room(self) -> None:
        """Forget a tenth of the keys when there are too many: one at a time would be slow."""
        if len(self._expected) + len(self._before_restart) >= self._max_keys:
            oldest = self._before_restart or self._expected
            for key in list(islice(oldest, max(1, self._max_keys // 10))):
                del oldest[key]
                self._before_step_back.pop(key, None)


def _number_field(path: str) -> Field[int | None]:
    return Field(Path(path), int | None, _to_number)


def _to_number(value: object) -> int | None:
    try:
        return msgspec.convert(value, int | None, strict=False)
    except msgspec.ValidationError:
        is_padded = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 4000
        return int(value) if isinstance(value, str) and is_padded else None


def _to_key(value: object) -> Key:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str) or type(value) is int:
        return value
    return msgspec.json.encode(value).decode()
