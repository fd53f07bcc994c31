"""By what a message is known again: a hash that is the same in all workers and on all connections."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from xxhash import xxh3_64_intdigest

from scaleout.config import Endpoint
from scaleout.core.fields import Field, Path, field_reader

BREAK = 0
"""In the place of a hash: what comes after it was brought by another connection, so that there may be a gap."""

Identify = Callable[[list[bytes]], list[int]]
"""Makes a number of 64 bits for each payload."""


def hashes_of(payloads: list[bytes]) -> list[int]:
    """The hashes of whole payloads."""
    return list(map(xxh3_64_intdigest, payloads))


def identity_of(endpoint: Endpoint) -> Identify:
    """How an endpoint's messages are known: by the field that it names as `identity`, or as a whole."""
    return hashes_of if endpoint.identity is None else _by_field(endpoint.identity)


def _by_field(path: str) -> Identify:
    read = field_reader(Field(Path(path), msgspec.Raw, _to_raw)).read

    def identify(payloads: list[bytes]) -> list[int]:
        """A message without the field, or that can't be read, is known as a whole."""
        return [
            xxh3_64_intdigest(payload if raw is None else raw)
            for payload, raw in zip(payloads, read(payloads), strict=True)
        ]

    return identify


def _to_raw(value: object) -> bytes | None:
    """What stands for a field that could only be found by decoding all of the message."""
    return None if value is None else msgspec.json.encode(value)
