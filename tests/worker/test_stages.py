"""Which stage an endpoint gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from scaleout.config import Endpoint
from scaleout.signatures import inspect_processor
from scaleout.worker.awaited import Awaited
from scaleout.worker.backlog import Backlog
from scaleout.worker.books import Books
from scaleout.worker.outbox import Outbox
from scaleout.worker.permessage import PerMessage
from scaleout.worker.pipeline import Decoded, PassThrough, PerRead
from scaleout.worker.pipelines import pipeline_class
from scaleout.worker.stages import build_stage


def one(message: object) -> object: ...
def many(messages: list[object]) -> object: ...
async def awaited(message: object) -> object: ...
async def awaited_batch(messages: list[object]) -> object: ...
async def generated(message: object) -> AsyncIterator[object]:
    yield message


@pytest.mark.parametrize(
    ("function", "expected"),
    [(one, PerMessage), (many, PerRead), (awaited, Awaited), (awaited_batch, Awaited), (generated, Awaited)],
)
def test_a_processors_signature_says_how_it_is_called(function: Callable[..., Any], expected: type) -> None:
    assert pipeline_class(inspect_processor(function, "x:y")) is expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, PassThrough),
        ({"format": "text"}, Decoded),
        ({"format": "binary"}, Decoded),
        ({"backpressure": "drop_oldest"}, Backlog),
    ],
)
def test_an_endpoint_without_a_processor(keys: dict[str, Any], expected: type) -> None:
    endpoint = Endpoint(uri="ws://feed", **keys)

    async def build() -> object:
        return build_stage(endpoint, Books(0, endpoint, Outbox(), True), lambda message: None)

    assert type(asyncio.run(build())) is expected
