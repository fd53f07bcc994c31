"""Invalid messages are put down to the connection that brought them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaleout.config import InvalidShare
from scaleout.worker.links.invalid import InvalidWatch
from tests.worker.peers import run_fast

MakeDesk = Callable[..., Any]

HALF = InvalidShare(0.5, 10.0)


def test_each_connection_has_a_share_of_its_own(desk: MakeDesk) -> None:
    async def main() -> None:
        made = desk()
        good, bad = (InvalidWatch(HALF, True, made.inlet.books) for _ in range(2))
        for _ in range(19):
            bad.before()
            made.receive(b"garbage")
            assert bad.after(1) is None
            good.before()
            made.receive(b"1")
            assert good.after(1) is None
        good.before()
        made.receive(b"2")
        assert good.after(1) is None
        bad.before()
        made.receive(b"garbage")
        assert bad.after(1) == "more than 50% of the messages within 10s are invalid"
        bad.reset()
        bad.before()
        made.receive(b"garbage")
        assert bad.after(1) is None

    run_fast(main())


def test_what_is_decoded_later_counts_then(desk: MakeDesk) -> None:
    async def main() -> None:
        made = desk()
        watch = InvalidWatch(HALF, False, made.inlet.books)
        watch.before()
        assert watch.after(20) is None
        made.receive(*[b"garbage"] * 20)
        watch.before()
        assert watch.after(30) is None, "20 of 50"
        made.receive(*[b"garbage"] * 20)
        watch.before()
        assert watch.after(20) is not None, "40 of 70"
        made.receive(*[b"garbage"] * 20)
        watch.reset()
        watch.before()
        assert watch.after(20) is None, "those were the last connection's"

    run_fast(main())
