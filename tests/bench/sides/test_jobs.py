"""What peers do with messages, without any connection."""

from __future__ import annotations

import asyncio
import io

import msgspec
import pytest

from bench.feed import Feed
from bench.sides.expectation import Expectation, Line
from bench.sides.jobs import BATCH_MESSAGES, HIGH_WATER, make_job
from bench.sides.result import Task

TASK = Task(
    "ws://localhost/", Feed(), "each", "bench.workload:on_trade", "bench.workload:on_trade", 0.1, 0.1, 1
)
PASSING = msgspec.structs.replace(TASK, kind="pass", processor=None, reference=None)
AWAITING = msgspec.structs.replace(TASK, kind="async", processor="bench.workload:enrich")
EXPECTATION = Expectation(TASK)
MESSAGES = Expectation(PASSING).cycle()


def test_a_processed_message_is_counted_with_its_result() -> None:
    job = make_job(TASK, 0)
    for message in MESSAGES[:10]:
        job.take(message)
    tally = job.tally()
    assert tally.messages == 10
    assert tally.last == EXPECTATION.result(9)
    assert tally.output_bytes == sum(len(EXPECTATION.result(number)) for number in range(10))


def test_messages_that_pass_are_written_in_batches_with_an_envelope() -> None:
    output = io.BytesIO()
    job = make_job(PASSING, 3, output)
    count = BATCH_MESSAGES + 5
    for message in MESSAGES[:count]:
        job.take(message)
    assert job.tally().messages == BATCH_MESSAGES
    job.finish()
    job.finish()
    lines = msgspec.json.Decoder(Line).decode_lines(output.getvalue())
    assert [bytes(line.data) for line in lines] == MESSAGES[:count]
    assert {line.endpoint for line in lines} == {"feed-00003"}
    assert job.tally()[:2] == (count, len(output.getvalue()))


def test_what_is_no_json_does_not_pass() -> None:
    job = make_job(PASSING, 0, io.BytesIO())
    job.take(b"garbage")
    with pytest.raises(msgspec.DecodeError):
        job.finish()


def test_awaited_results_come_in_order_and_too_many_close_the_gate() -> None:
    async def run() -> None:
        job = make_job(AWAITING, 0)
        assert job.gate is not None
        said: list[str] = []
        job.gate.close, job.gate.open = lambda: said.append("close"), lambda: said.append("open")
        for message in MESSAGES[:HIGH_WATER]:
            job.take(message)
        assert said == ["close"]
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        await asyncio.sleep(0)
        assert said == ["close", "open"]
        assert job.tally().last == EXPECTATION.result(HIGH_WATER - 1)
        job.take(MESSAGES[0])
        job.finish()
        assert job.tally().messages == HIGH_WATER

    asyncio.run(run())
