"""The least that the job takes in Python: bare sockets, msgspec and the function, in a loop that does nothing else.

There is no event loop, no control frame, no look at the text, no envelope, no books, no other process and no
output: what comes is cut into messages by scaleout's scanner, and the lines made of them are counted. What a client
in Python takes beyond that is its own.
"""

from __future__ import annotations

import base64
import select
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from bench.sides.expectation import Tally, load_processor
from bench.sides.meter import Meter
from bench.sides.peer import check
from bench.sides.result import SideResult, Task, main, own_peak_rss_bytes
from scaleout.core.frames import NO_LIMIT
from scaleout.core.runs import find_run

READ_BYTES = 2**18
TIMEOUT_S = 10.0
"""A generator that sends nothing for so long is stuck."""
_END_OF_HEADERS = b"\r\n\r\n"


class Connection:
    """One connection, and what has been made of its messages.

    Args:
        uri: where to, without TLS.
        processor: MODULE:FUNCTION.
    """

    def __init__(self, uri: str, processor: str) -> None:
        self._function, wanted = load_processor(processor)
        self._decode = msgspec.json.Decoder(wanted).decode
        self._encode = msgspec.json.Encoder().encode_lines
        self._room = bytearray(READ_BYTES)
        self._view = memoryview(self._room)
        self._filled = 0
        """Bytes of a frame whose rest is still to come."""
        self._messages = self._output_bytes = 0
        self._lines = b""
        parts = urlsplit(uri)
        assert parts.hostname is not None and parts.port is not None
        self.socket = socket.create_connection((parts.hostname, parts.port), TIMEOUT_S)
        try:
            self._shake_hands(parts.netloc, parts.path or "/")
        except BaseException:
            self.socket.close()
            raise

    def _shake_hands(self, host: str, path: str) -> None:
        key = base64.b64encode(bytes(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while _END_OF_HEADERS not in self._room:
            self._fill()
        response, _, rest = bytes(self._view[: self._filled]).partition(_END_OF_HEADERS)
        if not response.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"no upgrade: {response[:200]!r}")
        self._keep(rest)

    def _fill(self) -> None:
        size = self.socket.recv_into(self._view[self._filled :])
        if not size:
            raise ConnectionError("the other side has gone, or sent a frame that is no whole short message")
        self._filled += size

    def _keep(self, rest: bytes) -> None:
        self._filled = len(rest)
        self._room[: self._filled] = rest

    def take(self) -> None:
        """Deal with what one read brings; waits for it."""
        self._fill()
        data = bytes(self._view[: self._filled])
        run = find_run(data, 0, NO_LIMIT)
        if run is None:
            return
        self._keep(data[run.stop :])
        self._lines = self._encode(list(map(self._function, map(self._decode, run.payloads()))))
        self._output_bytes += len(self._lines)
        self._messages += run.count

    def tally(self) -> Tally:
        """What there has been so far."""
        last = self._lines.splitlines()[-1] if self._lines else b""
        return Tally(self._messages, self._output_bytes, last)


def measure(task: Task) -> SideResult:
    """Receive on all connections, whichever has something."""
    assert task.processor is not None
    connections = [Connection(task.uri, task.processor) for _ in range(task.feed.connections)]
    _receive(connections, task.warm_up_s)
    before = sum(connection.tally().messages for connection in connections)
    meter = Meter(task)
    _receive(connections, task.seconds)
    usage = meter.usage()
    for connection in connections:
        connection.socket.close()
    tallies = [connection.tally() for connection in connections]
    return SideResult(
        messages=sum(tally.messages for tally in tallies) - before,
        usage=usage,
        output_bytes=sum(tally.output_bytes for tally in tallies),
        peak_rss_bytes=own_peak_rss_bytes(),
        faults=check(task, tallies, None),
    )


def _receive(connections: Sequence[Connection], seconds: float) -> None:
    by_descriptor = {connection.socket.fileno(): connection for connection in connections}
    poll = select.poll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for descriptor, _ in poll.poll(TIMEOUT_S * 1000):
            by_descriptor[descriptor].take()


if __name__ == "__main__":
    main(measure)
