"""Workers that do nothing but fill their results pipes, with a batch that a real outbox has made once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import cast

import msgspec
import uvloop

from scaleout import spawning
from scaleout.channel import Channel
from scaleout.core.wire import Command
from scaleout.worker.outbox import FLUSH_BYTES, Outbox
from scaleout.worker.tray import Tray

LINE = (
    b'{"endpoint":"feed0","received_at":1767225600000000000,'
    b'"data":{"seq":1000000,"symbol":"BTC-USDT","worth":2725.249175}}\n'
)


class Load(msgspec.Struct, frozen=True):
    """What they send."""

    seconds: float
    endpoints: int
    """Of each worker, all of which are in each of its batches."""
    core: int | None


def fake_workers(*pipes_and_load: Connection | Load) -> None:
    """Entry point of the process that plays all of them: the workers' ends of their pipes, then the load."""
    *pipes, load = pipes_and_load
    spawning.begin_child()
    assert isinstance(load, Load)
    if load.core is not None:
        os.sched_setaffinity(0, {load.core})
    uvloop.run(_replay(cast(Sequence[Connection], pipes), load))


async def _replay(pipes: Sequence[Connection], load: Load) -> None:
    loop = asyncio.get_running_loop()
    batches = [
        await record(range(number * load.endpoints, (number + 1) * load.endpoints))
        for number in range(len(pipes))
    ]
    over = asyncio.Event()
    loop.call_later(load.seconds, over.set)
    fillers = []
    for pipe, batch in zip(pipes, batches, strict=True):
        end = socket.socket(fileno=os.dup(pipe.fileno()))
        pipe.close()
        end.setblocking(False)
        filler = Filler(batch)
        await loop.create_connection(lambda filler=filler: filler, sock=end)  # type: ignore[misc]
        fillers.append(filler)
    await over.wait()
    await asyncio.gather(*(filler.finish() for filler in fillers))


async def record(slots: Sequence[int]) -> bytes:
    """A batch with results of these endpoints as it crosses the pipe: sent by a worker's own outbox."""
    near, far = Pipe(duplex=True)
    channel: Channel[Command] = await Channel.open(
        near, Command, lambda command, body: None, lambda exc: None
    )
    outbox = Outbox()
    outbox.send_through(channel)
    each = max(1, FLUSH_BYTES // len(LINE) // len(slots))
    outbox.hold()
    for slot in slots:
        tray = Tray(slot)
        tray.received = tray.delivered = tray.results = each
        tray.bytes = each * 131
        outbox.put(tray, (LINE * each,), 0)
    outbox.let_go()
    with far, socket.socket(fileno=os.dup(far.fileno())) as end:
        end.setblocking(False)
        sent, _ = await asyncio.gather(_read_all(end), channel.close())
    return sent


async def _read_all(end: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while block := await loop.sock_recv(end, 2**20):
        data += block
    return data


class Filler(asyncio.Protocol):
    """Writes a batch over and over, whenever the other side takes it."""

    def __init__(self, batch: bytes) -> None:
        self._batch = batch
        self._is_writable = True
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._fill()

    def _fill(self) -> None:
        while self._is_writable:
            self._transport.write(self._batch)

    def pause_writing(self) -> None:
        """The other side lags."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self._is_writable = True
        if not self._transport.is_closing():
            self._fill()

    async def finish(self) -> None:
        """Let the last batch go out whole, and close."""
        self._transport.close()
        await self._gone.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """All is sent."""
        self._gone.set()
