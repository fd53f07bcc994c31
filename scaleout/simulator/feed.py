"""One endpoint of the simulator: its messages, and how many of them are due."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from websockets.frames import Opcode

from scaleout.simulator.config import EndpointPlan, SimulatorConfig
from scaleout.simulator.dialects import Dialect, dialect
from scaleout.simulator.encoding import Block, Encoder, PlainEncoder, TradeEncoder
from scaleout.simulator.faults import StreamFaults
from scaleout.simulator.framing import encode_frame
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
        self.faults = config.faults.at_endpoint(plan.index)
        recording = load_recording(Path(plan.recording)) if plan.recording else None
        self._recording = recording
        self._table = table
        self._pace: Pace | None = None
        self._blocks: dict[tuple[int, int], Block] = {}
        self.per_connection = self.dialect.numbered_per_connection and recording is None
        self.encoder: Encoder = (
            TradeEncoder(plan.index, config.message_size)
            if plan.dialect == "trade" and recording is None and not self.faults.of_stream
            else self.make_encoder()
        )
        counts = [count for count in (config.count, len(recording.messages) if recording else 0) if count]
        self.length: int | None = min(counts, default=0 if recording else None)
        """How many messages there are; None: no end."""
        self.position = 0
        """How many of them the broadcast has come to."""
        self.handed_out = 0
        """Where the latest connection with its own position has come to."""

    def make_encoder(
        self,
        frame: Callable[[Opcode, bytes], bytes] = encode_frame,
        *,
        with_stream: bool = False,
        connection: int | None = None,
    ) -> PlainEncoder:
        """An encoder.

        Args:
            frame: makes its frames.
            with_stream: messages hold the name of their stream.
            connection: messages hold this number.
        """
        config, stream, recording = self.config, self.plan.index, self._recording
        faults = StreamFaults(self.faults, config.seed, stream) if self.faults.of_stream else None
        marks = []
        if with_stream and not self.dialect.names_streams:
            marks.append(f'"stream":"{self.plan.stream}"')
        if connection is not None:
            marks.append(f'"conn":{connection}')
        if recording is not None:
            opcode = Opcode.BINARY if recording.binary else Opcode.TEXT
            mean = sum(map(len, recording.messages)) // max(1, len(recording.messages))
            body = _marked(recording.messages.__getitem__, marks)
            return PlainEncoder(body, opcode=opcode, faults=faults, frame=frame, message_bytes=mean + 1)
        message = self.dialect.message
        return PlainEncoder(
            _marked(lambda sequence: message(stream, sequence), marks),
            faults=faults,
            per_connection=self.per_connection,
            frame=frame,
            message_bytes=config.message_size if self.plan.dialect == "trade" else 256,
        )

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


def _marked(body: Callable[[int], bytes], marks: list[str]) -> Callable[[int], bytes]:
    """Bodies with more members: first in an object, at the end of an array in an object of their own."""
    if not marks:
        return body
    mark = ",".join(marks).encode()

    def marked(sequence: int) -> bytes:
        plain = body(sequence)
        if plain.startswith(b"["):
            return b"%b,{%b}]" % (plain[:-1], mark)
        return b"{%b,%b" % (mark, plain[1:])

    return marked
