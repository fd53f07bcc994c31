# cython: annotation_typing=False
"""Finds compressed messages in a read and inflates them (permessage-deflate, RFC 7692), a run at a time.

The window is the extension's own, so that messages which the library inflates, being fragmented, and those which
are inflated here may follow each other in any order. What can't be inflated is left to the library to refuse.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from scaleout.core.frames import NO_LIMIT, Kind
from scaleout.core.headers import header_size, payload_size
from scaleout.core.runs import Run, run_of

_COMPRESSED = 0x40
"""The bit of a first byte that says so."""
_COMPRESSED_TEXT = Kind.TEXT | _COMPRESSED
_COMPRESSED_BINARY = Kind.BINARY | _COMPRESSED
_END = b"\x00\x00\xff\xff"
"""What the sender cuts off behind each message (section 7.2.1)."""
_COPIED_BELOW = 2044
"""As in the library: shorter payloads are inflated together with `_END`, and others before it. Of data that break
off, the two make different messages."""
_RUN_BYTES = 2**20
"""Inflated, so much is handed on before more is inflated."""


class Decoder(Protocol):
    """What is seen of a `zlib.decompressobj`."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What was left when the output was as long as it might become."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Inflate to at most so many bytes; 0: to any number."""


class Extension(Protocol):
    """What is seen of the extension as it was negotiated."""

    decoder: Decoder
    """Where the server takes its context over: holds the window."""
    remote_no_context_takeover: bool
    remote_max_window_bits: int


class TooLarge:
    """A decoder that finds everything too large."""

    unconsumed_tail = _END

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Inflate nothing."""
        return b""


class Inflater:
    """Inflates the messages of one connection.

    Args:
        extension: its state.
        limit: largest payload in bytes, compressed and inflated; None: there is no limit.
    """

    def __init__(self, extension: Extension, limit: int | None) -> None:
        self._extension = extension
        self._limit = NO_LIMIT if limit is None else min(limit, NO_LIMIT)
        self._max_length = 0 if limit is None else self._limit
        self._begins_anew = extension.remote_no_context_takeover
        self._wbits = -extension.remote_max_window_bits
        self._has_failed = False

    def find_run(self, data: bytes, position: int) -> Run | None:
        """Inflate the run of messages of one kind that starts with the compressed one at `position`.

        Args:
            data: bytes as they came from the transport.
            position: index of a frame's first byte.

        Returns:
            The run, the messages of plain frames between the compressed ones in it. Behind it the data ends, or a
            frame begins that is incomplete, of another kind or too large, or that the library will refuse; or else
            it is long enough. None where such a frame is at `position`.
        """
        payloads: list[bytes] = []
        octets = data
        end = len(data)
        if self._has_failed or position >= end:
            return None
        compressed = octets[position]
        if compressed != _COMPRESSED_TEXT and compressed != _COMPRESSED_BINARY:
            return None
        plain = compressed ^ _COMPRESSED
        size = 0
        decoder = None if self._begins_anew else self._extension.decoder
        while position + 2 <= end and size < _RUN_BYTES:
            first = octets[position]
            if first != compressed and first != plain:
                break
            header = header_size(octets[position + 1])
            if not header or position + header > end:
                break
            start = position + header
            length = payload_size(octets, position, header)
            if length > self._limit or start + length > end:
                break
            payload = data[start : start + length]
            if first == compressed:
                inflated = self._inflate(payload, decoder)
                if inflated is None:
                    self._has_failed = True
                    break
                payload = inflated
            payloads.append(payload)
            size += len(payload)
            position = start + length
        return run_of(payloads, position) if payloads else None

    def _inflate(self, payload: bytes, decoder: Decoder | None) -> bytes | None:
        """Inflate one message; None: the library, handed the same, will find the same fault."""
        if decoder is None:
            decoder = zlib.decompressobj(self._wbits)
        is_short = len(payload) < _COPIED_BELOW
        try:
            inflated = decoder.decompress(payload + _END if is_short else payload, self._max_length)
            is_too_large = len(inflated) == self._limit and len(decoder.unconsumed_tail) > 0
            if not is_short and not is_too_large:
                is_too_large = len(decoder.decompress(_END, 1)) > 0
        except zlib.error:
            # A decoder that has failed once fails always.
            return None
        if not is_too_large:
            return inflated
        if not self._begins_anew:
            # It has gone past the fault.
            self._extension.decoder = TooLarge()
        return None
