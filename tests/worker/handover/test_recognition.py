"""What was delivered before a move is recognized after it, each message once, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from scaleout.core.frames import Kind
from scaleout.worker.handover.recognition import RECOGNITION_S, Recognition, without_recognition
from scaleout.worker.identity import hashes_of

Run = Callable[[Awaitable[Any]], Any]


class Place:
    """Where messages go."""

    def __init__(self, *known: bytes) -> None:
        self.delivered: list[bytes] = []
        self.dropped: list[bytes] = []
        self.recognition = Recognition(hashes_of(list(known)), self.deliver, self.dropped.extend)

    def deliver(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        assert payloads and joined == b"|".join(payloads).replace(b"|", b"\n")
        assert (kind, received_at) == (Kind.BINARY, 5)
        self.delivered += payloads

    def receive(self, *payloads: bytes) -> None:
        self.recognition.receive([*payloads], b"\n".join(payloads), Kind.BINARY, 5)


def test_each_known_message_is_dropped_once(run: Run) -> None:
    async def main() -> None:
        place = Place(b"a", b"b", b"b", b"x")
        place.receive(b"a", b"1", b"b")
        place.receive(b"b")
        place.receive(b"a", b"b", b"2")
        assert place.dropped == [b"a", b"b", b"b"]
        assert place.delivered == [b"1", b"a", b"b", b"2"]
        assert not place.recognition.is_over
        place.receive(b"x")
        assert place.recognition.is_over
        place.receive(b"x")
        assert place.delivered[-1] == b"x"

    run(main())


def test_it_ends_by_itself(run: Run) -> None:
    async def main() -> None:
        place = Place(b"a")
        loop = asyncio.get_running_loop()
        later = loop.time() + RECOGNITION_S
        place.recognition._loop = type("Later", (), {"time": lambda self: later})()
        assert place.recognition.is_over
        place.receive(b"a")
        assert place.delivered == [b"a"]

    run(main())


def test_what_recognizes_nothing_any_more_is_left_out_of_the_way(run: Run) -> None:
    async def main() -> None:
        place = Place(b"a")
        receiver = place.recognition.receive
        assert without_recognition(receiver) == receiver
        place.receive(b"a")
        assert without_recognition(receiver) == place.deliver
        assert without_recognition(place.deliver) == place.deliver

    run(main())
