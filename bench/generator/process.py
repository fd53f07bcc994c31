"""The generator in a process of its own, which ends with this one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import msgspec

from bench.errors import BenchError
from bench.feed import Feed
from bench.generator.server import Start
from scaleout.simulator.certificates import make_certificates


class GeneratorProcess:
    """Serves a feed to one side after the other: `with GeneratorProcess(feed, core) as generator`.

    Args:
        feed: what to send.
        core: to run on; None: any.

    Raises:
        BenchError: it couldn't start.
        MissingExtraError: TLS is wanted and the library that makes certificates isn't installed.
    """

    def __init__(self, feed: Feed, core: int | None = None) -> None:
        self.feed = feed
        self.uri = ""
        self.ca_file: str | None = None
        """What a client has to trust, with TLS."""
        self.pid = 0
        self._core = core
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            certificate = None
            if self.feed.tls:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scaleout-bench-"))
                made = make_certificates(Path(directory), "127.0.0.1")
                self.ca_file, certificate = made.ca_file, made.server_file
            # Leaving closes its input, which ends it.
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "bench.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            assert process.stdin is not None and process.stdout is not None
            start = Start(self.feed, certificate, self._core)
            process.stdin.write(msgspec.json.encode(start) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise BenchError("the generator failed")
            self.pid = process.pid
            self.uri = f"{'wss' if self.feed.tls else 'ws'}://127.0.0.1:{int(line)}/"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()
