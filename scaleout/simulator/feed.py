"""One endpoint of the simulator: its messages, and how many of them are due."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from scaleout.simulator.config import EndpointPlan, SimulatorConfig
from scaleout.simulator.dialects import Dialect, dialect
from scaleout.simulator.encoding import Block, Encoder, FirehoseEncoder, PlainEncoder
from scaleout.simulator.faults import StreamFaults
from scaleout.simulator.framing import Opcode, encode_frame
from scaleout.simulator.rates import PacedByRate, PacedByTimes, RateTable
from scaleout.simulator.recording import load_recording


class Pace(Protocol):
    """How many messages should have been sent by a time that never decreases."""

    def due(self, now_s: float) -> int: ...


class Feed:
    """The messages of one endpoint, from number 0 on, and the position of its broadcast."""

    def __init__(self, plan: EndpointPlan, config: SimulatorConfig, table: RateTable) -> None:
        self.plan = plan
        self.config = config
        self.dialect: Dialect = dialect(plan.dialect, config.message_size)
        recording = load_recording(Path(plan.recording)) if plan.recording else None
        self._recording = recording
        self._table = table
        self._pace: Pace | None = None
        self._blocks: dict[tuple[int, int], Block] = {}
        self.per_connection = self.dialect.numbered_per_connection and recording is None
        self.encoder: Encoder = (
            FirehoseEncoder(plan.index, config.message_size)
            if config.firehose and not config.faults.of_stream
            else self.make_encoder()
        )
        counts = [count for count in (config.count, len(recording.messages) if recording else 0) if count]
        self.length: int | None = min(counts, default=0 if recording else None)
        """How many messages there are; None: no end."""
        self.position = 0
        """How many of them the broadcast has come to."""
        self.handed_out = 0
        """Where the latest connection with its own position has come to."""
        self.connections = 0
        """How many there have been."""
        self.attempts = 0
        """How many handshakes there have been."""

    def make_encoder(self, frame: Callable[[Opcode, bytes], bytes] = encode_frame) -> PlainEncoder:
        """An encoder that makes its frames in that way."""
        config, stream, recording = self.config, self.plan.index, self._recording
        faults = StreamFaults(config.faults, config.seed, stream) if config.faults.of_stream else None
        if recording is not None:
            messages = recording.messages
            opcode = Opcode.BINARY if recording.binary else Opcode.TEXT
            mean = sum(map(len, messages)) // max(1, len(messages))
            return PlainEncoder(
                messages.__getitem__, opcode=opcode, faults=faults, frame=frame, message_bytes=mean + 1
            )
        message = self.dialect.message
        return PlainEncoder(
            lambda sequence: message(stream, sequence),
            faults=faults,
            per_connection=self.per_connection,
            frame=frame,
            message_bytes=config.message_size if self.plan.dialect == "trade" else 256,
        )

    def random(self, *purpose: object) -> random.Random:
        """Randomness for one purpose at this endpoint, the same in every run with the seed."""
        return random.Random("/".join(map(str, (self.config.seed, self.plan.index, *purpose))))

    def begin(self, now_s: float) -> None:
        """Message 0 is due from now on; a feed that has begun before has gone on with nobody listening."""
        if self._pace is not None:
            self.advance(now_s)
            return
        if self._recording is not None:
            self._pace = PacedByTimes(self._recording.times_us, self.config.speed, now_s)
        else:
            self._pace = PacedByRate(self._table, self.plan.index, now_s)

    def advance(self, now_s: float) -> None:
        """Move the broadcast to where it should be by now."""
        if self._pace is None:
            return
        due = self._pace.due(now_s)
        self.position = due if self.length is None else min(due, self.length)
        self._blocks.clear()

    def is_end(self, sequence: int) -> bool:
        """Whether there is no message of that number, nor will be."""
        return self.length is not None and sequence >= self.length

    def block(self, start: int, stop: int, number: int) -> Block:
        """Messages encoded, once for all connections that are at the same place."""
        if self.per_connection or not self.config.is_paced:
            return self.encoder.encode(start, stop, number)
        found = self._blocks.get((start, stop))
        if found is None:
            found = self._blocks[start, stop] = self.encoder.encode(start, stop, number)
        return found
