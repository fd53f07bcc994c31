"""An endpoint whose messages are dead letters says so, once in a while."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.ledger import Entry
from scaleout.core.wire import DeadLetter
from scaleout.errors import Reject
from scaleout.logs import EndpointLogger
from scaleout.worker import books as module
from scaleout.worker.books import Books, Failure
from scaleout.worker.decoding import Read
from scaleout.worker.outbox import Outbox

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_dead_letter_is_told_of_and_the_others_are_not(
    desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        made = desk(name="poison")
        for _ in range(3):
            made.receive(b"no json", b"neither")
        assert made.counts == (6, 0, 0, 6)

    run(main())
    (line,) = lines(caplog)
    assert line.startswith("1 dead letter, the last: JSON is malformed")
    assert line.endswith("(stage decode)")
    assert caplog.records[0].endpoint == "poison"  # type: ignore[attr-defined]


def test_they_are_counted_until_the_next_line(
    desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(message: object) -> object:
        raise Reject(f"no {message}")

    async def main() -> None:
        made = desk(process)
        made.receive(b"1", b"2", b"3")
        made.pipeline.books._dead._told_at -= module.TELL_EVERY_S
        made.receive(b"4", b"5")

    run(main())
    assert lines(caplog) == [
        "1 dead letter, the last: no 1 (stage process)",
        "3 dead letters, the last: no 4 (stage process)",
    ]


def test_healthy_messages_are_no_news(desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        desk().receive(b"1", b"2")

    run(main())
    assert lines(caplog) == []


def test_secrets_are_blotted_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        logger = EndpointLogger("feed", ("hunter22",))
        books = Books(1, Endpoint(uri="ws://127.0.0.1", name="feed"), Outbox(), True, logger)
        read = Read([b"{}"], Kind.TEXT, 1)
        books.dead_letter(read, b"{}", Failure(Reject("hunter22 isn't the password")))

    run(main())
    assert lines(caplog) == ["1 dead letter, the last: *** isn't the password (stage process)"]


def test_what_another_process_has_done_is_adopted(
    desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def letter(stage: str) -> DeadLetter:
        return DeadLetter(1, stage, "no good", b"x", True, 1)

    async def main() -> None:
        made = desk(envelope=False)
        made.inlet._intake.note(1, 9)
        made.inlet.books.tray.received += 9
        entry = Entry(1, received=5, delivered=4, filtered=3, dead_lettered=2, results=2)
        made.inlet.books.adopt(entry, [letter("decode"), letter("process")], (b"1\n", b"2\n"))
        assert made.counts == (9, 4, 3, 2)
        assert made.lines == [b"1", b"2"]
        assert made.inlet.books.undecodable == 1

    run(main())
    assert lines(caplog) == ["1 dead letter, the last: no good (stage decode)"]
