"""Readers of a configuration's values: one value, an array, a table, a message, a function, a sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from scaleout.loading.checks import TOKEN, check_json, header_value
from scaleout.loading.reading import BAD, Check, Reader, Reading, UnusableError, WrongError, found, join
from scaleout.secrets import redact_uri
from scaleout.sinks import check_sink


def leaf(check: Check, show: Callable[[str], str] = str) -> Reader:
    """A reader of one value."""

    def read(reading: Reading, raw: object, key: str) -> object:
        return reading.leaf(raw, key, check, show)

    return read


def array(item: Reader, of: str, *, or_one: bool = False) -> Reader:
    """A reader of an array as a tuple.

    Args:
        of: what its items are, in words.
        or_one: whether a single text stands for an array of it.
    """

    def read(reading: Reading, raw: object, key: str) -> object:
        if or_one and isinstance(raw, str):
            value = item(reading, raw, key)
            return BAD if value is BAD else (value,)
        if not isinstance(raw, list | tuple):
            return reading.leaf(raw, key, never(f"{'a text or ' if or_one else ''}an array of {of}"))
        values = [item(reading, each, f"{key}[{index}]") for index, each in enumerate(raw)]
        return BAD if any(value is BAD for value in values) else tuple(values)

    return read


def never(expected: str) -> Check:
    def check(value: object) -> object:
        raise WrongError(expected)

    return check


def headers(reading: Reading, raw: object, key: str) -> object:
    """Read a table of header names and values; values are never shown."""
    if not isinstance(raw, Mapping):
        return reading.leaf(raw, key, never("a table of header names and values"), lambda _: "…")
    values: dict[str, object] = {}
    for name, value in raw.items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            reading.fault(join(key, name), "expected a header's name: letters, digits and dashes")
        elif value is not None:
            values[name] = reading.leaf(value, join(key, name), header_value, lambda _: "…")
    return BAD if any(value is BAD for value in values.values()) else values


def outgoing(reading: Reading, raw: object, key: str) -> object:
    """Read a message to send: a text as it is, a table or an array as JSON."""

    def check(value: object) -> object:
        if not isinstance(value, str | list | tuple | Mapping):
            raise WrongError("a text, a table or an array")
        check_json(value)
        return reading.expand_all(value)

    # `leaf` expands a text on its own, and once is enough.
    return reading.leaf(raw, key, _as_it_is if isinstance(raw, str) else check)


def pattern(reading: Reading, raw: object, key: str) -> object:
    """Read what messages are recognized by: a text, or what they contain."""
    if isinstance(raw, list | tuple | Mapping) and not raw:
        reading.fault(
            key, f"expected what the message contains, found {found(raw)} that is empty: it would match all"
        )
        return BAD
    return outgoing(reading, raw, key)


def _as_it_is(value: object) -> object:
    return value


def function(role: str, expected: str) -> Reader:
    """A reader of the name of a function, which is imported where the source is read for that.

    Args:
        role: what it is for, as `Reading.function_problem` knows it.
        expected: what it is, in words.
    """

    def read(reading: Reading, raw: object, key: str) -> object:
        def check(value: object) -> object:
            if not isinstance(value, str) or not value.isprintable() or not all(value.partition(":")):
                raise WrongError(expected)
            problem = reading.function_problem(role, value)
            if problem is not None:
                raise UnusableError(problem)
            return value

        return reading.leaf(raw, key, check)

    return read


def sink(reading: Reading, raw: object, key: str) -> object:
    """Read where results go."""

    def check(value: object) -> object:
        if not isinstance(value, str) or not value:
            raise WrongError('a path, "-" or a URI')
        problem = check_sink(value)
        if problem is None:
            return value
        # The problem quotes pieces of the text, and a piece of a secret would escape redaction.
        if value == raw:
            raise UnusableError(problem)
        raise WrongError('a path, "-" or a URI that can be written to')

    return reading.leaf(raw, key, check, redact_uri)


def struct(kind: type[Struct], keys: Mapping[str, Reader], *required: str) -> Reader:
    """A reader of a table with known keys as a Struct."""

    def read(reading: Reading, raw: object, key: str) -> object:
        known = len(reading.faults)
        values = reading.table(raw, key, keys)
        if len(reading.faults) > known:
            return BAD
        missing = [name for name in required if name not in values]
        for name in missing:
            reading.fault(join(key, name), "expected a value, found nothing")
        return BAD if missing else kind(**values)

    return read
