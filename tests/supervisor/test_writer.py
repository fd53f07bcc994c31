"""The writer: in order, once, whatever the sink does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.errors import SinkClosedError, SinkError
from scaleout.supervisor.writer import SinkWriter

Run = Callable[[Awaitable[Any]], Any]
MakeSink = Callable[..., Any]


class Heard:
    """What the writer called back with, in order."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool]] = []
        self.closed = 0

    def on_closed(self) -> None:
        self.closed += 1

    def callback(self, number: int) -> Callable[[bool], None]:
        return lambda written: self.answers.append((number, written))


def write(writer: SinkWriter, heard: Heard, *numbers: int) -> None:
    for number in numbers:
        writer.write((b"%d;" % number, memoryview(b"\n")), heard.callback(number))


def written(*numbers: int) -> bytes:
    return b"".join(b"%d;\n" % number for number in numbers)


def test_what_waits_is_written_together_and_in_order(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        sink, heard = scripted_sink(), Heard()
        sink.gate.clear()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, *range(100))
        assert writer.pending_bytes == len(written(*range(100)))
        sink.gate.set()
        await writer.drain()
        assert sink.writes == [written(0), written(*range(1, 100))]
        assert heard.answers == [(number, True) for number in range(100)]
        assert (writer.pending_bytes, heard.closed, sink.opened) == (0, 0, 1)
        await writer.close(10)
        assert sink.is_closed

    run(scenario())


@pytest.mark.parametrize("fault", [SinkError("disk full"), OSError("who knows"), ValueError("a bug")])
def test_a_sink_that_fails_is_tried_again(
    run: Run, scripted_sink: MakeSink, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        sink, heard = scripted_sink(fault, fault, None, fault, open_fault=fault), Heard()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, 1, 2, 3)
        await writer.drain()
        write(writer, heard, 4)
        await writer.drain()
        assert b"".join(sink.writes) == written(1, 2, 3, 4)
        assert heard.answers == [(number, True) for number in (1, 2, 3, 4)]
        assert (sink.opened, heard.closed, writer.is_failing, writer.is_closed) == (2, 0, False, False)
        await writer.close(10)

    run(scenario())
    told = [record.getMessage() for record in caplog.records]
    assert (
        told[1::2] == ["sink scripted works again"] * 3
    )  # once for each trouble, however often it was tried


@pytest.mark.parametrize("when", ["open", "write"])
def test_a_reader_that_has_gone(run: Run, scripted_sink: MakeSink, when: str) -> None:
    async def scenario() -> None:
        gone = SinkClosedError("gone")
        sink = scripted_sink(gone) if when == "write" else scripted_sink(open_fault=gone)
        heard = Heard()
        sink.gate.clear()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, 1, 2, 3)
        sink.gate.set()
        await writer.drain()
        write(writer, heard, 4)
        assert heard.answers == [(number, False) for number in (1, 2, 3, 4)]
        assert (heard.closed, writer.is_closed, writer.pending_bytes, sink.writes) == (1, True, 0, [])
        await writer.close(10)

    run(scenario())


def test_what_is_written_before_the_reader_goes_is_written(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        sink, heard = scripted_sink(None, SinkClosedError("gone")), Heard()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, 1)
        await writer.drain()
        write(writer, heard, 2)
        await writer.drain()
        assert heard.answers == [(1, True), (2, False)]
        await writer.close(10)

    run(scenario())


def test_a_callback_may_write_more(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        sink, heard = scripted_sink(), Heard()
        writer = SinkWriter(sink, heard.on_closed)

        def more(ok: bool) -> None:
            heard.callback(1)(ok)
            write(writer, heard, 2)
            write(writer, heard, 3)

        writer.write((b"1;\n",), more)
        await writer.drain()
        assert b"".join(sink.writes) == written(1, 2, 3)
        assert heard.answers == [(1, True), (2, True), (3, True)]
        await writer.close(10)

    run(scenario())


def test_closing_writes_what_is_left(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        sink, heard = scripted_sink(), Heard()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, *range(10))
        await writer.close(10)
        assert b"".join(sink.writes) == written(*range(10))
        assert len(heard.answers) == 10
        assert sink.is_closed

    run(scenario())


@pytest.mark.parametrize("is_failing", [False, True])
def test_closing_does_not_wait_for_a_stuck_sink(run: Run, scripted_sink: MakeSink, is_failing: bool) -> None:
    sinks = []

    async def scenario() -> None:
        sink, heard = scripted_sink(*[SinkError("full")] * 1000 * is_failing), Heard()
        sinks.append(sink)
        if not is_failing:
            sink.gate.clear()
        writer = SinkWriter(sink, heard.on_closed)
        write(writer, heard, 1, 2)
        await writer.close(0.02)
        assert (heard.answers, heard.closed, sink.writes) == ([], 0, [])  # in flight: nobody knows
        assert writer.pending_bytes == len(written(1, 2))
        assert sink.thread.daemon

    run(scenario())
    (sink,) = sinks
    sink.gate.set()
    sink.thread.join(10)
    assert not sink.thread.is_alive()


@pytest.mark.parametrize("fault", [SinkError("not complete"), RuntimeError("a bug")])
def test_a_sink_that_fails_to_close(
    run: Run, scripted_sink: MakeSink, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        sink = scripted_sink()
        sink.close_fault = fault
        writer = SinkWriter(sink, Heard().on_closed)
        async with asyncio.timeout(10):
            await writer.close(1000)

    run(scenario())
    assert str(fault) in caplog.text
