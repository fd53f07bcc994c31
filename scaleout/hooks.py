"""Functions of the user's beside processors: producers of outgoing messages, and what is called about a gap."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from scaleout.errors import ProcessorError
from scaleout.processors import load_object

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


@dataclass(frozen=True)
class Producer:
    """An async generator function, and whether it wants the context."""

    function: Callable[..., AsyncIterator[object]]
    wants_context: bool


@dataclass(frozen=True)
class GapHook:
    """A function that is called with each gap, and whether it wants the context, too."""

    function: Callable[..., object]
    wants_context: bool


def load_producer(spec: str) -> Producer:
    """Import a producer.

    Args:
        spec: MODULE:FUNCTION.

    Raises:
        ProcessorError: it can't be imported, or isn't an async generator function of no or one argument.
    """
    function = load_object(spec)
    if not callable(function) or not inspect.isasyncgenfunction(function):
        raise ProcessorError(f"{spec} isn't an async generator function: `async def` with `yield` in it")
    return Producer(function, _takes(function, spec, 0) == 1)


def load_gap_hook(spec: str) -> GapHook:
    """Import what is called about a gap.

    Args:
        spec: MODULE:FUNCTION.

    Raises:
        ProcessorError: it can't be imported, or can't be called with a gap.
    """
    function = load_object(spec)
    if not callable(function) or inspect.isclass(function):
        raise ProcessorError(f"{spec} isn't a function")
    return GapHook(function, _takes(function, spec, 1) == 2)


def _takes(function: Callable[..., object], spec: str, least: int) -> int:
    """How many arguments to call it with: `least`, or one more, the context."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (NameError, ValueError, TypeError) as error:
        raise ProcessorError(f"the signature of {spec} can't be read: {error}") from None
    positional = [each for each in parameters if each.kind in _POSITIONAL[:2]]
    required = [
        each for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]
    required = [each for each in required if each.kind is not each.VAR_POSITIONAL]
    takes_any = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    most = least + 1
    if len(required) > most or any(each not in positional for each in required):
        raise ProcessorError(f"{spec} requires more than it is called with, which is at most {most}")
    if len(positional) < least and not takes_any:
        raise ProcessorError(f"{spec} takes no argument, and is called with {least}")
    return most if len(positional) > least else least


def problem_of(role: str, spec: str) -> str | None:
    """What is wrong with a function in that role, in one line; None if nothing is."""
    try:
        (load_producer if role == "producer" else load_gap_hook)(spec)
    except ProcessorError as error:
        return str(error)
    return None
