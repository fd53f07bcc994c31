"""Talks with helper processes of the benchmarks: a line of JSON there, a line back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from bench.errors import BenchError

Answer = TypeVar("Answer")

END_WITHIN_S = 30.0


class Helper:
    """A module of `bench.sides` that obeys its standard input, and answers on its standard output."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._name = name
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def tell(self, command: msgspec.Struct) -> None:
        """Say what is to be done."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"{self._name} is gone") from None

    def hear(self) -> bytes:
        """The next line.

        Raises:
            BenchError: the helper has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._name} has ended with exit code {self._process.wait()}")
        return line

    def ask(self, command: msgspec.Struct, answer: type[Answer]) -> Answer:
        """Say what is to be done, and wait for what comes of it."""
        self.tell(command)
        return msgspec.json.decode(self.hear(), type=answer)


@contextmanager
def helper(name: str, arguments: Sequence[str], core: int | None) -> Iterator[Helper]:
    """Run a module of `bench.sides`; leaving closes its input, which ends it."""
    command = [sys.executable, "-m", f"bench.sides.{name}", *arguments]
    if core is not None:
        command += ["--core", str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Helper(name, process)
        except BaseException:
            process.kill()
            raise
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise BenchError(f"{name} does not end") from None
