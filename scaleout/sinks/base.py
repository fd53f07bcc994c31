"""What every sink does: the protocol that the supervisor writes through."""

from __future__ import annotations

import enum
import errno
from collections.abc import Sequence
from typing import Protocol

from scaleout.errors import SinkError

Chunk = bytes | memoryview
"""Encoded records, whole lines: the last byte is a newline. A memoryview is one of plain bytes."""


class Encoding(enum.Enum):
    """What workers must produce for a sink."""

    NDJSON = "ndjson"


class Sink(Protocol):
    """A place where results go; plain blocking code that one thread calls, one call at a time."""

    @property
    def uri(self) -> str:
        """What people call it."""

    @property
    def encoding(self) -> Encoding:
        """What the chunks must hold."""

    def open(self) -> None:
        """Get ready to write; may block for long, as on a FIFO that nobody reads.

        Raises:
            SinkError: it can't be opened now; calling again tries again.
        """

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Write all chunks, in order.

        After a SinkError the next call must bring the same chunks: it goes on where this one stopped,
        and neither repeats nor leaves out a byte.

        Raises:
            SinkError: not everything is written, and trying again may help.
            SinkClosedError: nobody will ever read what is written here.
        """

    def close(self) -> None:
        """Finish what was written and let go of it; a second call does nothing.

        Raises:
            SinkError: what was written may not be complete.
        """


ADVICE = {
    errno.EACCES: "allow this user to write there",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the limit on file sizes, or rotate the file (file:PATH?rotate_size=1GiB)",
    errno.EIO: "check the device",
    errno.ENOENT: "create its directory",
    errno.ENOSPC: "free some space",
    errno.EPIPE: "start a reader",
    errno.EROFS: "make the file system writable",
}


def sink_error(action: str, uri: str, error: OSError) -> SinkError:
    """Say what the system refused, where, and what helps.

    Args:
        action: what was tried, such as "write to".
        uri: the sink, for people.
        error: the refusal.
    """
    reason = error.strerror or str(error)
    advice = ADVICE.get(error.errno) if error.errno is not None else None
    return SinkError(f"can't {action} {uri}: {reason}" + (f" ({advice})" if advice else ""))
