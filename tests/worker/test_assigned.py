"""An endpoint of a worker, until it is let go: what was gathered of it is handed over first."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, cast

from scaleout.channel import Channel
from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.marks import Assignment
from scaleout.core.runs import run_of
from scaleout.core.wire import Batch, Command, Released, Setup
from scaleout.tally import Tally
from scaleout.worker.assigned import Assigned
from scaleout.worker.dialing import Dialer
from scaleout.worker.inlet import Intake
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means
from scaleout.worker.outbox import Outbox
from scaleout.worker.pooled import Pools
from tests.worker.conftest import SentChannel
from tests.worker.peers import run_fast

SETUP = Setup(
    worker=0,
    envelope=False,
    log_level="error",
    log_format="text",
    heartbeat_interval=1.0,
    drain_timeout=1.0,
    secrets=(),
)


class Office:
    """A worker with some endpoints, that isn't connected to anything."""

    def __init__(self, count: int, **keys: Any) -> None:
        loop = asyncio.get_running_loop()
        self.channel = SentChannel()
        self.outbox = Outbox()
        self.outbox.send_through(cast(Channel[Command], self.channel))
        means = Means(Dialer(), Permits(lambda report: None), Random(1))
        intake = Intake(Tally(count), None, lambda: None)
        pools = Pools(self.outbox, loop)
        self.assigned = [
            Assigned(
                Assignment(slot, Endpoint(uri="ws://127.0.0.1", name=f"feed-{slot}", linger=100.0, **keys)),
                SETUP,
                self.outbox,
                intake,
                means,
                lambda assigned: None,
                pools=pools,
            )
            for slot in range(count)
        ]

    def receive(self, slot: int, *payloads: bytes) -> None:
        lane = self.assigned[slot].inlet.lane
        assert lane is not None
        lane.take(run_of(list(payloads)), Kind.TEXT, 1)

    @property
    def lines(self) -> list[bytes]:
        return b"".join(self.channel.bodies).splitlines()


def test_what_was_gathered_comes_before_the_release() -> None:
    async def scenario() -> None:
        office = Office(2)
        office.receive(0, b"1", b"2")
        office.receive(1, b"3")
        assert office.channel.sent == []
        await office.assigned[0].let_go(1.0)
        batch, released = office.channel.sent
        assert isinstance(batch, Batch) and released == Released(0)
        assert [(each.slot, each.received, each.delivered) for each in batch.all_entries] == [
            (0, 2, 2),
            (1, 1, 1),
        ]
        assert office.lines == [b"1", b"2", b"3"]
        office.receive(1, b"4")
        await office.assigned[1].let_go(1.0)
        assert office.lines[3:] == [b"4"]
        assert office.channel.sent[-1] == Released(1)

    run_fast(scenario())


def test_what_was_gathered_is_drained() -> None:
    async def scenario() -> None:
        office = Office(2)
        office.receive(0, b"1")
        office.receive(1, b"{")
        await asyncio.gather(*(each.drain(1.0) for each in office.assigned))
        office.outbox.flush()
        assert office.lines == [b"1"]
        letters = [letter for batch in office.channel.batches for letter in batch.dead_letters]
        assert [(each.slot, each.payload) for each in letters] == [(1, b"{")]
        assert sum(batch.received for batch in office.channel.batches) == 2

    run_fast(scenario())
