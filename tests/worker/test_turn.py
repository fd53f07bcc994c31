from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from scaleout.worker.turn import Turn


@pytest.fixture(autouse=True)
def two_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaleout.worker.turn.MOST", 2)


class _Work:
    """Notes in which turn of the loop it is done."""

    def __init__(self) -> None:
        self.turns = 0
        self.done: list[tuple[int, str]] = []
        self.turn = Turn()

    def do(self, name: str) -> None:
        self.done.append((self.turns, name))

    def offer(self, name: str) -> None:
        if self.turn.claim():
            self.do(name)
        else:
            self.turn.postpone(partial(self.do, name))

    async def go_on(self, turns: int) -> None:
        for _ in range(turns):
            self.turns += 1
            await asyncio.sleep(0)


def test_some_are_done_at_once_and_the_rest_in_the_next_turns() -> None:
    async def main() -> None:
        work = _Work()
        for name in "abcdefg":
            work.offer(name)
        await work.go_on(5)
        assert work.done == [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e"), (2, "f"), (3, "g")]

    asyncio.run(main())


def test_what_comes_while_others_wait_comes_behind_them() -> None:
    async def main() -> None:
        work = _Work()
        for name in "abcde":
            work.offer(name)
        await work.go_on(1)
        work.offer("f")
        await work.go_on(3)
        assert [name for _, name in work.done] == list("abcdef")

    asyncio.run(main())


def test_each_turn_is_another() -> None:
    async def main() -> None:
        work = _Work()
        for name in "abcdef":
            work.offer(name)
            await work.go_on(1)
        assert work.done == list(enumerate("abcdef"))

    asyncio.run(main())


def _raise() -> None:
    raise ValueError("broken")


def test_what_fails_does_not_keep_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        work = _Work()
        work.offer("a")
        work.offer("b")
        assert not work.turn.claim()
        for action in (_raise, partial(work.do, "c")):
            work.turn.postpone(action)
        await work.go_on(4)
        assert [name for _, name in work.done] == ["a", "b", "c"]

    asyncio.run(main())
    assert "broken" in caplog.text


def test_nothing_is_left_over_from_a_loop_that_was_closed() -> None:
    work = _Work()

    async def fill(offer: Callable[[str], None]) -> None:
        for name in "abcde":
            offer(name)

    asyncio.run(fill(work.offer))
    before = list(work.done)

    async def main() -> None:
        work.offer("later")
        await work.go_on(3)

    asyncio.run(main())
    assert [name for _, name in work.done[len(before) :]] == ["later"]
