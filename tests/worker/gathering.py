"""Endpoints of one worker, whose messages are gathered or not; and what there is to see of each."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from scaleout.channel import Channel
from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.ledger import Counts
from scaleout.core.runs import run_of
from scaleout.core.wire import Command
from scaleout.signatures import inspect_processor
from scaleout.tally import Tally
from scaleout.worker.books import Books
from scaleout.worker.decoding import bytes_decoder, text_decoder
from scaleout.worker.inlet import Inlet, Intake
from scaleout.worker.outbox import Outbox
from scaleout.worker.pipeline import Decoded, PassThrough, Pipeline
from scaleout.worker.pipelines import pipeline_class
from scaleout.worker.pooled import Pools
from tests.worker.conftest import RECEIVED_AT, SentChannel
from tests.worker.peers import FastLoop

LONG_S = 100.0
"""A linger that nothing waits for."""


class Seen(NamedTuple):
    """What has become of one endpoint's messages."""

    lines: list[bytes]
    counts: Counts
    dead_letters: list[tuple[int, str, bytes, str, bool, str]]
    """Those of a read together, which aren't in its order: what can't be decoded may be seen first; of a traceback
    the last line."""
    undecodable: int
    tallied: tuple[int, int]
    """Messages and bytes, by the memory that outlives the worker."""


class Worker:
    """As many endpoints as are asked for, with the same processor; only in a running `FastLoop`."""

    def __init__(
        self,
        count: int,
        processor: Callable[..., object] | None = None,
        *,
        is_gathering: bool = True,
        linger_s: float = LONG_S,
        envelope: bool = True,
        message_format: str = "json",
        loop: FastLoop,
    ) -> None:
        self.channel = SentChannel()
        self.outbox = Outbox()
        self.outbox.send_through(cast(Channel[Command], self.channel))
        self.tally = Tally(count)
        self.now = RECEIVED_AT
        self._linger_s = linger_s
        self._envelope = envelope
        self._message_format = message_format
        self._processor = processor
        self.pools = Pools(self.outbox, loop)
        intake = Intake(self.tally, None, lambda: None)
        self.pipelines = [self._pipeline(slot) for slot in range(count)]
        self.inlets = [Inlet(pipeline.books, intake, pipeline) for pipeline in self.pipelines]
        for inlet, pipeline in zip(self.inlets, self.pipelines, strict=True):
            self.outbox.know(inlet.books.tray)
            if is_gathering and pipeline.wish is not None:
                inlet.gather_in(self.pools.find(pipeline.wish, envelope, linger_s))

    def _pipeline(self, slot: int) -> Pipeline:
        endpoint = Endpoint(uri="ws://127.0.0.1", name=f'"{slot}"', linger=self._linger_s)
        books = Books(slot, endpoint, self.outbox, self._envelope)
        if self._processor is not None:
            inspected = inspect_processor(self._processor, "tests:processor")
            return pipeline_class(inspected)(books, inspected, lambda message: None)
        if self._message_format == "json":
            return PassThrough(books)
        return Decoded(books, text_decoder if self._message_format == "text" else bytes_decoder)

    def receive(self, slot: int, *payloads: bytes, kind: Kind = Kind.TEXT) -> None:
        """One read, the way it goes while nothing speaks against the short one."""
        lane = self.inlets[slot].lane
        if lane is None:
            self.receive_apart(slot, *payloads, kind=kind)
        else:
            self.now += 1
            lane.take(run_of(list(payloads)), kind, self.now)

    def receive_apart(self, slot: int, *payloads: bytes, kind: Kind = Kind.TEXT) -> None:
        """One read on the long way, as while the endpoint moves."""
        self.now += 1
        self.inlets[slot].receive(list(payloads), b"\n".join(payloads), kind, self.now)

    async def drain(self) -> None:
        """Deal with all there is."""
        for inlet, pipeline in zip(self.inlets, self.pipelines, strict=True):
            inlet.settle()
            await pipeline.drain(1000.0)
        self.outbox.post_all()
        self.outbox.flush()

    def close(self) -> None:
        """Free what the system has given; nothing can be received any more."""
        self.inlets.clear()
        self.pipelines.clear()
        gc.collect()
        self.tally.close()

    @property
    def lines(self) -> list[bytes]:
        """All lines in the sink."""
        return b"".join(self.channel.bodies).split(b"\n")[:-1]

    def lines_of(self, slot: int) -> list[bytes]:
        """Those of one endpoint; they must be in envelopes."""
        return [line for line in self.lines if Head.of(line).endpoint == f'"{slot}"']

    def data_of(self, slot: int) -> list[Any]:
        """The results of one endpoint."""
        return [Head.of(line).data for line in self.lines_of(slot)]

    def seen(self, slot: int) -> Seen:
        """What has become of an endpoint's messages."""
        counts = Counts()
        letters = []
        for batch in self.channel.batches:
            for entry in batch.all_entries:
                if entry.slot == slot:
                    counts.add(Counts(**{name: getattr(entry, name) for name in _FIELDS}))
            letters += [letter for letter in batch.dead_letters if letter.slot == slot]
        return Seen(
            self.lines_of(slot) if self._envelope else [],
            counts,
            sorted(
                (
                    each.received_at,
                    each.stage,
                    each.payload,
                    each.reason,
                    each.is_text,
                    (each.traceback or "").rpartition("\n  ")[-1],
                )
                for each in letters
            ),
            self.inlets[slot].books.undecodable,
            (self.tally.messages[slot], self.tally.bytes[slot]),
        )


_FIELDS: Sequence[str] = [name for name in Counts.__struct_fields__ if name != "lost"]


class Head(msgspec.Struct):
    """A line with its envelope."""

    endpoint: str
    received_at: int
    data: Any

    @classmethod
    def of(cls, line: bytes) -> Head:
        """Read a line."""
        return _decoder.decode(line)


_decoder = msgspec.json.Decoder(Head)
