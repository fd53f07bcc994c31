"""The ways in which a server's bytes may come from the transport: reads that end anywhere in a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, groupby

from tests.worker.conformance.case import Act, Step

MAX_SINGLE_BYTES = 250
"""So much is also read byte by byte."""
MAX_CUT_FRAMES = 200
"""Of longer scripts, so many frames at the beginning and at the end are cut."""

Turn = list[bytes] | Act
"""Some reads, or something that the client does."""

FRAME_BY_FRAME = "frame by frame"


def starts(frames: list[bytes]) -> list[int]:
    """Where each frame begins in the stream."""
    return [0, *accumulate(map(len, frames))][:-1]


def _each(offset_in: Callable[[int], int]) -> Callable[[list[bytes]], Iterable[int]]:
    def positions(frames: list[bytes]) -> list[int]:
        found = [start + offset_in(len(frame)) for start, frame in zip(starts(frames), frames, strict=True)]
        return found[: MAX_CUT_FRAMES // 2] + found[-(MAX_CUT_FRAMES // 2) :]

    return positions


def _pieces(frames: list[bytes]) -> Iterable[int]:
    total = sum(map(len, frames))
    return range(0, total, 61 if total < 20_000 else 16_381)


def _single_bytes(frames: list[bytes]) -> Iterable[int]:
    total = sum(map(len, frames))
    return range(total) if total <= MAX_SINGLE_BYTES else ()


WAYS: dict[str, Callable[[list[bytes]], Iterable[int]]] = {
    "whole": lambda frames: (),
    FRAME_BY_FRAME: starts,
    "cut behind each first byte": _each(lambda size: 1),
    "cut behind each second byte": _each(lambda size: 2),
    "cut in each long header": _each(lambda size: 3 if size < 2**16 else 9),
    "cut in each payload": _each(lambda size: size // 2 + 1),
    "cut before each last byte": _each(lambda size: size - 1),
    "in pieces": _pieces,
    "byte by byte": _single_bytes,
}


def cut(frames: list[bytes], way: str) -> list[bytes]:
    """The reads in which these frames come."""
    stream = b"".join(frames)
    at = sorted({position for position in WAYS[way](frames) if 0 < position < len(stream)})
    return [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]


def turns(script: tuple[Step, ...], way: str) -> list[Turn]:
    """The script with the frames between two acts cut in one of the ways."""
    found: list[Turn] = []
    for is_frame, group in groupby(script, lambda step: isinstance(step, bytes)):
        steps = list(group)
        if is_frame:
            found.append(cut([step for step in steps if isinstance(step, bytes)], way))
        else:
            found += [step for step in steps if not isinstance(step, bytes)]
    return found


def all_turns(script: tuple[Step, ...]) -> Iterator[tuple[str, list[Turn]]]:
    """The script in each way that differs from those before it."""
    seen: list[list[Turn]] = []
    for way in WAYS:
        turned = turns(script, way)
        if turned not in seen:
            seen.append(turned)
            yield way, turned
