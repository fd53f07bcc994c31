"""picows and msgspec on uvloop, in one process: decode, process, encode in its callback; output is only counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSTransport, ws_connect

from bench.sides.result import WARM_UP_S, Numbers, SideResult, check_numbers, main, own_peak_rss_bytes
from bench.workload import Fill, Trade, on_trade


class Listener(WSListener):
    """One connection.

    The kind of a frame is not looked at, which costs and which the benchmark's server makes superfluous: it
    sends text alone.
    """

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.messages = 0
        self.output_bytes = 0
        self.last: Fill | None = None
        self.transport: WSTransport | None = None
        self._decode: Callable[[bytes], Trade] = msgspec.json.Decoder(Trade).decode
        self._encode = msgspec.json.Encoder().encode_into
        self._buffer = bytearray(1024)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        fill = on_trade(self._decode(frame.get_payload_as_bytes()))
        self._encode(fill, self._buffer)
        self.output_bytes += len(self._buffer)
        if not self.messages:
            self.numbers.first = fill.seq
        self.messages += 1
        self.last = fill

    def finish(self) -> None:
        """Receive nothing more."""
        self.numbers.count = self.messages
        if self.last is not None:
            self.numbers.last = self.last.seq
        if self.transport is not None:
            self.transport.underlying_transport.abort()


async def _measure(uris: list[str], seconds: float) -> SideResult:
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    listeners = [Listener() for _ in uris]
    for uri, listener in zip(uris, listeners, strict=True):
        await ws_connect(lambda listener=listener: listener, uri)
    await asyncio.sleep(WARM_UP_S)
    received = sum(listener.messages for listener in listeners)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    ended_cpu_s, ended_s = time.process_time(), time.perf_counter()
    messages = sum(listener.messages for listener in listeners) - received
    for listener in listeners:
        listener.finish()
    return SideResult(
        messages=messages,
        cpu_s=ended_cpu_s - cpu_s,
        messages_per_s=messages / (ended_s - wall_s),
        receiving_s=ended_s - began_s,
        used_cpu_s=ended_cpu_s - began_cpu_s,
        output_bytes=sum(listener.output_bytes for listener in listeners),
        peak_rss_bytes=own_peak_rss_bytes(),
        faults=check_numbers([listener.numbers for listener in listeners]),
    )


def measure(uris: list[str], spare: list[str], seconds: float) -> SideResult:
    """Receive from all URIs for that time."""
    return uvloop.run(_measure(uris, seconds))


if __name__ == "__main__":
    main(measure)
