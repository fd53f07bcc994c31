"""What a processor wants, read from its signature."""

from __future__ import annotations

import collections.abc
import functools
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest

from scaleout.context import Context
from scaleout.errors import ProcessorError, SendError
from scaleout.signatures import Payload, Processor, inspect_processor

if typing.TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypeCheckers


class Trade(msgspec.Struct):
    price: float
    next: Trade | None = None


@dataclass
class Quote:
    bid: float


class Foreign:
    pass


def inspected(function: object) -> Processor:
    return inspect_processor(function, "feeds:f")


def problem(function: object) -> str:
    with pytest.raises(ProcessorError) as caught:
        inspected(function)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def untyped(message): ...  # type: ignore[no-untyped-def]
def as_object(message: object) -> None: ...
def as_any(message: typing.Any) -> None: ...
def as_text(message: str) -> None: ...
def as_bytes(message: bytes) -> None: ...
def as_either(message: str | bytes) -> None: ...
def as_old_union(message: typing.Union[bytes, str]) -> None: ...  # noqa: UP007
def as_struct(message: Trade) -> None: ...
def as_dataclass(message: Quote) -> None: ...
def as_optional(message: Trade | None) -> None: ...
def as_dict(message: dict[str, int]) -> None: ...
def as_tuple(message: tuple[int, ...]) -> None: ...
def as_raw(message: msgspec.Raw) -> None: ...
def as_sequence(message: collections.abc.Sequence[Trade]) -> None: ...
def batch_of_objects(messages: list[object]) -> None: ...
def batch_of_text(messages: list[str]) -> None: ...
def batch_of_bytes(messages: list[bytes]) -> None: ...
def batch_of_either(messages: list[str | bytes]) -> None: ...
def batch_of_structs(messages: list[Trade]) -> None: ...
def batch_of_batches(messages: list[list[int]]) -> None: ...
def old_batch(messages: typing.List[Trade]) -> None: ...  # noqa: UP006
def type_hinted_result(message: Trade) -> OnlyForTypeCheckers: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "payload", "decoded", "is_batch"),
    [
        (untyped, Payload.JSON, typing.Any, False),
        (as_object, Payload.JSON, typing.Any, False),
        (as_any, Payload.JSON, typing.Any, False),
        (as_text, Payload.TEXT, str, False),
        (as_bytes, Payload.BYTES, bytes, False),
        (as_either, Payload.EITHER, str | bytes, False),
        (as_old_union, Payload.EITHER, bytes | str, False),
        (as_struct, Payload.JSON, Trade, False),
        (as_dataclass, Payload.JSON, Quote, False),
        (as_optional, Payload.JSON, typing.Optional[Trade], False),  # noqa: UP045
        (as_dict, Payload.JSON, dict[str, int], False),
        (as_tuple, Payload.JSON, tuple[int, ...], False),
        (as_raw, Payload.JSON, msgspec.Raw, False),
        (as_sequence, Payload.JSON, collections.abc.Sequence[Trade], False),
        (batch_of_objects, Payload.JSON, typing.Any, True),
        (batch_of_text, Payload.TEXT, str, True),
        (batch_of_bytes, Payload.BYTES, bytes, True),
        (batch_of_either, Payload.EITHER, str | bytes, True),
        (batch_of_structs, Payload.JSON, Trade, True),
        (batch_of_batches, Payload.JSON, list[int], True),
        (old_batch, Payload.JSON, Trade, True),
        (type_hinted_result, Payload.JSON, Trade, False),
    ],
)
def test_payloads(function: Callable[..., object], payload: Payload, decoded: object, is_batch: bool) -> None:
    processor = inspected(function)
    assert (processor.payload, processor.type, processor.is_batch) == (payload, decoded, is_batch)
    assert (processor.function, processor.wants_context, processor.is_async) == (function, False, False)


def annotated_context(message: Trade, context: Context) -> None: ...
def optional_context(message: Trade, context: Context | None = None) -> None: ...
def nameless_context(message: Trade, whatever) -> None: ...  # type: ignore[no-untyped-def]
def positional_only(message: Trade, c: Context, /) -> None: ...
def untyped_default(message: Trade, context=None) -> None: ...  # type: ignore[no-untyped-def]
def with_a_default(message: Trade, scale=10) -> None: ...  # type: ignore[no-untyped-def]
def with_an_annotated_default(message: Trade, scale: int = 10) -> None: ...
def with_more_defaults(message: Trade, c: Context, scale: int = 10, *rest: int, key: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (annotated_context, True),
        (optional_context, True),
        (nameless_context, True),
        (positional_only, True),
        (untyped_default, True),
        (with_a_default, False),
        (with_an_annotated_default, False),
        (with_more_defaults, True),
    ],
)
def test_context(function: Callable[..., object], expected: bool) -> None:
    assert inspected(function).wants_context is expected


async def coroutine(message: Trade) -> None: ...
def generator(message: Trade) -> Iterator[int]:
    yield 1


async def async_generator(message: Trade) -> AsyncIterator[int]:
    yield 1


class Handler:
    scale = 2

    def method(self, message: Trade, context: Context) -> None: ...
    async def __call__(self, message: Trade) -> None: ...
    @classmethod
    def of_class(cls, message: Trade) -> None: ...
    @staticmethod
    def static(message: Trade) -> None: ...


def logged(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*args: object) -> object:
        return function(*args)

    return wrapper


def swapped(scale: int, message: Trade) -> None: ...


@pytest.mark.parametrize(
    ("function", "forms"),
    [
        (as_struct, (False, False, False)),
        (coroutine, (True, False, False)),
        (generator, (False, True, False)),
        (async_generator, (False, False, True)),
        (Handler(), (True, False, False)),
        (Handler().method, (False, False, False)),
        (Handler.of_class, (False, False, False)),
        (Handler.static, (False, False, False)),
        (functools.partial(swapped, 5), (False, False, False)),
        (functools.partial(functools.partial(coroutine)), (True, False, False)),
        (logged(coroutine), (True, False, False)),
        (logged(as_struct), (False, False, False)),
    ],
)
def test_kinds_of_callables(function: object, forms: tuple[bool, bool, bool]) -> None:
    processor = inspected(function)
    assert processor.type is Trade
    assert (processor.is_async, processor.is_generator, processor.is_async_generator) == forms


def test_a_method_may_want_context() -> None:
    assert inspected(Handler().method).wants_context


def nothing() -> None: ...
def only_keywords(*, message: Trade) -> None: ...
def only_arguments(*args: Trade) -> None: ...
def three(message: Trade, context: Context, third: int) -> None: ...
def required_keyword(message: Trade, *, key: int) -> None: ...
def second_is_data(message: Trade, other: int) -> None: ...
def unresolvable(message: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unresolvable_second(message: Trade, context: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def for_type_checkers(message: OnlyForTypeCheckers) -> None: ...
def bare_list(messages: list) -> None: ...  # type: ignore[type-arg]
def bare_typing_list(messages: typing.List) -> None: ...  # type: ignore[type-arg]  # noqa: UP006
def ambiguous(message: str | bytes | int) -> None: ...
def foreign(message: Foreign) -> None: ...
def deep_foreign(messages: list[dict[str, tuple[Foreign, ...]]]) -> None: ...
def iterable(messages: collections.abc.Iterable[Trade]) -> None: ...
def context_first(context: Context) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nothing, "feeds:f takes no positional parameter: the first is the message"),
        (only_keywords, "feeds:f requires the keyword 'message', which nothing passes"),
        (only_arguments, "feeds:f takes no positional parameter but *args"),
        (three, "feeds:f requires 3 parameters: expected the message, and a context if it is wanted"),
        (required_keyword, "feeds:f requires the keyword 'key', which nothing passes: give it a default"),
        (
            second_is_data,
            "feeds:f, 'other', is annotated int: expected scaleout.Context or no annotation",
        ),
        (unresolvable, "the annotation of 'message' in feeds:f can't be resolved: NameError: name 'Missing'"),
        (unresolvable_second, "the annotation of 'context' in feeds:f can't be resolved: NameError"),
        (for_type_checkers, "can't be resolved: NameError: name 'OnlyForTypeCheckers' is not defined"),
        (bare_list, "feeds:f takes a bare list: annotate it list[object] for a batch; object, or tuple[...]"),
        (bare_typing_list, "feeds:f takes a bare list: annotate it list[object] for a batch"),
        (
            ambiguous,
            "msgspec can't decode JSON to str | bytes | int, which feeds:f takes: Type unions may not",
        ),
        (foreign, "Foreign isn't data; use a msgspec.Struct, a dataclass, a TypedDict or built-in types"),
        (deep_foreign, "Foreign isn't data; use a msgspec.Struct"),
        (iterable, "collections.abc.Iterable isn't data; for a batch, annotate it list[...]"),
        (context_first, "the first parameter of feeds:f is the message: the context is the second"),
        (5, "feeds:f isn't callable, it is of type int"),
        (Handler, "feeds:f is a class: make an instance in the module and name that, or its method"),
        (min, "the signature of feeds:f can't be read: "),
    ],
)
def test_problems(function: object, expected: str) -> None:
    assert expected in problem(function)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (untyped, "one message as JSON"),
        (annotated_context, f"one message as {__name__}.Trade, with context"),
        (batch_of_text, "a batch as text"),
        (as_either, "one message as text or bytes"),
        (coroutine, f"one message as {__name__}.Trade, awaited"),
        (generator, f"one message as {__name__}.Trade, several results"),
        (as_dict, "one message as dict[str, int]"),
    ],
)
def test_descriptions(function: Callable[..., object], expected: str) -> None:
    assert inspected(function).describe() == expected


def test_context_sends_on_its_connection() -> None:
    sent: list[str | bytes] = []
    context = Context("btc", 5, sent.append)
    context.send("hello")
    context.send(b"bytes")
    assert sent == ["hello", b"bytes"]
    assert (context.endpoint, context.received_at) == ("btc", 5)
    assert repr(context) == "Context(endpoint='btc', received_at=5)"


def test_context_passes_on_that_the_connection_is_gone() -> None:
    def gone(message: str | bytes) -> None:
        raise SendError("btc: the connection is closed")

    with pytest.raises(SendError, match="btc: the connection is closed"):
        Context("btc", 5, gone).send("x")
