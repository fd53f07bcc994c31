"""A peer that holds very many idle connections in one process, as its own documentation would have it.

Runs alone as `python -m bench.sides.idle_peer KIND URI...`: prints an empty line, and connects
after the first line on its standard input; each further line is answered with the `Lag` of its loop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from bench.lag import LagMeter, on_beat
from bench.sides.quiet_server import raise_file_limit

CONNECTING = 100
"""At a time."""

Connect = Callable[[str], Awaitable[object]]
"""Opens a connection; what it gives is kept."""


def _websockets() -> Connect:
    from websockets.asyncio.client import connect

    async def open_one(uri: str) -> object:
        connection = await connect(uri, compression=None, proxy=None)

        async def receive() -> None:
            async for message in connection:
                on_beat(str(message))

        return asyncio.create_task(receive())

    return open_one


def _picows() -> Connect:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                on_beat(frame.get_payload_as_utf8_text())

    async def open_one(uri: str) -> object:
        return await ws_connect(Listener, uri, enable_auto_ping=True, enable_auto_pong=True)

    return open_one


KINDS: dict[str, Callable[[], Connect]] = {"websockets": _websockets, "picows": _picows}
"""What each is imported and connects with."""


async def _hold(connect: Connect, uris: list[str]) -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(flush=True)
    await orders.readline()
    places = asyncio.Semaphore(CONNECTING)

    async def open_one(uri: str) -> object:
        async with places:
            return await connect(uri)

    connections = await asyncio.gather(*map(open_one, uris))
    meter: LagMeter | None = None
    while await orders.readline():
        meter = meter or LagMeter()
        print(msgspec.json.encode(meter.take()).decode(), flush=True)
    del connections
    os._exit(0)  # rather than close so many


def main() -> None:
    """Hold the connections, and obey."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS, metavar="KIND")
    parser.add_argument("uris", nargs="+", metavar="URI")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    raise_file_limit()
    uvloop.run(_hold(KINDS[arguments.kind](), arguments.uris))


if __name__ == "__main__":
    main()
