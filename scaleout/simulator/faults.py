"""What goes wrong on request: a Struct of knobs, and the decisions that follow from them and a seed.

Two kinds. Faults *of the stream* (garbage, fragments, pings) belong to message numbers: every connection to
an endpoint sees them at the same place. Faults *of a connection* end it, or what can be read on it, at some
point of its own life; until then it was sent whole messages, all of which a client must account for.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

_GARBAGE = (b"<html>%d</html>", b'{"seq":%d,', b"\xc2\xa7 %d", b"%d}", b"not json %d")


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs; by default nothing goes wrong. Counts are in messages, and 0 means never."""

    garbage_every: int = 0
    """After every nth message comes one more text message that is not JSON."""
    garbage_share: float = 0.0
    """The same at random places: so many garbage messages per message, from 0 to 1."""
    fragment_every: int = 0
    """Every nth message is sent in 2 to 4 frames."""
    ping_every: int = 0
    """After every nth message (or, where that one is fragmented, inside it) comes a ping."""

    disconnect_after: int = 0
    """A connection ends after so many messages."""
    disconnect_every_s: float = 0.0
    """A connection ends so long after it opened, in seconds."""
    disconnect_jitter: float = 0.0
    """From 0 to 1: each connection's share of both limits is drawn from [1 - jitter, 1 + jitter]."""
    disconnect: Literal["close", "reset", "either"] = "close"
    """How: a closing handshake after all that was sent before, a TCP reset (which may destroy what is under
    way), or one of both, drawn for each connection."""
    disconnect_code: int = 1001
    """Close code of a closing handshake."""

    invalid_utf8_after: int = 0
    """After so many messages comes a text frame that is not UTF-8, and then nothing."""
    oversized_after: int = 0
    """After so many messages comes a message of `oversized_bytes`, and then nothing."""
    oversized_bytes: int = 5 * 2**20
    silence_after: int = 0
    """After so many messages nothing is sent any more; the connection stays open."""
    silence_after_s: float = 0.0
    """The same so long after a connection opened, in seconds."""
    first_connections: int = 0
    """The faults of a connection befall only each endpoint's first so many connections; 0: all of them."""

    handshake_delay_s: float = 0.0
    """The answer to a handshake takes so long, in seconds."""
    refuse_first: int = 0
    """The first so many handshakes of each endpoint are refused."""
    refuse_share: float = 0.0
    """So many of the other handshakes are refused at random, from 0 to 1."""
    refuse_status: int = 503
    """HTTP status of a refusal."""
    retry_after_s: int | None = None
    """`Retry-After` of a refusal, in whole seconds."""

    @property
    def of_stream(self) -> bool:
        """Whether any message may be followed by something else or be cut in pieces."""
        return bool(self.garbage_every or self.garbage_share or self.fragment_every or self.ping_every)


class End(enum.Enum):
    """What may befall a connection."""

    CLOSE = "close"
    RESET = "reset"
    INVALID_UTF8 = "invalid_utf8"
    OVERSIZED = "oversized"
    SILENCE = "silence"


class Fate(Struct, frozen=True):
    """What will befall a connection, after so many messages or seconds, whichever is first."""

    end: End
    after_messages: int | None = None
    after_s: float | None = None


class Pending:
    """The fates that a connection has still before it."""

    def __init__(self, fates: Iterable[Fate]) -> None:
        self._fates = list(fates)

    @property
    def next_after_messages(self) -> int | None:
        """After how many messages in all the next one comes; None: none does."""
        return min(
            (fate.after_messages for fate in self._fates if fate.after_messages is not None), default=None
        )

    def take_at(self, messages: int) -> list[Fate]:
        """Take out those that come after exactly so many messages."""
        return self._take([fate for fate in self._fates if fate.after_messages == messages])

    def take_until(self, age_s: float) -> list[Fate]:
        """Take out those that come up to an age of the connection."""
        return self._take(
            [fate for fate in self._fates if fate.after_s is not None and fate.after_s <= age_s]
        )

    def _take(self, taken: list[Fate]) -> list[Fate]:
        self._fates = [fate for fate in self._fates if fate not in taken]
        return taken


def fates(faults: Faults, connection: int, rng: random.Random) -> list[Fate]:
    """What will befall a connection.

    Args:
        faults: the knobs.
        connection: the connection's number at its endpoint, from 0.
        rng: used for this connection alone.
    """
    if faults.first_connections and connection >= faults.first_connections:
        return []
    drawn = End.CLOSE if rng.random() < 0.5 else End.RESET
    how = {"close": End.CLOSE, "reset": End.RESET, "either": drawn}[faults.disconnect]
    share = rng.uniform(1 - faults.disconnect_jitter, 1 + faults.disconnect_jitter)
    found = []
    if faults.disconnect_after:
        found.append(Fate(how, after_messages=max(1, round(faults.disconnect_after * share))))
    if faults.disconnect_every_s:
        found.append(Fate(how, after_s=faults.disconnect_every_s * share))
    if faults.invalid_utf8_after:
        found.append(Fate(End.INVALID_UTF8, after_messages=faults.invalid_utf8_after))
    if faults.oversized_after:
        found.append(Fate(End.OVERSIZED, after_messages=faults.oversized_after))
    if faults.silence_after:
        found.append(Fate(End.SILENCE, after_messages=faults.silence_after))
    if faults.silence_after_s:
        found.append(Fate(End.SILENCE, after_s=faults.silence_after_s))
    return found


def is_refused(faults: Faults, attempt: int, rng: random.Random) -> bool:
    """Whether a handshake is refused.

    Args:
        faults: the knobs.
        attempt: the handshake's number at its endpoint, from 0.
        rng: used for this handshake alone.
    """
    return attempt < faults.refuse_first or rng.random() < faults.refuse_share


class StreamFaults:
    """Which messages of one endpoint are followed by garbage or a ping, or are cut in pieces.

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
        every = self._faults.garbage_every
        if every and (sequence + 1) % every == 0:
            return True
        return bool(self._faults.garbage_share) and self._draws_garbage(sequence)

    def has_ping(self, sequence: int) -> bool:
        """Whether a ping goes with this message."""
        every = self._faults.ping_every
        return bool(every) and (sequence + 1) % every == 0

    def pieces(self, sequence: int) -> int:
        """In how many frames this message goes."""
        every = self._faults.fragment_every
        if not every or (sequence + 1) % every:
            return 1
        return 2 + (sequence // every + self._stream) % 3

    def garbage(self, sequence: int) -> bytes:
        """The garbage after this message: text that no JSON parser takes, and that is never repeated."""
        return _GARBAGE[sequence % len(_GARBAGE)] % sequence

    def _draws_garbage(self, sequence: int) -> bool:
        block = sequence // self._BLOCK
        if block != self._block:
            rng = random.Random(f"{self._seed}/{self._stream}/{block}")
            share = self._faults.garbage_share
            self._random_garbage = frozenset(n for n in range(self._BLOCK) if rng.random() < share)
            self._block = block
        return sequence % self._BLOCK in self._random_garbage
