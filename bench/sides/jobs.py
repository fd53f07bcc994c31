"""What a peer does with a message, whatever library received it: functions with all they need at hand.

A function of its own costs 30 ns a message more than the same lines in the library's callback, and a closure's
variables save as much again on an object's attributes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import msgspec

from bench.sides.expectation import Tally, load_processor
from bench.sides.result import Task

BATCH_MESSAGES = 512
"""How many lines are written at once."""


HIGH_WATER, LOW_WATER = 1_000, 250
"""Calls of an awaited processor under way above which a connection is held back, and below which it goes on."""


class Gate:
    """Holds a connection back; a library whose receiving is awaited needs no such thing."""

    def __init__(self) -> None:
        self.close: Callable[[], None] = lambda: None
        self.open: Callable[[], None] = lambda: None


class Job(NamedTuple):
    """One connection's."""

    take: Callable[[bytes], None]
    """Called with each message."""
    tally: Callable[[], Tally]
    finish: Callable[[], None]
    """Called when no more will come."""
    gate: Gate | None = None
    """Where it may be too much for the job."""


def make_job(task: Task, index: int, output: BinaryIO | None = None) -> Job:
    """The job of a connection.

    Args:
        task: what for.
        index: the connection's.
        output: where lines go, where messages pass.
    """
    if task.processor is None:
        assert output is not None
        return passing(f"feed-{index:05}", output)
    processor, wanted = load_processor(task.processor)
    return awaiting(processor, wanted) if task.kind == "async" else processing(processor, wanted)


def processing(processor: Callable[[Any], Any], wanted: Any) -> Job:
    """Decode, process, encode; the output is counted."""
    decode = msgspec.json.Decoder(wanted).decode
    encode_into = msgspec.json.Encoder().encode_into
    buffer = bytearray(1024)
    messages = output_bytes = 0

    def take(payload: bytes) -> None:
        nonlocal messages, output_bytes
        encode_into(processor(decode(payload)), buffer)
        output_bytes += len(buffer)
        messages += 1

    return Job(take, lambda: Tally(messages, output_bytes, bytes(buffer)), lambda: None)


def awaiting(processor: Callable[[Any], Any], wanted: Any) -> Job:
    """Decode, await the processor as a task, and encode the results in order; the output is counted."""
    decode = msgspec.json.Decoder(wanted).decode
    encode_into = msgspec.json.Encoder().encode_into
    create_task = asyncio.get_running_loop().create_task
    buffer = bytearray(1024)
    messages = output_bytes = 0
    pending: deque[asyncio.Task[Any]] = deque()
    gate = Gate()

    def take(payload: bytes) -> None:
        task = create_task(processor(decode(payload)))
        pending.append(task)
        task.add_done_callback(reap)
        if len(pending) == HIGH_WATER:
            gate.close()

    def reap(_: asyncio.Task[Any]) -> None:
        nonlocal messages, output_bytes
        while pending and pending[0].done():
            encode_into(pending.popleft().result(), buffer)
            output_bytes += len(buffer)
            messages += 1
            if len(pending) == LOW_WATER:
                gate.open()

    def finish() -> None:
        for task in pending:
            task.cancel()
        pending.clear()

    return Job(take, lambda: Tally(messages, output_bytes, bytes(buffer)), finish, gate)


def passing(name: str, output: BinaryIO) -> Job:
    """Check that it is JSON, and write it with an envelope; a batch has one time, and takes four calls."""
    check = msgspec.json.Decoder(msgspec.Raw).decode_lines
    payloads: list[bytes] = []
    append = payloads.append
    messages = output_bytes = 0

    def take(payload: bytes) -> None:
        append(payload)
        if len(payloads) == BATCH_MESSAGES:
            flush()

    def flush() -> None:
        nonlocal messages, output_bytes
        if not payloads:
            return
        check(b"\n".join(payloads))
        head = b'{"endpoint":"%b","received_at":%d,"data":' % (name.encode(), time.time_ns())
        output_bytes += output.write(head + (b"}\n" + head).join(payloads) + b"}\n")
        messages += len(payloads)
        payloads.clear()

    return Job(take, lambda: Tally(messages, output_bytes, b""), flush)
