"""From the payloads of a read to the messages that a processor takes.

Payloads are decoded one by one: joined by newlines they could be decoded in one call, which is no faster, but then
two documents in one message and an empty message beside it would look like two good messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from scaleout.core.frames import Kind, are_ascii
from scaleout.signatures import Payload, Processor


class Read(msgspec.Struct, gc=False):
    """What one read from a socket brought: payloads of one kind, in order."""

    payloads: list[bytes]
    kind: Kind
    received_at: int
    """Unix time in ns."""


class WrongKindError(ValueError):
    """A binary message where text is wanted."""


Decode = Callable[[bytes], object]
"""From a payload to a message; raises when it is bad."""

Decoder = Callable[[Read], Decode | None]
"""How to decode the payloads of a read; None: they are the messages."""


def json_decoder(wanted: Any) -> Decoder:
    """JSON to an annotated type (any JSON where the type is `object`), in either kind of message."""
    decode: Decode = msgspec.json.Decoder(wanted).decode

    def decode_checked(payload: bytes) -> object:
        payload.decode()
        return decode(payload)

    def choose(read: Read) -> Decode:
        # Text has been checked by the connection, and msgspec does not look into strings that it skips.
        return decode if read.kind is Kind.TEXT or are_ascii(read.payloads) else decode_checked

    return choose


def text_decoder(read: Read) -> Decode:
    """Text messages as `str`; a binary one is bad."""
    return bytes.decode if read.kind is Kind.TEXT else _refuse


def bytes_decoder(read: Read) -> None:
    """Payloads as they are, of either kind."""


def either_decoder(read: Read) -> Decode | None:
    """Text messages as `str`, binary ones as `bytes`."""
    return bytes.decode if read.kind is Kind.TEXT else None


def _refuse(payload: bytes) -> object:
    raise WrongKindError("a binary message where only text is taken")


def decoder_for(processor: Processor) -> Decoder:
    """The decoder that a processor's signature asks for."""
    match processor.payload:
        case Payload.TEXT:
            return text_decoder
        case Payload.BYTES:
            return bytes_decoder
        case Payload.EITHER:
            return either_decoder
        case Payload.JSON:
            return json_decoder(processor.type)
