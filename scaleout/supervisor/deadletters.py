"""Dead letters: JSON lines in a private file, each with all that is needed to judge and to repeat the message."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import msgspec

from scaleout.core.wire import DeadLetter
from scaleout.supervisor.writer import Callback, SinkWriter


class DeadLetterRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the file."""

    endpoint: str
    stage: str
    """`decode` or `process`."""
    reason: str
    payload: str
    """The message as received: text as it is, anything else in base64."""
    received_at: int
    """Unix time in ns."""
    encoding: str = "text"
    """`base64` where the payload isn't text."""
    traceback: str | None = None


class DeadLetterFile:
    """Writes dead letters.

    Args:
        writer: the way to the file.
        names: each endpoint's name, by slot.
    """

    def __init__(self, writer: SinkWriter, names: Mapping[int, str]) -> None:
        self._writer = writer
        self._names = names
        self._encoder = msgspec.json.Encoder()

    @property
    def pending_bytes(self) -> int:
        """What waits to be written."""
        return self._writer.pending_bytes

    def write(self, letters: Sequence[DeadLetter], callback: Callback) -> None:
        """Write the letters, then call back."""
        records = [self._record(letter) for letter in letters]
        self._writer.write((self._encoder.encode_lines(records),), callback)

    def _record(self, letter: DeadLetter) -> DeadLetterRecord:
        encoding = "text" if letter.is_text else "base64"
        payload = letter.payload.decode() if letter.is_text else base64.b64encode(letter.payload).decode()
        return DeadLetterRecord(
            endpoint=self._names[letter.slot],
            stage=letter.stage,
            reason=letter.reason,
            payload=payload,
            received_at=letter.received_at,
            encoding=encoding,
            traceback=letter.traceback,
        )

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._writer.drain()

    async def close(self, timeout_s: float) -> None:
        """Close the file."""
        await self._writer.close(timeout_s)
