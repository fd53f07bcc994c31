"""What two connections to one feed have brought lately: the old one's last messages, and all of the next one's."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import compress

from scaleout.core.frames import Kind
from scaleout.worker.identity import Identify, hashes_of

MAX_TAIL = 65_536
MAX_SHADOW = 65_536
"""Messages."""
MAX_SHADOW_BYTES = 64 * 2**20
LONGEST_CUT_S = 5.0
"""For so long, and no longer, the old connection's messages are held."""
CONTEXT = 64
"""Messages of a shadow whose hashes are kept when they are known to be delivered, to align what follows."""

Message = tuple[bytes, Kind, int]
"""Payload, kind and time of receipt."""


class Tail:
    """The hashes of the last messages that the old connection has delivered.

    Args:
        identify: makes the hashes.
    """

    def __init__(self, identify: Identify = hashes_of) -> None:
        self.identify = identify
        self._hashes = array("Q")
        self._times = array("d")

    def __len__(self) -> int:
        return min(len(self._hashes), MAX_TAIL)

    @property
    def hashes(self) -> Sequence[int]:
        """Oldest first."""
        self._trim(MAX_TAIL)
        return self._hashes

    def add(self, payloads: list[bytes], now: float) -> None:
        """Note what was delivered."""
        self.add_hashes(array("Q", self.identify(payloads)), now)

    def add_hashes(self, hashes: array[int], now: float) -> None:
        """Note what was delivered, where only the hashes are known."""
        self._hashes.extend(hashes)
        self._times.extend([now] * len(hashes))
        if len(self._hashes) > 2 * MAX_TAIL:
            self._trim(MAX_TAIL)

    def _trim(self, length: int) -> None:
        self.forget(len(self._hashes) - length)

    def forget(self, first: int) -> None:
        """Leave out so many of the oldest."""
        if first > 0:
            del self._hashes[:first], self._times[:first]

    def forget_older(self, than: float) -> None:
        """Leave out what was delivered before that time."""
        self.forget(bisect_left(self._times, than))

    def leave_out(self, indexes: Collection[int]) -> None:
        """Leave out single messages; nothing can be aligned any more after that."""
        kept = _kept(len(self._hashes), indexes)
        self._hashes = array("Q", compress(self._hashes, kept))
        self._times = array("d", compress(self._times, kept))


class Shadow:
    """What the next connection has brought, and nobody has seen yet.

    Args:
        identify: makes the hashes.
    """

    def __init__(self, identify: Identify = hashes_of) -> None:
        self._identify = identify
        self.hashes = array("Q")
        """Of all its messages; the first ones may be context alone, of messages that are gone."""
        self.messages: list[Message] = []
        self.bytes = 0
        self.total = 0
        """Messages that it ever had."""
        self._times = array("d")

    @property
    def context(self) -> int:
        """How many of the hashes belong to messages that are gone."""
        return len(self.hashes) - len(self.messages)

    @property
    def is_too_large(self) -> bool:
        """Whether it holds more than it may."""
        return len(self.messages) > MAX_SHADOW or self.bytes > MAX_SHADOW_BYTES

    def add(self, payloads: list[bytes], kind: Kind, received_at: int, now: float) -> None:
        """Keep what has come."""
        self.hashes.extend(self._identify(payloads))
        self._times.extend([now] * len(payloads))
        self.messages += [(payload, kind, received_at) for payload in payloads]
        self.bytes += sum(map(len, payloads))
        self.total += len(payloads)

    def take(self, position: int) -> list[bytes]:
        """Take out the messages before a position among the hashes; some of these stay, as context."""
        taken = self._remove(self.messages[: max(0, position - self.context)])
        del self.messages[: len(taken)], self._times[: len(taken)]
        del self.hashes[: max(0, self.context - CONTEXT)]
        return taken

    def take_out(self, indexes: Collection[int]) -> list[bytes]:
        """Take out single messages, and forget the context; nothing can be aligned any more after that."""
        taken = self._remove([self.messages[index] for index in indexes])
        kept = _kept(len(self.messages), indexes)
        self.hashes = array("Q", compress(self.hashes[self.context :], kept))
        self._times = array("d", compress(self._times, kept))
        self.messages = list(compress(self.messages, kept))
        return taken

    def take_all(self) -> list[bytes]:
        """Take out all messages."""
        return self.take(len(self.hashes))

    def forget_context(self) -> None:
        """Leave out the hashes of messages that are gone."""
        del self.hashes[: self.context]

    def take_half(self) -> list[bytes]:
        """Take out the older half of the messages."""
        return self.take(self.context + (len(self.messages) + 1) // 2)

    def hashes_since(self, than: float) -> Sequence[int]:
        """Of the messages that came at that time or later."""
        return self.hashes[self.context + bisect_left(self._times, than) :]

    def take_older(self, than: float) -> list[bytes]:
        """Take out the messages that came before that time."""
        return self.take(self.context + bisect_left(self._times, than))

    def _remove(self, messages: list[Message]) -> list[bytes]:
        payloads = [payload for payload, _, _ in messages]
        self.bytes -= sum(map(len, payloads))
        return payloads


class Cut:
    """What the old connection brings while the next one catches up.

    Args:
        now: when it begins.
    """

    def __init__(self, now: float) -> None:
        self.reads: list[tuple[list[bytes], bytes, Kind, int]] = []
        self._bytes = 0
        self._ends_at = now + LONGEST_CUT_S

    def hold(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Keep a read."""
        self.reads.append((payloads, joined, kind, received_at))
        self._bytes += len(joined)

    def is_over(self, now: float) -> bool:
        """Whether it has lasted too long, or holds too much."""
        return now >= self._ends_at or self._bytes > MAX_SHADOW_BYTES


def _kept(length: int, indexes: Collection[int]) -> bytearray:
    kept = bytearray(b"\1" * length)
    for index in indexes:
        kept[index] = 0
    return kept
