"""The sink on standard output."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from scaleout.errors import SinkClosedError, SinkError
from scaleout.sinks.stdout import StdoutSink

HEAD = """
import sys
from scaleout.errors import SinkClosedError
from scaleout.sinks.stdout import StdoutSink

sink = StdoutSink()
sink.open()
try:
    while True:
        sink.write([b"line\\n" * 1000])
except SinkClosedError:
    sys.exit(7)
"""


def test_writes_and_leaves_the_descriptor_open(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sink = StdoutSink()
    sink.open()
    sink.write([b"1\n", memoryview(b"2\n")])
    sink.close()
    os.fstat(1)
    assert capfdbinary.readouterr().out == b"1\n2\n"


def test_a_reader_that_leaves_ends_it_for_good() -> None:
    writer = subprocess.Popen([sys.executable, "-c", HEAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"line\n"
        writer.stdout.close()
        _, problems = writer.communicate(timeout=10)
        assert (writer.returncode, problems) == (7, b"")
    finally:
        writer.kill()
        writer.wait(10)


def test_a_failure_can_be_continued(
    tmp_path: Path, faulty_writev: Callable[[Sequence[int]], AbstractContextManager[object]]
) -> None:
    with open(tmp_path / "out", "wb") as file, faulty_writev([4, -errno.ENOSPC]):
        sink = StdoutSink(file.fileno())
        with pytest.raises(SinkError, match="standard output: No space left on device") as caught:
            sink.write([b"1\n234\n"])
        assert not isinstance(caught.value, SinkClosedError)
        sink.write([b"1\n234\n"])
    assert (tmp_path / "out").read_bytes() == b"1\n234\n"


def test_a_terminal_that_hung_up_is_closed_for_good() -> None:
    controller, terminal = os.openpty()
    try:
        os.close(controller)
        with pytest.raises(SinkClosedError):
            StdoutSink(terminal).write([b"1\n"])
    finally:
        os.close(terminal)


def test_a_closed_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(SinkError, match="it is closed"):
        StdoutSink().open()
