"""Which decoder a read gets."""

from __future__ import annotations

import msgspec
import pytest

from scaleout.core.frames import Kind
from scaleout.signatures import Payload, Processor
from scaleout.worker.decoding import Read, WrongKindError, decoder_for


def read(kind: Kind, payload: bytes = b"1") -> Read:
    return Read([payload], kind, 1)


def processor(payload: Payload, wanted: object = object) -> Processor:
    return Processor("feeds:on_message", print, payload, wanted)


def test_json_in_binary_messages_must_be_utf8_all_over() -> None:
    decoder = decoder_for(processor(Payload.JSON, msgspec.Raw))
    bad = b'{"a":"\xff"}'
    decode = decoder(read(Kind.BINARY, bad))
    assert decode is not None
    with pytest.raises(UnicodeDecodeError):
        decode(bad)
    assert decode(b'{"a":1}') == msgspec.Raw(b'{"a":1}')


def test_text_refuses_binary() -> None:
    decoder = decoder_for(processor(Payload.TEXT))
    as_text, as_binary = decoder(read(Kind.TEXT)), decoder(read(Kind.BINARY))
    assert as_text is not None and as_binary is not None
    assert as_text("\u20ac".encode()) == "\u20ac"
    with pytest.raises(WrongKindError):
        as_binary(b"a")


def test_bytes_are_not_decoded() -> None:
    assert decoder_for(processor(Payload.BYTES))(read(Kind.TEXT)) is None
    assert decoder_for(processor(Payload.EITHER))(read(Kind.BINARY)) is None
    assert decoder_for(processor(Payload.EITHER))(read(Kind.TEXT)) is bytes.decode
