"""The generator as a program: takes what to do as JSON, prints its port, and serves until its input ends."""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from bench.generator.server import Server, Start


def main() -> None:
    """Serve."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    if start.core is not None:
        os.sched_setaffinity(0, {start.core})
    server = Server(start)
    print(server.port, flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.buffer.read()
    # Threads that are in the middle of sending need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
