"""From the payloads of one read to the messages that a processor takes: all at once, or one by one.

All at once is the rule: one call for the whole read. Only when that fails are the payloads decoded one by one,
so that the bad one is found and the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from scaleout.core.frames import Kind
from scaleout.signatures import Payload, Processor


class Read(msgspec.Struct, gc=False):
    """What one read from a socket brought: payloads of one kind, in order."""

    payloads: list[bytes]
    joined: bytes
    """The payloads, with a newline between each two."""
    kind: Kind
    received_at: int
    """Unix time in ns."""

    @property
    def has_one_line_each(self) -> bool:
        """Whether the lines of `joined` are exactly the payloads."""
        return self.joined.count(b"\n") == len(self.payloads) - 1


class WrongKindError(ValueError):
    """A binary message where text is wanted."""


class Decoder(Protocol):
    """Decodes payloads for one processor."""

    def decode_all(self, read: Read) -> Sequence[object]:
        """All messages of a read, one for each payload; any exception means that one of them is bad."""

    def decode_one(self, payload: bytes, kind: Kind) -> object:
        """One message; raises when it is bad."""


class JSONDecoder:
    """JSON to an annotated type (any JSON where the type is `object`), in either kind of message."""

    def __init__(self, wanted: Any) -> None:
        self._decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(wanted)

    def decode_all(self, read: Read) -> list[object]:
        """One call on the joined payloads."""
        if not read.has_one_line_each:
            return [self._decoder.decode(payload) for payload in read.payloads]
        messages = self._decoder.decode_lines(read.joined)
        if len(messages) != len(read.payloads):
            raise ValueError("an empty message")
        return messages

    def decode_one(self, payload: bytes, kind: Kind) -> object:
        """One call on one payload."""
        return self._decoder.decode(payload)


class TextDecoder:
    """Text messages as `str`; a binary one is bad."""

    def decode_all(self, read: Read) -> list[str]:
        """The connection has seen to it that text is valid UTF-8."""
        if read.kind is not Kind.TEXT:
            raise WrongKindError
        return [payload.decode() for payload in read.payloads]

    def decode_one(self, payload: bytes, kind: Kind) -> str:
        """One text message."""
        if kind is not Kind.TEXT:
            raise WrongKindError("a binary message where only text is taken")
        return payload.decode()


class BytesDecoder:
    """Payloads as they are, of either kind."""

    def decode_all(self, read: Read) -> list[bytes]:
        """The payloads themselves."""
        return read.payloads

    def decode_one(self, payload: bytes, kind: Kind) -> bytes:
        """The payload itself."""
        return payload


class EitherDecoder:
    """Text messages as `str`, binary ones as `bytes`."""

    def decode_all(self, read: Read) -> list[str | bytes]:
        """By the kind of the read."""
        if read.kind is Kind.TEXT:
            return [payload.decode() for payload in read.payloads]
        return list(read.payloads)

    def decode_one(self, payload: bytes, kind: Kind) -> str | bytes:
        """By the kind of the message."""
        return payload.decode() if kind is Kind.TEXT else payload


def decoder_for(processor: Processor) -> Decoder:
    """The decoder that a processor's signature asks for."""
    match processor.payload:
        case Payload.TEXT:
            return TextDecoder()
        case Payload.BYTES:
            return BytesDecoder()
        case Payload.EITHER:
            return EitherDecoder()
        case Payload.JSON:
            return JSONDecoder(processor.type)
