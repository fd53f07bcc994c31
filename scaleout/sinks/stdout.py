"""The sink on standard output."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence

from scaleout.errors import SinkClosedError, SinkError
from scaleout.sinks.base import Chunk, Encoding, sink_error
from scaleout.sinks.lines import LineWriter


class StdoutSink:
    """Writes to standard output, which it never closes.

    Args:
        fd: the descriptor of standard output.
    """

    uri = "-"
    encoding = Encoding.NDJSON

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._lines = LineWriter()

    def open(self) -> None:
        """See that there is a standard output."""
        if sys.__stdout__ is None:  # closed before the start: the descriptor may be anything by now
            raise SinkError(
                "can't write to standard output: it is closed; redirect it or choose another sink"
            )

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Write all chunks, in order."""
        try:
            self._lines.write(self._fd, chunks)
        except OSError as error:
            if isinstance(error, ConnectionError) or self._is_hung_up_terminal(error):
                raise SinkClosedError("the reader of standard output has gone") from error
            raise sink_error("write to", "standard output", error) from error

    def close(self) -> None:
        """Leave standard output open for the rest of the process."""

    def _is_hung_up_terminal(self, error: OSError) -> bool:
        return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(self._fd).st_mode)
