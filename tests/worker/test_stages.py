"""Which stage an endpoint gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.config import Endpoint
from scaleout.errors import ProcessorError
from scaleout.signatures import inspect_processor
from scaleout.worker.awaited import Awaited
from scaleout.worker.backlog import Backlog
from scaleout.worker.books import Books
from scaleout.worker.outbox import Outbox
from scaleout.worker.permessage import PerMessage
from scaleout.worker.pipeline import Decoded, PassThrough, PerRead
from scaleout.worker.pipelines import pipeline_class
from scaleout.worker.spread.spread import Spread
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


MODULE = """
def plain(message: object) -> object: ...
async def awaited(message: object) -> object: ...
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Builds the stage of an endpoint with a processor, and ends it."""
    (tmp_path / "staged.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def build(function: str, **keys: Any) -> object:
        endpoint = Endpoint(uri="ws://feed", processor=f"staged:{function}", **keys)

        async def build() -> object:
            stage = build_stage(endpoint, Books(0, endpoint, Outbox(), True), lambda message: None)
            await stage.drain(0)
            return stage

        return asyncio.run(build())

    return build


@pytest.mark.parametrize(("processors", "expected"), [(0, PerMessage), ("auto", Spread)])
def test_the_processors_of_an_endpoint(
    build: Callable[..., object], processors: object, expected: type
) -> None:
    assert type(build("plain", processors=processors)) is expected
    backlog = build("plain", processors=processors, backpressure="latest")
    assert isinstance(backlog, Backlog)
    assert type(backlog.pipeline) is expected


def test_an_async_function_is_for_the_worker_itself(build: Callable[..., object]) -> None:
    assert isinstance(build("awaited"), Awaited)
    with pytest.raises(ProcessorError, match="works with plain functions, and staged:awaited is async"):
        build("awaited", processors="auto")


def test_without_a_processor_there_is_nothing_to_spread() -> None:
    endpoint = Endpoint(uri="ws://feed", processors="auto")

    async def build() -> object:
        return build_stage(endpoint, Books(0, endpoint, Outbox(), True), lambda message: None)

    assert type(asyncio.run(build())) is PassThrough
