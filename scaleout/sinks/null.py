"""The sink that throws everything away, for demonstrations and measurements."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.sinks.base import Chunk, Encoding


class NullSink:
    """Takes everything and keeps nothing."""

    uri = "null:"
    encoding = Encoding.NDJSON

    def open(self) -> None:
        """There is nothing to open."""

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Discard the chunks."""

    def close(self) -> None:
        """There is nothing to close."""
