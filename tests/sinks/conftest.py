"""Stand-ins for the clock and for a system that takes bytes in pieces, or refuses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from unittest import mock

import pytest

Refusals = Sequence[int]
"""What each call of writev does in turn: a positive number takes at most so many bytes, a negative fails."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def faulty_writev() -> Callable[[Refusals], AbstractContextManager[object]]:
    """Make `os.writev` behave as told, once for each number, and as usual after that."""

    def patch(refusals: Refusals) -> AbstractContextManager[object]:
        real = os.writev
        steps: Iterator[int] = iter(refusals)

        def writev(fd: int, buffers: Sequence[bytes | memoryview]) -> int:
            step = next(steps, 0)
            if step < 0:
                raise OSError(-step, os.strerror(-step))
            if step == 0:
                return real(fd, buffers)
            return os.write(fd, b"".join(buffers)[:step])

        return mock.patch("os.writev", writev)

    return patch
