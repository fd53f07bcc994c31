# cython: annotation_typing=False
"""From results to NDJSON lines: one encode call for a read, and the envelope added by one replace.

An encoded result never holds a raw line break, so that the newline behind each line can be replaced by the end
of one envelope and the start of the next: no call per message.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from scaleout.core.frames import IS_COMPILED

Lines = tuple[bytes | bytearray | memoryview, ...]
"""Parts whose concatenation is whole lines."""

HEAD_END = b',"data":'
"""Between the receive time of an envelope and the result."""
LINE_END = b"}\n"

_encoder = msgspec.json.Encoder()


def encode_lines(results: Sequence[object]) -> bytes:
    """Each result as JSON on a line of its own.

    Raises:
        Exception: whatever msgspec says of the first result that can't be encoded.
    """
    lines = _encoder.encode_lines(results)
    return lines if _has_no_breaks(lines, lines.count(b"\n"), results) else _flattened(results)


def encode_loosely(results: Sequence[object]) -> bytes:
    """The same, unless there is pre-encoded JSON in a result: that may hold line breaks.

    Raises:
        Exception: whatever msgspec says of the first result that can't be encoded.
    """
    return _encoder.encode_lines(results)


def _has_no_breaks(lines: bytes, newlines: int, results: Sequence[object]) -> bool:
    """Whether there is a newline behind each result, and no other line break."""
    return newlines == len(results) and b"\r" not in lines


def _flattened(results: Sequence[object]) -> bytes:
    """Results with pre-encoded JSON (`msgspec.Raw`) in them, which may hold line breaks."""
    return b"".join([flatten(_encoder.encode(result)) + b"\n" for result in results])


def types_of(results: Sequence[object]) -> set[type]:
    """The types that there are among results."""
    if not IS_COMPILED:
        return set(map(type, results))
    found: set[type] = set()
    last: type | None = None
    for result in results:
        if type(result) is not last:
            last = type(result)
            found.add(last)
    return found


def flatten(document: bytes) -> bytes:
    """The same JSON document on one line: outside of strings, which can't hold them, breaks are white space."""
    return document.replace(b"\n", b" ").replace(b"\r", b" ")


class LineEncoder:
    """Encodes results of one endpoint.

    Args:
        endpoint: the name that the envelope carries.
        envelope: False for the results alone.
    """

    def __init__(self, endpoint: str, envelope: bool) -> None:
        self._envelope = envelope
        self.head = b'{"endpoint":' + _encoder.encode(endpoint) + b',"received_at":'

    def encode(self, results: Sequence[object], received_at: int) -> Lines:
        """Encode results of one read.

        Raises:
            Exception: whatever msgspec says of the first result that can't be encoded.
        """
        if not self._envelope:
            return (encode_lines(results),) if results else ()
        lines = _encoder.encode_lines(results)
        wrapped = self.wrap(lines, received_at)
        # How much longer the envelopes made them tells how many newlines there are, without counting them.
        newlines = (sum(map(len, wrapped)) - len(lines)) // self._envelope_size(received_at)
        if _has_no_breaks(lines, newlines, results):
            return wrapped
        return self.wrap(_flattened(results), received_at)

    def wrap(self, lines: bytes, received_at: int) -> Lines:
        """Put the envelope around ready JSON lines, each with its newline."""
        if not lines:
            return ()
        if not self._envelope:
            return (lines,)
        prefix = b"%b%d%b" % (self.head, received_at, HEAD_END)
        wrapped = lines.replace(b"\n", LINE_END + prefix)
        return (prefix, memoryview(wrapped)[: -len(prefix)])

    def _envelope_size(self, received_at: int) -> int:
        return len(b"%b%d%b}" % (self.head, received_at, HEAD_END))
