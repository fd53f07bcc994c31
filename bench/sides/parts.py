"""Times each step of the message path alone, in this process, on the bytes of a busy read; prints JSON.

CPU time of the thread, the least of many repetitions: what else the machine does can only add to it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from websockets.protocol import State

from bench.workload import Trade, on_trade
from scaleout.compiled import ARE_COMPILED
from scaleout.config import Endpoint
from scaleout.core.frames import NO_LIMIT, Kind
from scaleout.core.runs import find_run
from scaleout.simulator.dialects.trade import trade_message
from scaleout.tally import Tally
from scaleout.worker.books import Books
from scaleout.worker.encoding import LineEncoder
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.lane import Lane
from scaleout.worker.outbox import Outbox
from scaleout.worker.pooled import Pools
from scaleout.worker.reading import Reader
from scaleout.worker.stages import build_stage

MESSAGES = 1900
"""As many trades of 131 bytes as a full read of 256 KiB brings."""
CONNECTIONS = 200
REPEATS = 150


class Parts(msgspec.Struct, frozen=True):
    """Nanoseconds of CPU time for a message."""

    is_compiled: bool
    scan: float
    """Payloads cut out of the read."""
    utf8: float
    check: float
    """Is it JSON? By a quick look, or by msgspec where that isn't compiled."""
    decode: float
    """msgspec, to a Struct."""
    process: float
    """A Python function that makes another Struct."""
    encode: float
    """msgspec."""
    envelope: float
    bulk: float
    """All of it, from the read to what goes into the pipe."""
    passed: float
    """The same without a processor."""
    many_read: float
    """A read of one message: until it is noted and gathered."""
    many: float
    """The same until it goes into the pipe, gathered over 200 connections."""


def least(action: Callable[[], object], messages: int) -> float:
    """The least time of an action in ns, by message."""
    found = []
    for _ in range(REPEATS):
        began = time.thread_time_ns()
        action()
        found.append(time.thread_time_ns() - began)
    return min(found) / messages


class _Library:
    state = State.OPEN
    current_size: int | None = None


class _Sink:
    """Stands in the place of the results pipe."""

    is_writable = True

    def send(self, message: object, body: Sequence[object] = ()) -> None:
        """Take a batch, and forget it."""


def _frame(payload: bytes) -> bytes:
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def _readers(count: int, processor: str | None) -> tuple[list[Reader], list[Lane]]:
    """Connections that are open, each of an endpoint of its own, and their lanes into one pool."""
    outbox = Outbox()
    outbox.send_through(_Sink())  # type: ignore[arg-type]
    pools = Pools(outbox, asyncio.get_running_loop())
    intake = Intake(Tally(count), None, lambda: None)
    readers, lanes = [], []
    for slot in range(count):
        endpoint = Endpoint(
            uri=f"ws://127.0.0.1/{slot}", name=f"feed-{slot}", processor=processor, linger=60.0
        )
        books = Books(slot, endpoint, outbox, True)
        stage = build_stage(endpoint, books, lambda message: None)
        inlet = Inlet(books, intake, stage)
        assert stage.wish is not None
        inlet.gather_in(pools.find(stage.wish, True, endpoint.linger))
        assert inlet.lane is not None
        reader = Reader(
            _Library(), NO_LIMIT, _never, _never_other, _never_deliver, _never, _never, lambda: None
        )
        reader.is_upgraded = True
        reader.lane = inlet.lane
        readers.append(reader)
        lanes.append(inlet.lane)
    return readers, lanes


def _never(data: bytes) -> None:
    raise AssertionError


def _never_other(data: bytes, position: int) -> int:
    raise AssertionError


def _never_deliver(payloads: list[bytes], kind: Kind) -> None:
    raise AssertionError


async def _measure() -> Parts:
    payloads = [trade_message(0, 1_000_000 + number) for number in range(MESSAGES)]
    data = b"".join(map(_frame, payloads))
    run = find_run(data, 0, NO_LIMIT)
    assert run is not None
    decode = msgspec.json.Decoder(Trade).decode
    trades = [decode(payload) for payload in payloads]
    fills = [on_trade(trade) for trade in trades]
    encoder = LineEncoder("feed-0", True)
    encode = msgspec.json.Encoder().encode_lines
    lines = encode(fills)
    raw = msgspec.json.Decoder(msgspec.Raw).decode
    processor = "bench.workload:on_trade"
    busy, passing = _readers(1, processor)[0][0], _readers(1, None)[0][0]
    readers, lanes = _readers(CONNECTIONS, processor)
    frames = [_frame(payload) for payload in payloads[:CONNECTIONS]]

    def read_each() -> None:
        for reader, frame in zip(readers, frames, strict=True):
            reader.take(frame)

    def read_and_settle() -> None:
        read_each()
        lanes[0].settle()

    many = least(read_and_settle, CONNECTIONS)

    def check() -> None:
        if run.count_sure() < MESSAGES:
            deque(map(raw, payloads), maxlen=0)

    return Parts(
        is_compiled=ARE_COMPILED,
        scan=least(lambda: find_run(data, 0, NO_LIMIT), MESSAGES),
        utf8=least(run.is_text, MESSAGES),
        check=least(check, MESSAGES),
        decode=least(lambda: deque(map(decode, payloads), maxlen=0), MESSAGES),
        process=least(lambda: deque(map(on_trade, trades), maxlen=0), MESSAGES),
        encode=least(lambda: encode(fills), MESSAGES),
        envelope=least(lambda: encoder.wrap(lines, 1_767_225_600_000_000_000), MESSAGES),
        bulk=least(lambda: busy.take(data), MESSAGES),
        passed=least(lambda: passing.take(data), MESSAGES),
        many_read=_of_reads_alone(read_each, lanes[0]),
        many=many,
    )


def _of_reads_alone(read_each: Callable[[], None], lane: Lane) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.thread_time_ns()
        read_each()
        found.append(time.thread_time_ns() - began)
        lane.settle()
    return min(found) / CONNECTIONS


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    print(msgspec.json.encode(asyncio.run(_measure())).decode())


if __name__ == "__main__":
    main()
