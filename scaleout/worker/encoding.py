"""From results to NDJSON lines: one encode call for a read, and the envelope added by one replace.

An encoded result never holds a raw newline, so that the newline behind each line can be replaced by the end
of one envelope and the start of the next: no call per message.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Lines = tuple[bytes | memoryview, ...]
"""Parts whose concatenation is whole lines."""

_encoder = msgspec.json.Encoder()


class LineEncoder:
    """Encodes results of one endpoint.

    Args:
        endpoint: the name that the envelope carries.
        envelope: False for the results alone.
    """

    def __init__(self, endpoint: str, envelope: bool) -> None:
        self._envelope = envelope
        self._head = b'{"endpoint":' + _encoder.encode(endpoint) + b',"received_at":'

    def encode(self, results: Sequence[object], received_at: int) -> Lines:
        """Encode results of one read.

        Raises:
            Exception: whatever msgspec says of the first result that can't be encoded.
        """
        lines = _encoder.encode_lines(results)
        if lines.count(b"\n") != len(results):  # pre-encoded JSON (`msgspec.Raw`) with line breaks in it
            lines = b"".join(flatten(_encoder.encode(result)) + b"\n" for result in results)
        return self.wrap(lines, received_at)

    def wrap(self, lines: bytes, received_at: int) -> Lines:
        """Put the envelope around ready JSON lines, each with its newline."""
        if not self._envelope:
            return (lines,)
        prefix = b'%b%d,"data":' % (self._head, received_at)
        wrapped = lines.replace(b"\n", b"}\n" + prefix)
        return (prefix, memoryview(wrapped)[: -len(prefix)])


def flatten(document: bytes) -> bytes:
    """The same JSON document on one line: outside of strings, which can't hold them, breaks are white space."""
    return document.replace(b"\n", b" ").replace(b"\r", b" ")
