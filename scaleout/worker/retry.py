"""A dead letter's second chance: one payload through what its endpoint's messages go through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.context import Context
from scaleout.core.frames import Kind
from scaleout.errors import SendError
from scaleout.signatures import Processor
from scaleout.worker.books import Failure, Fate, fate_of, fate_of_batch
from scaleout.worker.calls import outcome_of, timed_out
from scaleout.worker.decoding import Decoder, Read, bytes_decoder, decoder_for, json_decoder, text_decoder
from scaleout.worker.encoding import LineEncoder, flatten
from scaleout.worker.pipeline import Sender, attempt_next, undecodable


class Delivered(Struct, frozen=True):
    """It has results."""

    results: int
    lines: bytes
    """The results, encoded, with the envelope where there is to be one; whole lines."""


class Filtered(Struct, frozen=True):
    """It was processed, and there is no result."""


class Dead(Struct, frozen=True):
    """It has failed again."""

    stage: str
    """`decode` or `process`."""
    reason: str
    traceback: str | None


Outcome = Delivered | Filtered | Dead


def refuse_to_send(message: str | bytes) -> None:
    """Stand in for a connection where there is none.

    Raises:
        SendError: always.
    """
    raise SendError("not connected: this message is a dead letter that is retried")


class Retrier:
    """Tries an endpoint's dead letters again, one at a time, as its pipeline would.

    A batch processor gets a batch of one. Nothing is counted or written here.

    Args:
        endpoint: the configuration as it is.
        processor: the endpoint's; None where it has none, and its `format` is checked alone.
        envelope: whether results are wrapped.
        send: what a processor's `context.send` does.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        processor: Processor | None,
        envelope: bool,
        send: Sender = refuse_to_send,
    ) -> None:
        self._endpoint = endpoint
        self._processor = processor
        self._send = send
        self._encoder = LineEncoder(endpoint.name, envelope)
        self._decoder = _decoder_of(endpoint) if processor is None else decoder_for(processor)

    async def attempt(self, payload: bytes, is_text: bool, received_at: int) -> Outcome:
        """Try one payload.

        Args:
            is_text: whether it came in a text message.
            received_at: when it came, Unix time in ns.

        Raises:
            CancelledError: whoever awaits this was cancelled. A processor's own errors are outcomes.
        """
        read = Read([payload], Kind.TEXT if is_text else Kind.BINARY, received_at)
        message = _decode(self._decoder, read)
        if isinstance(message, Failure):
            return Dead("decode", message.reason, message.traceback)
        if self._processor is None and self._endpoint.format == "json":
            return Delivered(1, b"".join(self._encoder.wrap(flatten(payload) + b"\n", received_at)))
        fate: Fate = [message]
        if self._processor is not None:
            fate = await self._process(self._processor, message, read)
        return self._encoded(fate, received_at)

    async def _process(self, processor: Processor, message: object, read: Read) -> Fate:
        arguments: list[object] = [[message] if processor.is_batch else message]
        if processor.wants_context:
            arguments.append(Context(self._endpoint.name, read.received_at, self._send))
        if processor.is_async or processor.is_async_generator:
            outcome = await self._await(processor, arguments)
        else:
            outcomes: list[object] = []
            argument, *further = ([each] for each in arguments)
            attempt_next(processor.function, iter(argument), 1, outcomes, *further)
            (outcome,) = outcomes
        return fate_of_batch(outcome) if processor.is_batch else fate_of(outcome)

    async def _await(self, processor: Processor, arguments: Sequence[object]) -> object:
        limit = asyncio.timeout(self._endpoint.timeout)
        try:
            async with limit:
                return await outcome_of(processor, *arguments)
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if limit.expired() and self._endpoint.timeout is not None:
                return timed_out(self._endpoint.timeout)
            return Failure(exc)

    def _encoded(self, fate: Fate, received_at: int) -> Outcome:
        lines = b""
        if not isinstance(fate, Failure):
            try:
                lines = b"".join(self._encoder.encode(fate, received_at))
            except Exception as exc:  # whatever msgspec says of a result that it can't encode
                fate = Failure(exc)
        if isinstance(fate, Failure):
            return Dead("process", fate.reason, fate.traceback)
        return Delivered(len(fate), lines) if fate else Filtered()


def _decoder_of(endpoint: Endpoint) -> Decoder:
    """What checks messages where there is no processor."""
    match endpoint.format:
        case "json":
            return json_decoder(msgspec.Raw)
        case "text":
            return text_decoder
        case "binary":
            return bytes_decoder


def _decode(decoder: Decoder, read: Read) -> object:
    """The message, or a `Failure`."""
    (payload,) = read.payloads
    outcomes: list[object] = []
    if read.kind is Kind.TEXT:
        # A connection checks that of what it receives; this payload may come from an editor.
        attempt_next(bytes.decode, iter([payload]), 1, outcomes, fail=undecodable)
        if isinstance(outcomes[0], Failure):
            return outcomes[0]
    decode = decoder(read)
    if decode is None:
        return payload
    outcomes.clear()
    attempt_next(decode, iter([payload]), 1, outcomes, fail=undecodable)
    return outcomes[0]
