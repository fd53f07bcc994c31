"""websocket-client and orjson, in one process: blocking, a thread a connection; the output is counted."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from dataclasses import dataclass

import orjson
import websocket

from bench.sides.expectation import Tally
from bench.sides.meter import Meter
from bench.sides.peer import check
from bench.sides.result import SideResult, Task, main, own_peak_rss_bytes

SWITCH_INTERVAL_S = 0.02
"""Longer than Python's own: threads that are all busy hand over less often."""


@dataclass(slots=True)
class Trade:
    """A trade, in the type that orjson's users have."""

    seq: int
    symbol: str
    price: float
    size: float
    side: str


@dataclass(slots=True)
class Fill:
    """What becomes of a trade."""

    seq: int
    symbol: str
    worth: float


def on_trade(trade: Trade) -> Fill:
    """The processor of all sides."""
    return Fill(trade.seq, trade.symbol, trade.price * trade.size)


class Reader(threading.Thread):
    """One connection."""

    def __init__(self, task: Task) -> None:
        super().__init__(daemon=True)
        self.messages = 0
        self.output_bytes = 0
        self.last = b""
        self.problem: Exception | None = None
        self.is_left = False
        self._socket = websocket.create_connection(
            task.uri, enable_multithread=False, skip_utf8_validation=True
        )

    def run(self) -> None:
        """Receive until left."""
        receive, loads, dumps = self._socket.recv_data, orjson.loads, orjson.dumps
        try:
            while not self.is_left:
                found = loads(receive()[1])
                trade = Trade(found["seq"], found["symbol"], found["price"], found["size"], found["side"])
                self.last = dumps(on_trade(trade))
                self.output_bytes += len(self.last)
                self.messages += 1
        except Exception as error:
            if not self.is_left:
                self.problem = error

    def leave(self) -> None:
        """Receive nothing more, not even what is waited for."""
        self.is_left = True
        if self._socket.sock is not None:
            with contextlib.suppress(OSError):
                self._socket.sock.shutdown(socket.SHUT_RDWR)


def measure(task: Task) -> SideResult:
    """Receive on all connections."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    readers = [Reader(task) for _ in range(task.feed.connections)]
    for reader in readers:
        reader.start()
    time.sleep(task.warm_up_s)
    before = sum(reader.messages for reader in readers)
    meter = Meter(task)
    time.sleep(task.seconds)
    usage = meter.usage()
    counted = sum(reader.messages for reader in readers) - before
    for reader in readers:
        reader.leave()
    for reader in readers:
        reader.join()
    faults = [f"a connection ended: {reader.problem!r}" for reader in readers if reader.problem is not None]
    tallies = [Tally(reader.messages, reader.output_bytes, reader.last) for reader in readers]
    return SideResult(
        messages=counted,
        usage=usage,
        output_bytes=sum(tally.output_bytes for tally in tallies),
        peak_rss_bytes=own_peak_rss_bytes(),
        faults=faults[:3] + check(task, tallies, None),
    )


if __name__ == "__main__":
    main(measure)
