"""websockets and msgspec on uvloop, in one process: `recv`, decode, process, encode; output is only counted."""

from __future__ import annotations

import asyncio
import time

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.sides.result import WARM_UP_S, Numbers, SideResult, check_numbers, main, own_peak_rss_bytes
from bench.workload import Fill, Trade, on_trade


class Reader:
    """One connection."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.messages = 0
        self.output_bytes = 0
        self.last: Fill | None = None

    async def read(self, connection: ClientConnection) -> None:
        """Receive until cancelled."""
        decode = msgspec.json.Decoder(Trade).decode
        encode = msgspec.json.Encoder().encode_into
        buffer = bytearray(1024)
        receive = connection.recv
        while True:
            fill = on_trade(decode(await receive(decode=False)))
            encode(fill, buffer)
            self.output_bytes += len(buffer)
            if not self.messages:
                self.numbers.first = fill.seq
            self.messages += 1
            self.last = fill

    def finish(self) -> None:
        """Note what was received."""
        self.numbers.count = self.messages
        if self.last is not None:
            self.numbers.last = self.last.seq


async def _measure(uris: list[str], seconds: float) -> SideResult:
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    readers = [Reader() for _ in uris]
    # Without a proxy or compression; a longer queue than the usual one pauses the transport less often.
    connections = [await connect(uri, compression=None, proxy=None, max_queue=1024) for uri in uris]
    tasks = [
        asyncio.create_task(reader.read(connection))
        for reader, connection in zip(readers, connections, strict=True)
    ]
    await asyncio.sleep(WARM_UP_S)
    received = sum(reader.messages for reader in readers)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await asyncio.wait(tasks, timeout=seconds)
    ended_cpu_s, ended_s = time.process_time(), time.perf_counter()
    messages = sum(reader.messages for reader in readers) - received
    for reader in readers:
        reader.finish()
    ended = [task.exception() for task in tasks if task.done()]
    for task, connection in zip(tasks, connections, strict=True):
        task.cancel()
        connection.transport.abort()
    return SideResult(
        messages=messages,
        cpu_s=ended_cpu_s - cpu_s,
        messages_per_s=messages / (ended_s - wall_s),
        receiving_s=ended_s - began_s,
        used_cpu_s=ended_cpu_s - began_cpu_s,
        output_bytes=sum(reader.output_bytes for reader in readers),
        peak_rss_bytes=own_peak_rss_bytes(),
        faults=[f"a connection ended: {problem!r}" for problem in ended]
        + check_numbers([reader.numbers for reader in readers]),
    )


def measure(uris: list[str], spare: list[str], seconds: float) -> SideResult:
    """Receive from all URIs for that time."""
    return uvloop.run(_measure(uris, seconds))


if __name__ == "__main__":
    main(measure)
