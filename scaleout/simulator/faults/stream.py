"""What befalls the messages of an endpoint, at the same place on every connection."""

from __future__ import annotations

import random

from scaleout.simulator.faults.knobs import Faults

_GARBAGE = (b"<html>%d</html>", b'{"seq":%d,', b"\xc2\xa7 %d", b"%d}", b"not json %d")
_STEP_BACK = 3


class StreamFaults:
    """Which messages of one endpoint are left out, repeated, cut in pieces or followed by something else.

    A message's number decides, so that it is the same for every connection and in every run with the seed.
    """

    _BLOCK = 1024

    def __init__(self, faults: Faults, seed: int, stream: int) -> None:
        self._faults = faults
        self._seed = seed
        self._stream = stream
        self._block = -1
        self._random_garbage: frozenset[int] = frozenset()

    def has_garbage_after(self, sequence: int) -> bool:
        """Whether a garbage message follows this message."""
        if _is_nth(sequence, self._faults.garbage_every):
            return True
        return bool(self._faults.garbage_share) and self._draws_garbage(sequence)

    def has_ping(self, sequence: int) -> bool:
        """Whether a ping goes with this message."""
        return _is_nth(sequence, self._faults.ping_every)

    def pieces(self, sequence: int) -> int:
        """In how many frames this message goes."""
        every = self._faults.fragment_every
        return 2 + (sequence // every + self._stream) % 3 if _is_nth(sequence, every) else 1

    def garbage(self, sequence: int) -> bytes:
        """The garbage after this message: text that no JSON parser takes, and that is never repeated."""
        return _GARBAGE[sequence % len(_GARBAGE)] % sequence

    def sent_for(self, sequence: int) -> list[int]:
        """The numbers of the messages that go in the place of this one."""
        numbers = [] if _is_nth(sequence, self._faults.skip_every) else [sequence]
        if numbers and _is_nth(sequence, self._faults.repeat_every):
            numbers.append(sequence)
        if _is_nth(sequence, self._faults.step_back_every) and sequence >= _STEP_BACK:
            numbers.append(sequence - _STEP_BACK)
        return numbers

    def _draws_garbage(self, sequence: int) -> bool:
        block = sequence // self._BLOCK
        if block != self._block:
            rng = random.Random(f"{self._seed}/{self._stream}/{block}")
            share = self._faults.garbage_share
            self._random_garbage = frozenset(n for n in range(self._BLOCK) if rng.random() < share)
            self._block = block
        return sequence % self._BLOCK in self._random_garbage


def numbers_sent(faults: Faults, first: int | None, last: int | None) -> list[int]:
    """The numbers of the messages that a connection was sent, in order, from what its record says."""
    if first is None or last is None:
        return []
    stream = StreamFaults(faults, 0, 0)
    return [number for sequence in range(first, last + 1) for number in stream.sent_for(sequence)]


def _is_nth(sequence: int, every: int) -> bool:
    return bool(every) and (sequence + 1) % every == 0
