"""Latencies of lines that arrive in pieces, and percentiles."""

from __future__ import annotations

import os

import msgspec
import pytest

from bench.sides.line_reader import Begin, Chunk, End, Reader, Reading, evaluate, latencies, percentiles

MS = 1_000_000


def line(received_at: int, due: int) -> bytes:
    return msgspec.json.encode({"endpoint": "a", "received_at": received_at, "data": {"at": due}}) + b"\n"


def test_a_line_counts_from_the_chunk_that_ends_it() -> None:
    first, second = line(200, 100), line(400, 300)
    chunks = [Chunk(1_000, 1, first + second[:10]), Chunk(2_000, 1, second[10:])]
    assert latencies(chunks, 0) == ([900, 1_700], [800, 1_600])


def test_what_was_due_before_is_left_out() -> None:
    chunks = [Chunk(1_000, 2, line(200, 100) + line(400, 300))]
    assert latencies(chunks, 200) == ([700], [600])


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    found = percentiles([number * MS for number in range(1_000, 0, -1)])
    assert found is not None
    assert (found.p50, found.p99, found.p999, found.largest) == (500.0, 990.0, 999.0, 1_000.0)
    assert percentiles([]) is None


def test_a_rate_is_that_after_the_beginning() -> None:
    chunks = [Chunk(0, 100, b""), Chunk(10**9, 20, b""), Chunk(3 * 10**9, 20, b"")]
    reading = evaluate(chunks, 1.0, 0.1, 3.0)
    assert reading.lines == 140
    assert reading.per_s == pytest.approx(20.0)
    assert reading.from_due is None


def test_the_reader_waits_for_all_that_was_sent() -> None:
    near, far = os.pipe()
    try:
        reader = Reader(near)
        assert reader.obey(Begin(keeps_lines=True)) == ""
        os.write(far, line(200, 100))
        os.write(far, line(400, 300))
        reading = msgspec.json.decode(reader.obey(End(2, 0.0)), type=Reading)
        assert reading.lines == 2
    finally:
        os.close(near)
        os.close(far)


def test_the_reader_does_not_wait_for_a_run_that_has_ended() -> None:
    near, far = os.pipe()
    try:
        os.write(far, line(200, 100))
        os.close(far)
        reader = Reader(near)
        reading = msgspec.json.decode(reader.obey(End(2, 0.0)), type=Reading)
        assert reading.lines == 1
        assert reader.is_over
    finally:
        os.close(near)
