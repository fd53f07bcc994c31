"""The generator as a program: takes what to do as JSON, prints its port, and serves until its input ends."""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from bench.generator.server import Server, Start
from bench.limits import raise_file_limit


def main() -> None:
    """Serve."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    if start.core is not None:
        os.sched_setaffinity(0, {start.core})
    raise_file_limit()
    server = Server(start)
    print(server.port, flush=True)
    threading.Thread(target=_await_end, daemon=True).start()
    server.serve()


def _await_end() -> None:
    sys.stdin.buffer.read()
    # Threads that are in the middle of sending need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
