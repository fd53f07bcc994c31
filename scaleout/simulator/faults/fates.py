"""What befalls a connection, and when: it follows from the knobs and a seed."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable

from msgspec import Struct

from scaleout.simulator.faults.knobs import Faults


class End(enum.Enum):
    """What may befall a connection."""

    CLOSE = "close"
    RESET = "reset"
    EOF = "eof"
    INVALID_UTF8 = "invalid_utf8"
    OVERSIZED = "oversized"
    BAD_FRAME = "bad_frame"
    SILENCE = "silence"
    GOODBYE = "goodbye"


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
    return [*_ends(faults, rng), *_troubles(faults)]


def _ends(faults: Faults, rng: random.Random) -> list[Fate]:
    how = End.CLOSE if rng.random() < 0.5 else End.RESET
    if faults.disconnect != "either":
        how = End(faults.disconnect)
    share = rng.uniform(1 - faults.disconnect_jitter, 1 + faults.disconnect_jitter)
    found = []
    if faults.close_at_once:
        found.append(Fate(how, after_s=0.0))
    if faults.disconnect_after:
        found.append(Fate(how, after_messages=max(1, round(faults.disconnect_after * share))))
    if faults.disconnect_every_s:
        end_s = faults.disconnect_every_s * share
        if faults.goodbye_before_s:
            found.append(Fate(End.GOODBYE, after_s=max(0.0, end_s - faults.goodbye_before_s)))
        found.append(Fate(how, after_s=end_s))
    return found


def _troubles(faults: Faults) -> list[Fate]:
    found = []
    if faults.invalid_utf8_after:
        found.append(Fate(End.INVALID_UTF8, after_messages=faults.invalid_utf8_after))
    if faults.oversized_after:
        found.append(Fate(End.OVERSIZED, after_messages=faults.oversized_after))
    if faults.bad_frame:
        found.append(Fate(End.BAD_FRAME, after_messages=faults.bad_frame_after))
    if faults.silence_after:
        found.append(Fate(End.SILENCE, after_messages=faults.silence_after))
    if faults.silence_after_s:
        found.append(Fate(End.SILENCE, after_s=faults.silence_after_s))
    return found
