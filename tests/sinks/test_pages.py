"""The system is asked to forget what was written, in steps, and not while the disk lags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaleout.sinks.file import FileSink
from scaleout.sinks.pages import PAUSE_S, SLOW_S, STEP_BYTES
from tests.sinks.conftest import Clock

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise")

LINE = b"x" * (STEP_BYTES // 4 - 1) + b"\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[list[tuple[int, int]]]:
    """What was asked for: begin and end; each request takes as long as the last item of `takes_s`."""
    requests: list[tuple[int, int]] = []

    def advise(fd: int, offset: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        requests.append((offset, offset + length))
        clock.now_s += takes_s[0]

    takes_s[0] = 0.0
    monkeypatch.setattr(os, "posix_fadvise", advise)
    yield requests


takes_s = [0.0]

Write = Callable[[int], None]


@pytest.fixture
def write(tmp_path: Path, clock: Clock) -> Iterator[Write]:
    sink = FileSink(tmp_path / "out.jsonl", monotonic=clock)

    def write(lines: int) -> None:
        for _ in range(lines):
            sink.write([LINE])

    yield write
    sink.close()


def test_all_is_asked_for_twice_in_steps(asked: list[tuple[int, int]], write: Write) -> None:
    write(3)
    assert asked == []
    write(9)
    assert asked == [(0, STEP_BYTES), (0, 2 * STEP_BYTES), (STEP_BYTES, 3 * STEP_BYTES)]


def test_a_disk_that_lags_is_left_alone_for_a_while(
    asked: list[tuple[int, int]], write: Write, clock: Clock
) -> None:
    takes_s[0] = 2 * SLOW_S
    write(12)
    assert asked == [(0, STEP_BYTES)]
    clock.now_s += PAUSE_S
    write(1)
    assert asked[1:] == [(0, 13 * len(LINE))], "what was written meanwhile, too"


def test_what_is_read_soon_and_what_is_no_file_is_left_alone(
    asked: list[tuple[int, int]], tmp_path: Path, clock: Clock
) -> None:
    for sink in (FileSink(tmp_path / "out", is_read_soon=True), FileSink(Path("/dev/null"))):
        for _ in range(8):
            sink.write([LINE])
        sink.close()
    assert asked == []
