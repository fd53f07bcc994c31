"""Which pipeline takes an endpoint's messages, by its configuration and its processor's signature."""

from __future__ import annotations

from scaleout.config import Endpoint
from scaleout.processors import load_processor
from scaleout.signatures import Processor
from scaleout.worker.awaited import Awaited
from scaleout.worker.books import Books
from scaleout.worker.decoding import bytes_decoder, text_decoder
from scaleout.worker.permessage import PerMessage
from scaleout.worker.pipeline import Decoded, PassThrough, PerRead, Pipeline, Processed, Sender


def build_pipeline(endpoint: Endpoint, books: Books, send: Sender) -> Pipeline:
    """The pipeline that an endpoint's configuration asks for.

    Raises:
        ProcessorError: its processor can't be used.
    """
    if endpoint.processor is not None:
        processor = load_processor(endpoint.processor)
        return pipeline_class(processor)(books, processor, send)
    if endpoint.format == "json":
        return PassThrough(books)
    return Decoded(books, text_decoder if endpoint.format == "text" else bytes_decoder)


def pipeline_class(processor: Processor) -> type[Processed]:
    """The kind of pipeline that a processor's signature asks for."""
    if processor.is_async or processor.is_async_generator:
        return Awaited
    return PerRead if processor.is_batch else PerMessage
