"""picows and msgspec on uvloop, in one process: all in its callback."""

from __future__ import annotations

from picows import WSFrame, WSListener, WSTransport, ws_connect

from bench.sides.jobs import Job
from bench.sides.peer import Leave, client_context, measure
from bench.sides.result import Task, main


class Listener(WSListener):
    """One connection.

    The kind of a frame is not looked at, which costs and which the benchmark's generator makes superfluous: it
    sends whole texts alone.
    """

    def __init__(self, job: Job) -> None:
        self._take = job.take

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._take(frame.get_payload_as_bytes())


async def connect(task: Task, job: Job) -> Leave:
    """Open a connection."""
    transport, _ = await ws_connect(lambda: Listener(job), task.uri, ssl_context=client_context(task))
    if job.gate is not None:
        job.gate.close = transport.underlying_transport.pause_reading
        job.gate.open = transport.underlying_transport.resume_reading

    def leave() -> None:
        transport.underlying_transport.abort()

    return leave


if __name__ == "__main__":
    main(lambda task: measure(task, connect))
