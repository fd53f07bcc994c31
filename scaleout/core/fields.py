"""Fields of JSON messages: where they are, and reading some of them while all others are skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

UNREADABLE = (ValueError, RecursionError)
"""What decoding raises for bytes that aren't JSON, aren't UTF-8, aren't the type, or are nested too deeply."""

_ABSENT = object()
_NOTHING = "nothing"
"""An attribute that every Struct of fields has, and that is None."""
_decode: Callable[[bytes], object] = msgspec.json.Decoder().decode


def decoded(payload: bytes) -> object:
    """A message, of any type; None if it can't be read."""
    try:
        return _decode(payload)
    except UNREADABLE:
        return None


class Path:
    """Where a field is in a message: names joined by dots, items of arrays by number ("events.0.id").

    A name that contains a dot can't be written.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = tuple(text.split("."))

    def get(self, message: object, default: object = None) -> object:
        """The field's value in a decoded JSON message, or the default where there is no such field."""
        for part in self.parts:
            if isinstance(message, dict):
                message = message.get(part, _ABSENT)
            elif isinstance(message, list) and _is_index(part) and int(part) < len(message):
                message = message[int(part)]
            else:
                return default
        return default if message is _ABSENT else message

    @property
    def has_index(self) -> bool:
        """Whether a part may be the number of an array's item."""
        return any(map(_is_index, self.parts))

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 19


class Field(NamedTuple, Generic[T]):
    """What is to be read of a message.

    Attributes:
        path: where it is; None: nowhere, it is always None.
        kind: the type that it has nearly always; None is one of its values.
        convert: makes the field's value of any JSON value, and of None where there is no such field.
    """

    path: Path | None
    kind: object
    convert: Callable[[object], T]

    def of(self, message: object) -> T:
        """The field of a decoded message."""
        return self.convert(None if self.path is None else self.path.get(message))


class FieldReader(Generic[T]):
    """Reads fields of messages, and skips all others where the fields' kinds and paths allow it.

    Args:
        fields: at least one.
        pick: makes the result of a message that is a Struct of these fields.
        pick_untyped: makes the result of any other message.
    """

    def __init__(
        self, fields: Sequence[Field[Any]], pick: Callable[[object], T], pick_untyped: Callable[[object], T]
    ) -> None:
        self._decode = _decode
        self._pick = self._pick_untyped = pick_untyped
        wanted = [(field.path.parts, field.kind) for field in fields if field.path is not None]
        try:
            self._decode = msgspec.json.Decoder(_struct(wanted), strict=False).decode
            self._pick = pick
        except ValueError:
            pass

    def read(self, payloads: list[bytes]) -> list[T]:
        """The result of each message; of one that can't be read it is that of a message without the fields."""
        try:
            return list(map(self._pick, map(self._decode, payloads)))
        except UNREADABLE:
            return list(map(self.read_one, payloads))

    def read_one(self, payload: bytes) -> T:
        """The result of one message."""
        try:
            return self._pick(self._decode(payload))
        except UNREADABLE:
            return self._pick_untyped(decoded(payload))


def field_reader(field: Field[T]) -> FieldReader[T]:
    """A reader of one field."""
    return FieldReader([field], attrgetter(_attribute(field.path)), field.of)


def row_reader(first: Field[A], second: Field[B], third: Field[C]) -> FieldReader[tuple[A, B, C]]:
    """A reader of three fields."""
    fields = (first, second, third)
    pick: Callable[[object], tuple[A, B, C]] = attrgetter(*(_attribute(field.path) for field in fields))
    return FieldReader(
        fields, pick, lambda message: (first.of(message), second.of(message), third.of(message))
    )


def _attribute(path: Path | None) -> str:
    """The name by which a Struct of `_struct` has a field."""
    return _NOTHING if path is None else ".".join(map(_identifier, path.parts))


def _identifier(name: str) -> str:
    """A name in Python for a name in JSON, which may be any text."""
    return f"f{name.encode().hex()}"


def _struct(fields: Sequence[tuple[Sequence[str], object]]) -> type[msgspec.Struct]:
    """A Struct that has the fields, all optional, in Structs of their own where their paths lead deeper.

    Args:
        fields: of each the parts of its path, and its kind.

    Raises:
        ValueError: for a path into an array, a field within another, or one of two kinds.
    """
    inner: dict[str, list[tuple[Sequence[str], object]]] = {}
    for (name, *rest), kind in fields:
        if Path(name).has_index:
            raise ValueError(f"{name} may be an item of an array")
        inner.setdefault(name, []).append((rest, kind))
    members: list[tuple[str, object, object]] = []
    for name, found in inner.items():
        (deeper, kind), *others = found
        if all(parts for parts, _ in found):
            nested = _struct(found)
            members.append((_identifier(name), nested, nested()))
        elif all(other == (deeper, kind) for other in others):
            members.append((_identifier(name), kind, None))
        else:
            raise ValueError(f"{name} is asked for as two things")
    return msgspec.defstruct(
        "Fields",
        members,
        rename={_identifier(name): name for name in inner},
        namespace={_NOTHING: None},
        frozen=True,
        gc=False,
    )
