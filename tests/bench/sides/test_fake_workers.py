"""The batch that fake workers replay."""

from __future__ import annotations

import asyncio

from bench.sides.fake_workers import LINE, record
from scaleout.channel import Channel
from scaleout.core.wire import Batch, Result


def test_a_recorded_batch_is_one_that_a_worker_sends() -> None:
    batches: list[tuple[Result, int]] = []
    frame = asyncio.run(record(range(4, 7)))
    channel: Channel[Result] = Channel(
        Result, lambda result, body: batches.append((result, len(body))), lambda exc: None
    )
    while frame:
        place = channel.get_buffer(-1)
        size = min(len(place), len(frame))
        place[:size], frame = frame[:size], frame[size:]
        channel.buffer_updated(size)
    ((batch, size),) = batches
    assert isinstance(batch, Batch)
    assert [entry.slot for entry in batch.all_entries] == [4, 5, 6]
    lines = sum(entry.results for entry in batch.all_entries)
    assert lines == sum(entry.delivered for entry in batch.all_entries) > 3
    assert size == lines * len(LINE)
