"""Where an endpoint was left, for whoever goes on with it."""

from __future__ import annotations

from msgspec import Struct

from scaleout.config import Endpoint


class CursorMark(Struct, frozen=True):
    """How far an endpoint has come, by its cursor."""

    slot: int
    value: str | int | float
    digests: tuple[bytes, ...] = ()
    """Of the messages with that value that have been delivered."""


class NumbersMark(Struct, frozen=True):
    """How far an endpoint's numbered messages have come, where that has changed."""

    slot: int
    expected: tuple[tuple[str | int | None, int], ...]
    """Of each key: the key, and what its next message should start with."""


class Assignment(Struct, frozen=True):
    """An endpoint and its number in this run."""

    slot: int
    endpoint: Endpoint
    cursor: CursorMark | None = None
    """Where it was left."""
    numbers: NumbersMark | None = None
    """What its messages are expected to start with."""
    processors: int = 0
    """How many helper processes it had last."""
