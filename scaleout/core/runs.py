# cython: annotation_typing=False
"""Finds the messages in a read, and leaves them there until somebody wants them one by one.

They are looked for in *plain* frames, those that need no protocol state: FIN set, no reserved bit, opcode text or
binary, not masked, not larger than the limit (RFC 6455, section 5.2). On a busy feed nearly every frame is one.

A message cut out of its read is an object of its own, which costs more than all else that is done to find it. Where
the messages of a read go on as lines none is cut out. Uncompiled it is the other way round: cutting out is done in
C, and looking at bytes is not.
"""

from __future__ import annotations

from io import BytesIO
from itertools import repeat
from typing import TYPE_CHECKING, Any

from scaleout.core.frames import IS_COMPILED, Kind, first_invalid_text, size_of
from scaleout.core.headers import header_size, payload_size
from scaleout.core.sure import is_sure

if TYPE_CHECKING:  # C's own, see `runs.pxd`
    from cython.cimports.libc.string import memcpy

_TEXT = int(Kind.TEXT)
_BINARY = int(Kind.BINARY)
_SHORT = 2048
"""Payloads of fewer bytes are worth the loop in C: with longer ones, other work takes most of the time."""
_SHORT_LENGTHS: dict[tuple[int, int], dict[bytes, int]] = {
    **{(kind, 2): {bytes((kind, length)): length for length in range(126)} for kind in Kind},
    **{
        (kind, 4): {bytes((kind, 126, length >> 8, length & 255)): length for length in range(126, _SHORT)}
        for kind in Kind
    },
}
"""By the first byte and the size of a header: the length of the payload, by the header."""
_MANY_BYTES = 4096
"""With so much data it pays to start the loop in C, and to start it again."""
_MANY_FRAMES = 16
"""It did pay when it found so many."""


class Run:
    """Messages of one kind, at least one; `find_run` and `run_of` make them."""

    def __init__(self) -> None:
        self.count = 0
        """How many there are."""
        self.size_bytes = 0
        """Of their payloads."""
        self.stop = 0
        """Index of the first byte behind them, where they lie in a read."""
        self._start = 0
        self._data = b""
        self._payloads: list[bytes] | None = None
        self._next = 0
        """Where the next message is looked for: an index of the read, or of the payloads."""
        self.text = b""
        """The message that is looked at."""
        self.length = 0
        """Its size in bytes; its text goes on."""

    def payloads(self) -> list[bytes]:
        """Each message cut out."""
        if self._payloads is None:
            payloads: list[bytes] = []
            self.rewind()
            while self.advance():
                payloads.append(self.text[: self.length])
            self._payloads = payloads
        return self._payloads

    def rewind(self) -> None:
        """Look at none, and next at the first."""
        self._next = self._start if self._payloads is None else 0

    def advance(self) -> bool:
        """Look at the next one; False: there is none."""
        position = self._next
        if self._payloads is not None:
            if position == self.count:
                return False
            payload = self._payloads[position]
            self.text = payload
            self.length = len(payload)
            self._next = position + 1
            return True
        if position == self.stop:
            return False
        octets: Any = self._data
        header = header_size(octets[position + 1])
        self.length = payload_size(octets, position, header)
        self.text = octets + position + header
        self._next = position + header + self.length
        return True

    def is_text(self) -> bool:
        """Whether all of it is valid UTF-8; a look at the bytes settles the common case, ASCII throughout."""
        return (IS_COMPILED and self._is_ascii()) or first_invalid_text(self.payloads()) is None

    def _is_ascii(self) -> bool:
        seen = 0
        self.rewind()
        while self.advance():
            octets = self.text
            length = self.length
            for index in range(length):
                seen |= octets[index]
        return seen < 128

    def count_sure(self) -> int:
        """How many messages, from the first on, are lines of JSON for sure.

        Uncompiled the look would take longer than a parser in C, so that none is.
        """
        sure = 0
        if IS_COMPILED:
            self.rewind()
            while self.advance() and is_sure(self.text, self.length):
                sure += 1
        return sure

    def write_lines(self, target: bytearray, at: int, head: bytes, end: bytes) -> int:
        """Write each message, with something before and something behind it; compiled alone.

        Args:
            target: has room for it.
            at: index where to begin.
            head: what comes before each.
            end: what comes behind each.

        Returns:
            The index behind the last.
        """
        room: Any = target
        first, first_size = head, len(head)
        last, last_size = end, len(end)
        self.rewind()
        while self.advance():
            memcpy(room + at, first, first_size)
            at += first_size
            memcpy(room + at, self.text, self.length)
            at += self.length
            memcpy(room + at, last, last_size)
            at += last_size
        return at


def run_of(payloads: list[bytes], stop: int = 0) -> Run:
    """Messages that are cut out already; `stop` is where they ended in their read, if that matters."""
    run = Run.__new__(Run)
    run.count = len(payloads)
    run.size_bytes = size_of(payloads)
    run.stop = stop
    run._payloads = payloads
    return run


def find_run(data: bytes, position: int, limit: int) -> Run | None:
    """Find the run of complete plain frames of one kind that starts at `position`.

    Args:
        data: bytes as they came from the transport.
        position: index of a frame's first byte.
        limit: largest payload in bytes that counts as plain; at most `NO_LIMIT`.

    Returns:
        The run, behind which the data ends, or a frame begins that is incomplete, of the other kind, or not plain.
        None where such a frame is at `position`.
    """
    if not IS_COMPILED:
        return _cut_out_run(data, position, limit)
    octets = data
    end = len(data)
    if position >= end:
        return None
    start = position
    first = octets[position]
    if first != _TEXT and first != _BINARY:
        return None
    count = 0
    size_bytes = 0
    while position + 2 <= end and octets[position] == first:
        header = header_size(octets[position + 1])
        if not header or position + header > end:
            break
        length = payload_size(octets, position, header)
        if length > limit or position + header + length > end:
            break
        count += 1
        size_bytes += length
        position += header + length
    if not count:
        return None
    run = Run.__new__(Run)
    run.count = count
    run.size_bytes = size_bytes
    run.stop = position
    run._start = start
    run._data = data
    return run


def _cut_out_run(data: bytes, position: int, limit: int) -> Run | None:
    """The same where this isn't compiled: a few looks and a slice for each frame, or none where many are short."""
    payloads: list[bytes] = []
    end = len(data)
    if position >= end or data[position] not in (_TEXT, _BINARY):
        return None
    first = data[position]
    patience = _MANY_BYTES
    short_from = position if end - position >= patience and limit >= _SHORT else end
    while position + 2 <= end and data[position] == first:
        if position >= short_from:
            before = len(payloads)
            position = _cut_out_short(data, position, first, payloads)
            if len(payloads) < before + _MANY_FRAMES:
                patience *= 4
            short_from = position + patience
            continue
        header = header_size(data[position + 1])
        if not header or position + header > end:
            break
        start = position + header
        length = payload_size(data, position, header)
        if length > limit or start + length > end:
            break
        payloads.append(data[start : start + length])
        position = start + length
    return run_of(payloads, position) if payloads else None


def _cut_out_short(data: bytes, position: int, first: int, payloads: list[bytes]) -> int:
    """Append the payloads of a run's next frames that are short; returns the index behind them.

    They end where a header is not in the table, or not of the same size as the one at `position`. Until then no
    line of Python runs: reading a header, looking it up and reading the payload are links of one chain.
    """
    header_size = 4 if data[position + 1] == 126 else 2
    lengths = _SHORT_LENGTHS[first, header_size]
    stream = BytesIO(data)
    stream.seek(position)
    before = len(payloads)
    try:
        payloads.extend(map(stream.read, map(lengths.__getitem__, map(stream.read, repeat(header_size)))))
    except KeyError as unknown:
        header: bytes = unknown.args[0]
    stop = stream.tell() - len(header)
    if not header and len(payloads) > before:
        # The data is at its end, and so perhaps before the end of the last payload.
        start = len(data) - len(payloads[-1])
        if len(payloads[-1]) < lengths[data[start - header_size : start]]:
            payloads.pop()
            stop = start - header_size
    return stop
