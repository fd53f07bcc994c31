"""Numbered messages → bytes on the wire, in blocks of many messages."""

from __future__ import annotations

from collections.abc import Callable
from operator import mod
from typing import NamedTuple, Protocol

from websockets.frames import Opcode

from scaleout.simulator.dialects import TRADE_CYCLE, numbered, trade_message, trade_parts
from scaleout.simulator.faults import StreamFaults
from scaleout.simulator.framing import encode_fragments, encode_frame, frame_header


class Block(NamedTuple):
    """Frames of consecutive messages, and what goes between them."""

    data: bytes
    garbage: int = 0
    """How many garbage messages are among them."""
    pings: int = 0
    skipped: int = 0
    """How many numbers were left out."""
    repeated: int = 0
    """How many messages are there once more."""


class Encoder(Protocol):
    """Encodes the messages of one endpoint."""

    block_messages: int
    """How many messages to encode at once, where so many are to be sent."""

    def encode(self, start: int, stop: int, number: int) -> Block:
        """The messages from `start` to before `stop`, the first of which is the connection's `number`-th."""


class PlainEncoder:
    """Encodes message by message.

    Args:
        body: sequence → body.
        opcode: TEXT or BINARY.
        faults: of the stream, where it has some.
        per_connection: bodies hold the connection's own number.
        frame: (opcode, body) → the frame of an unfragmented message.
        message_bytes: usual size of a message, from which the size of blocks follows.
    """

    def __init__(
        self,
        body: Callable[[int], bytes],
        *,
        opcode: Opcode = Opcode.TEXT,
        faults: StreamFaults | None = None,
        per_connection: bool = False,
        frame: Callable[[Opcode, bytes], bytes] = encode_frame,
        message_bytes: int = 256,
    ) -> None:
        self._body = body
        self._opcode = opcode
        self._faults = faults
        self._per_connection = per_connection
        self._frame = frame
        self.block_messages = max(1, BLOCK_BYTES // message_bytes)

    def encode(self, start: int, stop: int, number: int) -> Block:
        if self._faults is not None:
            return self._with_faults(self._faults, start, stop, number)
        opcode, frame = self._opcode, self._frame
        return Block(
            b"".join(
                [frame(opcode, self._made(place, number + place - start)) for place in range(start, stop)]
            )
        )

    def _made(self, sequence: int, number: int) -> bytes:
        body = self._body(sequence)
        return numbered(body, number) if self._per_connection else body

    def _with_faults(self, faults: StreamFaults, start: int, stop: int, number: int) -> Block:
        parts: list[bytes] = []
        garbage = pings = skipped = repeated = 0
        for sequence in range(start, stop):
            control: list[bytes] = []
            if faults.has_ping(sequence):
                control.append(encode_frame(Opcode.PING, b"%d" % sequence))
                pings += 1
            sent = faults.sent_for(sequence)
            skipped += sequence not in sent
            repeated += len(sent) - (sequence in sent)
            for place in sent:
                body = self._made(place, number + place - start)
                pieces = faults.pieces(place)
                if pieces > 1:
                    parts.append(encode_fragments(self._opcode, body, pieces, control))
                    control = []
                else:
                    parts.append(self._frame(self._opcode, body))
            parts += control
            if faults.has_garbage_after(sequence):
                parts.append(encode_frame(Opcode.TEXT, faults.garbage(sequence)))
                garbage += 1
        return Block(b"".join(parts), garbage, pings, skipped, repeated)


BLOCK_BYTES = 256 * 1024
"""Upper bound of a block of messages of the usual size."""
_WORTH_TEMPLATES = 3
"""An endpoint that sends so many messages at once is busy enough for templates."""


class TradeEncoder:
    """Encodes numbered trades at the cost of copying them.

    A block holds the messages from k * N on, N a power of ten: their numbers are the digits of k and a fixed
    rest. So a block is the digits of k put between fixed pieces, which are made once for each count of
    digits. What begins or ends within a block is made of one template a message, which are as lasting.
    """

    def __init__(self, stream: int, message_bytes: int) -> None:
        self._stream = stream
        self._message_bytes = message_bytes
        self._header = frame_header(Opcode.TEXT, message_bytes)
        self.block_messages = TRADE_CYCLE
        while self.block_messages > 1 and self.block_messages * message_bytes > BLOCK_BYTES:
            self.block_messages //= 10
        self._pieces: dict[tuple[int, int], list[bytes]] = {}
        self._templates: dict[int, list[bytes]] = {}
        """By the count of digits, those of a whole cycle."""

    def encode(self, start: int, stop: int, number: int) -> Block:
        count = self.block_messages
        if start < TRADE_CYCLE or start % count or stop - start != count:
            return Block(b"".join(self._frames(start, stop)))
        digits = b"%d" % (start // count)
        shape = (start % TRADE_CYCLE, len(digits))
        if shape not in self._pieces:
            self._pieces[shape] = self._cut(*shape)
        return Block(digits.join(self._pieces[shape]))

    def _cut(self, first_phase: int, leading_digits: int) -> list[bytes]:
        rest_digits = len(str(self.block_messages)) - 1
        pieces = [b""]
        for rest in range(self.block_messages):
            head, tail = trade_parts(
                self._stream, first_phase + rest, leading_digits + rest_digits, self._message_bytes
            )
            pieces[-1] += self._header + head
            pieces.append((b"%0*d" % (rest_digits, rest) if rest_digits else b"") + tail)
        return pieces

    def _frames(self, start: int, stop: int) -> list[bytes]:
        """Frame by frame, in runs within one cycle, whose numbers have equally many digits."""
        frames: list[bytes] = []
        while start < stop:
            phase = start % TRADE_CYCLE
            end = min(stop, start + TRADE_CYCLE - phase)
            templates = self._templates_for(start, end)
            if templates is None:
                frames += [self._header + self._trade(sequence) for sequence in range(start, end)]
            else:
                frames += map(mod, templates[phase : phase + end - start], range(start, end))
            start = end
        return frames

    def _trade(self, sequence: int) -> bytes:
        return trade_message(self._stream, sequence, self._message_bytes)

    def _templates_for(self, start: int, end: int) -> list[bytes] | None:
        """Templates of a cycle; None where they aren't worth their memory."""
        digits = len(str(start))
        found = self._templates.get(digits)
        is_worth_it = end - start >= _WORTH_TEMPLATES and self.block_messages == TRADE_CYCLE <= start
        if found is None and is_worth_it:
            parts = [
                trade_parts(self._stream, phase, digits, self._message_bytes) for phase in range(TRADE_CYCLE)
            ]
            found = [b"%b%b%%d%b" % (self._header, head, tail) for head, tail in parts]
            near = {count: kept for count, kept in self._templates.items() if abs(count - digits) == 1}
            self._templates = {**near, digits: found}
        return found
