"""What a processor wants, read from its signature."""

from __future__ import annotations

import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import msgspec
from msgspec import Struct

from scaleout.context import Context
from scaleout.errors import ProcessorError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Payload(enum.Enum):
    """What of a message a processor is called with."""

    JSON = "JSON"
    """What the payload says as JSON, decoded to a type."""
    TEXT = "text"
    """The payload of text messages; binary ones are refused."""
    BYTES = "bytes"
    """The payload of messages of either kind, as it came."""
    EITHER = "text or bytes"
    """`str` for text messages, `bytes` for binary ones."""


@dataclass(frozen=True)
class Processor:
    """A function to call with messages, and the form it wants them in."""

    spec: str
    """MODULE:FUNCTION, where it was found."""
    function: Callable[..., object]
    payload: Payload
    type: object = typing.Any
    """What msgspec decodes one message to where the payload is JSON."""
    is_batch: bool = False
    """Whether it takes all that arrived in one read, as a list."""
    wants_context: bool = False
    is_async: bool = False
    """Whether its result is to be awaited."""
    is_generator: bool = False
    """Whether it is a generator function: several results a call."""
    is_async_generator: bool = False

    def describe(self) -> str:
        """Say the form in a few words, such as "one message as feeds.Trade, with context"."""
        if self.payload is not Payload.JSON:
            what = self.payload.value
        elif self.type is typing.Any:
            what = "JSON"
        else:
            what = type_name(self.type)
        words = [f"{'a batch' if self.is_batch else 'one message'} as {what}"]
        if self.wants_context:
            words.append("with context")
        if self.is_async:
            words.append("awaited")
        if self.is_generator or self.is_async_generator:
            words.append("several results")
        return ", ".join(words)


def inspect_processor(function: object, spec: str) -> Processor:
    """Read what a callable wants from its signature.

    Args:
        spec: what to call it in errors.

    Raises:
        ProcessorError: it isn't callable, or what it wants can't be told.
    """
    if inspect.isclass(function):
        raise ProcessorError(
            f"{spec} is a class: make an instance in the module and name that, or its method"
        )
    if not callable(function):
        raise ProcessorError(f"{spec} isn't callable, it is of type {type(function).__name__}")
    message, context = _parameters(function, spec)
    body = _body(function)
    payload, decoded, is_batch = _payload(_annotation(message, function, spec), spec)
    return Processor(
        spec=spec,
        function=function,
        payload=payload,
        type=decoded,
        is_batch=is_batch,
        wants_context=context is not None and _wants_context(context, function, spec),
        is_async=inspect.iscoroutinefunction(body),
        is_generator=inspect.isgeneratorfunction(body),
        is_async_generator=inspect.isasyncgenfunction(body),
    )


def _parameters(
    function: Callable[..., object], spec: str
) -> tuple[inspect.Parameter, inspect.Parameter | None]:
    """The parameter for the message, and the second positional one if there is any."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except NameError as error:
        raise ProcessorError(f"{spec} has an annotation that can't be resolved: {error}") from None
    except (ValueError, TypeError) as error:
        raise ProcessorError(f"the signature of {spec} can't be read: {error}") from None
    required = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
    keyword_only = [each.name for each in required if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if keyword_only:
        raise ProcessorError(
            f"{spec} requires the keyword {keyword_only[0]!r}, which nothing passes: give it a default"
        )
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    if not positional:
        hint = ""
        if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
            hint = " but *args, which doesn't say what it wants (a decorator should use functools.wraps)"
        raise ProcessorError(f"{spec} takes no positional parameter{hint}: the first is the message")
    too_many = [each.name for each in positional[2:] if each in required]
    if too_many:
        expected = "expected the message, and a context if it is wanted"
        raise ProcessorError(f"{spec} requires {2 + len(too_many)} parameters: {expected}")
    return positional[0], positional[1] if len(positional) > 1 else None


def _wants_context(parameter: inspect.Parameter, function: Callable[..., object], spec: str) -> bool:
    has_default = parameter.default is not inspect.Parameter.empty
    if parameter.annotation is inspect.Parameter.empty:
        return not has_default or parameter.name == "context"
    annotation = _annotation(parameter, function, spec)
    if annotation is Context or (_is_union(annotation) and Context in typing.get_args(annotation)):
        return True
    if has_default:
        return False
    what = f"the second parameter of {spec}, {parameter.name!r},"
    raise ProcessorError(
        f"{what} is annotated {type_name(annotation)}: expected scaleout.Context or no annotation"
    )


def _annotation(parameter: inspect.Parameter, function: Callable[..., object], spec: str) -> object:
    """The parameter's annotation, its names looked up where the function was written; without one, Any."""
    if parameter.annotation is inspect.Parameter.empty:
        return typing.Any
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    names = getattr(_body(function), "__globals__", {})
    try:
        hints = typing.get_type_hints(holder, globalns=names, include_extras=True)
    except Exception as error:
        what = f"the annotation of {parameter.name!r} in {spec} can't be resolved"
        raise ProcessorError(f"{what}: {type(error).__name__}: {error}") from None
    annotation: object = hints[parameter.name]
    # `type Batch = list[Trade]` of Python 3.12 names its meaning in `__value__`.
    return getattr(annotation, "__value__", annotation)


def _body(function: Callable[..., object]) -> Callable[..., object]:
    """The plain function within partials, decorators, methods and callable objects."""
    body: object = function
    while isinstance(body, functools.partial):
        body = body.func
    if not inspect.isroutine(body):
        body = getattr(type(body), "__call__", body)  # noqa: B004
    if inspect.ismethod(body):
        body = body.__func__
    assert callable(body)
    unwrapped: Callable[..., object] = inspect.unwrap(body)
    return unwrapped


def _payload(annotation: object, spec: str) -> tuple[Payload, object, bool]:
    """What the first parameter's annotation asks for: (payload, type of one message, whether in batches)."""
    if annotation is list or annotation is typing.List:  # noqa: UP006
        hint = "list[object] for a batch; object, or tuple[...], for one message that is a JSON array"
        raise ProcessorError(f"{spec} takes a bare list: annotate it {hint}")
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        payload, decoded = _single(item, spec)
        return payload, decoded, True
    payload, decoded = _single(annotation, spec)
    return payload, decoded, False


def _single(annotation: object, spec: str) -> tuple[Payload, object]:
    if annotation is typing.Any or annotation is object or isinstance(annotation, typing.TypeVar):
        return Payload.JSON, typing.Any
    if annotation is str:
        return Payload.TEXT, str
    if annotation is bytes:
        return Payload.BYTES, bytes
    if _is_union(annotation) and set(typing.get_args(annotation)) == {str, bytes}:
        return Payload.EITHER, annotation
    _check_decodable(annotation, spec)
    return Payload.JSON, annotation


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _check_decodable(annotation: object, spec: str) -> None:
    if annotation is Context:
        raise ProcessorError(f"the first parameter of {spec} is the message: the context is the second")
    what = f"msgspec can't decode JSON to {type_name(annotation)}, which {spec} takes"
    try:
        msgspec.json.Decoder(annotation)
        information = msgspec.inspect.type_info(annotation)
    except Exception as error:
        raise ProcessorError(f"{what}: {' '.join(str(error).split())}") from None
    # Without a hook, msgspec takes any class, and then refuses every message.
    foreign = next(
        (each.cls for each in _parts(information) if isinstance(each, msgspec.inspect.CustomType)), None
    )
    if foreign is None:
        return
    hint = "use a msgspec.Struct, a dataclass, a TypedDict or built-in types"
    if getattr(foreign, "__module__", "") == "collections.abc":
        hint = "for a batch, annotate it list[...]"
    raise ProcessorError(f"{what}: {type_name(foreign)} isn't data; {hint}")


def _parts(information: object, seen: set[int] | None = None) -> Iterator[object]:
    """All types within a type, the type itself first."""
    seen = set() if seen is None else seen
    if id(information) in seen:
        return
    seen.add(id(information))
    yield information
    if isinstance(information, Struct):
        for name in information.__struct_fields__:
            if name not in ("cls", "default", "default_factory", "json_schema_extra", "extra"):
                yield from _parts(getattr(information, name), seen)
    elif isinstance(information, tuple | list):
        for item in information:
            yield from _parts(item, seen)


def type_name(annotation: object) -> str:
    """What a type is called in the code that uses it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        module = annotation.__module__
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return str(annotation).removeprefix("typing.")
