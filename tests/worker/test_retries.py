"""Dead letters that a worker tries again: the books, the output, and everybody else's turn."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout.core.wire import LetterToTry, TriedLetter
from scaleout.logs import EndpointLogger
from scaleout.worker.retries import Retries

Run = Callable[[Awaitable[Any]], Any]

PROCESSORS = """
import asyncio

from scaleout import Context, Reject

gate = asyncio.Event()
is_full = asyncio.Event()
running = 0
most = 0


def mixed(message: int, context: Context) -> object:
    if message == 1:
        return message
    if message == 2:
        return iter((message, message))
    if message == 3:
        return None
    if message == 4:
        context.send("hello")
        return "sent"
    if message == 5:
        raise Reject("never")
    raise SystemExit


async def waits(message: int) -> int:
    global running, most
    running += 1
    most = max(most, running)
    if most == 3:
        is_full.set()
    try:
        await gate.wait()
    finally:
        running -= 1
    return message
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The processors, imported anew."""
    (tmp_path / "retried_feeds.py").write_text(PROCESSORS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "retried_feeds", raising=False)
    return importlib.import_module("retried_feeds")


def letters(*payloads: bytes, received_at: int = 1_800_000_000_000_000_000) -> list[LetterToTry]:
    return [LetterToTry(number, payload, True, received_at) for number, payload in enumerate(payloads, 1)]


def configure(desk: Any, **keys: Any) -> None:
    """Give the endpoint other keys; its pipeline stays as it is."""
    books = desk.inlet.books
    books.config = msgspec.structs.replace(books.config, **keys)


def retries_of(desk: Any, send: Callable[[str | bytes], None] = lambda message: None) -> Retries:
    logger = EndpointLogger("desk", ())
    return Retries(desk.inlet, True, send, logger)


def retried(desk: Any) -> dict[int, TriedLetter]:
    return {each.id: each for batch in desk.channel.batches for each in batch.retried}


def check_books(desk: Any, count: int) -> None:
    """What was tried is received, retried, and has an outcome."""
    assert desk.count("received") == desk.count("retried") == desk.tally.messages[1] == count
    assert sum(map(desk.count, ("delivered", "filtered", "dead_lettered"))) == count
    assert len(desk.lines) == desk.count("results")
    assert desk.dead == [], "a letter that fails again becomes no other"


def test_every_outcome(run: Run, desk: Any) -> None:
    async def scenario() -> None:
        at = desk()
        configure(at, processor="retried_feeds:mixed")
        sent: list[str | bytes] = []
        retries = retries_of(at, sent.append)
        retries.begin(letters(b"1", b"2", b"3", b"4", b"5", b"6", b'"text"', b"no json"))
        await retries.drain(10)
        at.outbox.flush()
        check_books(at, 8)
        assert at.results == [1, 2, 2, "sent"]
        assert sent == ["hello"]
        found = retried(at)
        assert [(found[n].reason, found[n].results) for n in (1, 2, 3, 4)] == [
            (None, 1),
            (None, 2),
            (None, 0),
            (None, 1),
        ]
        assert [(found[n].reason, found[n].stage) for n in (5, 6)] == [
            ("never", "process"),
            ("SystemExit", "process"),
        ]
        assert found[7].stage == found[8].stage == "decode"
        assert found[6].traceback is not None and found[5].traceback is None

    run(scenario())


def test_without_a_processor(run: Run, desk: Any) -> None:
    async def scenario() -> None:
        at = desk()
        retries = retries_of(at)
        retries.begin(letters(b'{"a": 1}', b"{"))
        await retries.drain(10)
        at.outbox.flush()
        check_books(at, 2)
        assert at.data == [b'{"a": 1}']
        assert retried(at)[2].stage == "decode"

    run(scenario())


def test_a_plain_function_leaves_the_others_their_turn(run: Run, desk: Any) -> None:
    async def scenario() -> None:
        at = desk()
        configure(at, processor="retried_feeds:mixed")
        retries = retries_of(at)
        retries.begin(letters(*[b"1"] * 100))
        turns = 0
        while (before := len(retried(at))) < 100:
            await asyncio.sleep(0)
            assert len(retried(at)) <= before + 1
            turns += 1
        assert turns >= 100
        await retries.drain(10)
        check_books(at, 100)

    run(scenario())


def test_async_functions_run_at_once_but_not_too_many(run: Run, desk: Any, module: Any) -> None:
    async def scenario() -> None:
        at = desk()
        configure(at, processor="retried_feeds:waits", max_concurrency=3)
        retries = retries_of(at)
        retries.begin(letters(*[b"1"] * 5))
        retries.begin(letters(*[b"2"] * 5))
        await module.is_full.wait()
        module.gate.set()
        await retries.drain(10)
        at.outbox.flush()
        assert module.most == 3
        assert at.count("delivered") == 10

    run(scenario())


def test_what_takes_too_long_at_the_end_leaves_its_letter(run: Run, desk: Any) -> None:
    async def scenario() -> None:
        at = desk()
        configure(at, processor="retried_feeds:waits")
        retries = retries_of(at)
        retries.begin(letters(b"1", b"2"))
        await retries.drain(0.01)
        at.outbox.flush()
        assert retried(at) == {}
        assert at.tally.messages[1] == 0
        assert at.channel.batches == []

    run(scenario())


def test_held_back_while_the_pipe_is_full(run: Run, desk: Any) -> None:
    async def scenario() -> None:
        at = desk()
        at.outbox.valve.close()
        retries = retries_of(at)
        retries.begin(letters(b"1", b"2"))
        await retries.drain(0.01)
        assert retried(at) == {}
        retries.begin(letters(b"1", b"2"))
        await asyncio.sleep(0)
        at.outbox.valve.open()
        await retries.drain(10)
        at.outbox.flush()
        check_books(at, 2)

    run(scenario())


def test_an_error_of_this_program_is_logged(
    run: Run, desk: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        at = desk()
        retries = retries_of(at)

        async def fail(*arguments: object) -> None:
            raise KeyError

        monkeypatch.setattr(retries._retrier, "attempt", fail)
        with caplog.at_level(logging.ERROR):
            retries.begin(letters(b"1"))
            await retries.drain(10)

    run(scenario())
    assert "internal error while dead letters were tried again" in caplog.text
