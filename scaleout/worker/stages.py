"""What takes an endpoint's messages: its pipeline, in the worker or in helpers, and what stands before that."""

from __future__ import annotations

from collections.abc import Callable

from scaleout.config import Endpoint
from scaleout.errors import ProcessorError
from scaleout.processors import load_processor
from scaleout.worker.backlog import Backlog
from scaleout.worker.books import Books
from scaleout.worker.pipeline import Pipeline, Sender
from scaleout.worker.pipelines import build_pipeline
from scaleout.worker.spread.spread import Spread


def build_stage(
    endpoint: Endpoint,
    books: Books,
    send: Sender,
    processors: int = 0,
    on_resize: Callable[[], None] = lambda: None,
) -> Pipeline | Backlog:
    """What takes an endpoint's messages, behind a backlog if connections are not to be held back.

    Args:
        endpoint: its configuration.
        books: its books.
        send: sends on its connection.
        processors: how many helpers it has at first, where their number is `auto`.
        on_resize: called after each change of that number.

    Raises:
        ProcessorError: its processor can't be used.
    """
    pipeline: Pipeline
    if endpoint.processors and endpoint.processor is not None:
        processor = load_processor(endpoint.processor)
        if processor.is_async or processor.is_async_generator:
            raise ProcessorError(f"`processors` works with plain functions, and {processor.spec} is async")
        pipeline = Spread(books, processor, send, processors, on_resize)
    else:
        pipeline = build_pipeline(endpoint, books, send)
    return pipeline if endpoint.backpressure == "block" else Backlog(books, pipeline)
