"""A helper process that does not do what it should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.config import Endpoint
from scaleout.core.spreadwire import Answer, Outfit, Portion
from scaleout.worker.spread import process
from scaleout.worker.spread.line import Batch
from scaleout.worker.spread.process import AT_HAND, HelperProcess

Run = Callable[[Awaitable[Any]], Any]


class Events:
    """What a helper was seen to do."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[Batch | None] = asyncio.Queue()

    def on_ready(self) -> None:
        self.news.put_nowait(None)

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        self.news.put_nowait(batch)


def batch_of(*numbers: int) -> Batch:
    batch = Batch()
    batch.add(Portion([b"%d" % number for number in numbers], True, 1))
    return batch


@pytest.fixture
def outfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outfit:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helping.py").write_text("def process(number: int) -> int:\n    return number\n")
    endpoint = Endpoint(uri="ws://feed", name="feed", processor="helping:process", processors=1)
    return Outfit(2, endpoint, False, 0, "warning", "text", ())


def test_from_its_start_to_its_end(run: Run, outfit: Outfit) -> None:
    async def scenario() -> None:
        events = Events()
        helper = HelperProcess(outfit, events)
        running = asyncio.ensure_future(helper.run())
        assert not helper.has_room
        await events.news.get()
        assert (helper.has_room, helper.pid > 0, helper.cpu_s > 0) == (True, True, True)
        batches = [batch_of(1, 2), batch_of(3)]
        assert len(batches) == AT_HAND
        for batch in batches:
            helper.give(batch)
        assert not helper.has_room
        helper.retire()
        for batch in batches:
            assert await events.news.get() is batch
            assert batch.is_done
        assert await running == "exit code 0"
        assert [bytes(lines[0]) for batch in batches for _, lines in batch.outcomes] == [b"1\n2\n", b"3\n"]

    run(scenario())


def test_an_answer_to_what_it_was_not_asked(run: Run, outfit: Outfit) -> None:
    async def scenario() -> None:
        events = Events()
        helper = HelperProcess(outfit, events)
        running = asyncio.ensure_future(helper.run())
        await events.news.get()
        helper._on_reply(Answer(3, (), 0.0, 0.0), memoryview(b""))
        assert await running == "it answered what it wasn't asked: 3 in the place of 0"
        assert not helper.has_room

    run(scenario())


def test_one_that_does_not_begin_is_killed(run: Run, outfit: Outfit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE_S", -1.0)

    async def scenario() -> None:
        helper = HelperProcess(outfit, Events())
        running = asyncio.ensure_future(helper.run())
        await asyncio.sleep(0)
        helper.look()
        assert (await running).startswith("stuck: no sign of life for")

    run(scenario())


def test_what_its_processor_leaves_running_does_not_keep_it(
    run: Run, outfit: Outfit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "END_GRACE_S", 0.1)
    Path("helping.py").write_text(
        "import threading, time\n"
        "def process(number: int) -> int:\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    return number\n"
    )

    async def scenario() -> None:
        events = Events()
        helper = HelperProcess(outfit, events)
        running = asyncio.ensure_future(helper.run())
        await events.news.get()
        helper.give(batch_of(1))
        await events.news.get()
        helper.retire()
        assert await running == "killed by SIGKILL"

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert not caplog.messages
