"""What the tests of a worker's parts share: a pipeline at a desk of its own, with all it hands over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
import pytest
import uvloop

from scaleout.channel import Channel
from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.wire import Batch, Command, DeadLetter, Result
from scaleout.signatures import inspect_processor
from scaleout.tally import Allowance, Tally
from scaleout.worker.books import Books
from scaleout.worker.decoding import bytes_decoder, text_decoder
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Decoded, PassThrough, Pipeline
from scaleout.worker.pipelines import pipeline_class

RECEIVED_AT = 1_700_000_000_123_456_789


class SentChannel:
    """Stands in the place of the results channel: keeps what is sent, as it would arrive at the other side."""

    def __init__(self) -> None:
        self.is_writable = True
        self.sent: list[Result] = []
        self.bodies: list[bytes] = []
        self.is_closed = False
        self.was_sent = asyncio.Event()

    def send(self, message: Result, body: Sequence[bytes | memoryview] = ()) -> None:
        encoded = msgspec.msgpack.encode(message)
        self.sent.append(msgspec.msgpack.decode(encoded, type=Result))
        self.bodies.append(b"".join(body))
        self.was_sent.set()

    async def close(self) -> None:
        self.is_closed = True

    @property
    def batches(self) -> list[Batch]:
        return [message for message in self.sent if isinstance(message, Batch)]


class Desk:
    """A pipeline, fed by hand; what it hands over is at once sent, unless the endpoint lingers."""

    def __init__(
        self,
        processor: Callable[..., object] | None = None,
        *,
        message_format: str = "json",
        envelope: bool = True,
        name: str = "desk",
        allowance: Allowance | None = None,
        send: Callable[[str | bytes], None] | None = None,
        **keys: Any,
    ) -> None:
        self.channel = SentChannel()
        self.outbox = Outbox()
        self.outbox.send_through(cast(Channel[Command], self.channel))
        self.tally = Tally(2)
        self.limits_reached = 0
        self.replies: list[str | bytes] = []
        intake = Intake(self.tally, allowance, self._reach_limit)
        endpoint = Endpoint(uri="ws://127.0.0.1", name=name, **{"linger": 0.0, **keys})
        books = Books(1, endpoint, self.outbox, envelope)
        self.pipeline: Pipeline
        if processor is not None:
            inspected = inspect_processor(processor, "tests:processor")
            self.pipeline = pipeline_class(inspected)(books, inspected, send or self.replies.append)
        elif message_format == "json":
            self.pipeline = PassThrough(books)
        else:
            decoder = text_decoder if message_format == "text" else bytes_decoder
            self.pipeline = Decoded(books, decoder)
        self.inlet = Inlet(books, intake, self.pipeline)

    def _reach_limit(self) -> None:
        self.limits_reached += 1

    def receive(self, *payloads: bytes, kind: Kind = Kind.TEXT) -> None:
        """Feed one read."""
        self.inlet.receive(list(payloads), b"\n".join(payloads), kind, RECEIVED_AT)

    async def drain(self, timeout_s: float = 10.0) -> None:
        """Wait for what is being processed."""
        await self.pipeline.drain(timeout_s)
        self.outbox.flush()

    @property
    def output(self) -> bytes:
        """All that would be in the sink."""
        return b"".join(self.channel.bodies)

    @property
    def lines(self) -> list[bytes]:
        """The lines in the sink."""
        assert self.output == b"" or self.output.endswith(b"\n")
        return self.output.split(b"\n")[:-1]

    @property
    def data(self) -> list[bytes]:
        """The results in the sink, without their envelopes."""
        found = []
        for line in self.lines:
            head, separator, data = line.partition(b',"data":')
            assert separator and data.endswith(b"}")
            assert msgspec.json.decode(head + b"}")["received_at"] >= RECEIVED_AT
            found.append(data[:-1])
        return found

    @property
    def results(self) -> list[Any]:
        """The results in the sink, decoded."""
        return [msgspec.json.decode(data) for data in self.data]

    @property
    def dead(self) -> list[DeadLetter]:
        """The dead letters."""
        return [letter for batch in self.channel.batches for letter in batch.dead_letters]

    @property
    def dead_payloads(self) -> list[bytes]:
        """The payloads of the dead letters."""
        return [letter.payload for letter in self.dead]

    def count(self, field: str) -> int:
        """The sum of one field over all that was reported."""
        entries = [entry for batch in self.channel.batches for entry in batch.all_entries]
        assert all(entry.slot == 1 for entry in entries)
        return sum(getattr(entry, field) for entry in entries)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Received, delivered, filtered, dead-lettered; once they agree with the rest of the books."""
        received, delivered, filtered, dead = map(
            self.count, ("received", "delivered", "filtered", "dead_lettered")
        )
        assert received == self.tally.messages[1] == self.inlet.received
        assert len(self.dead) == dead
        assert len(self.lines) == self.count("results")
        return received, delivered, filtered, dead


@pytest.fixture(scope="session")
def desk() -> type[Desk]:
    """Makes a `Desk`; only in a running loop."""
    return Desk


@pytest.fixture(scope="session")
def run() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end on the loop that workers use, but no longer than 30 s."""

    async def bounded(awaitable: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(awaitable, 30)

    def run(awaitable: Awaitable[Any]) -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(bounded(awaitable))

    return run


@pytest.fixture(scope="session")
def sent_channel() -> type[SentChannel]:
    """Makes a stand-in for the results channel."""
    return SentChannel
