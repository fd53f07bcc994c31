"""What is said on an endpoint's connections beside the data: patterns and templates, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial

from scaleout.config import Endpoint, JSONValue
from scaleout.core.matching import Pattern

STREAMS_PER_MESSAGE = 100
"""A subscription of many streams goes out in several messages: servers limit their size."""


class Role(Enum):
    """What a message of the server is that is no data."""

    HEARTBEAT = "heartbeat"
    PONG = "pong"
    """The answer to this side's heartbeat."""
    REQUEST = "request"
    """Wants a reply."""
    READY = "ready"
    REFUSED = "refused"
    GOODBYE = "goodbye"


class Talk:
    """What an endpoint's configuration says about control messages.

    Attributes:
        patterns: each with its role, and for requests the template of the reply.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.patterns: list[tuple[Pattern, Role, JSONValue | None]] = []
        if endpoint.ready is not None:
            self._add(endpoint.ready.refused, Role.REFUSED)
            self._add(endpoint.ready.match, Role.READY)
        for reply in endpoint.reply:
            self._add(reply.match, Role.REQUEST, reply.send)
        if endpoint.heartbeat is not None:
            self._add(endpoint.heartbeat.expect, Role.PONG)
            self._add(endpoint.heartbeat.match, Role.HEARTBEAT)
        self._add(endpoint.goodbye, Role.GOODBYE)

    def _add(self, pattern: JSONValue | None, role: Role, template: JSONValue | None = None) -> None:
        if pattern is not None:
            self.patterns.append((Pattern(pattern), role, template))

    def subscription(self, streams: Sequence[str], cursor: str | int | float | None) -> Iterator[object]:
        """The messages that subscribe to these streams, from where the cursor stands."""
        for template in self.endpoint.subscribe:
            message = _with_cursor(template, cursor)
            if message is not _ABSENT:
                yield from _for_streams(message, streams)

    def cancellation(self, streams: Sequence[str]) -> Iterator[object]:
        """The messages that unsubscribe from these streams."""
        for message in self.endpoint.unsubscribe:
            yield from _for_streams(message, streams)


def _for_streams(template: object, streams: Sequence[str]) -> Iterator[object]:
    if _mentions(template, "{stream}"):
        for stream in streams:
            yield _map_texts(template, partial(_put, stream))
    elif _mentions(template, "{streams}"):
        for start in range(0, len(streams), STREAMS_PER_MESSAGE):
            yield _spread(template, streams[start : start + STREAMS_PER_MESSAGE])
    else:
        yield template


def _put(stream: str, text: str) -> str:
    return text.replace("{stream}", stream)


def _mentions(template: object, placeholder: str) -> bool:
    found = False

    def look(text: str) -> str:
        nonlocal found
        found = found or placeholder in text
        return text

    _map_texts(template, look)
    return found


def _map_texts(value: object, change: Callable[[str], object]) -> object:
    """A copy with every text within changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _map_texts(item, change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(item, change) for item in value]
    return value


def _spread(value: object, streams: Sequence[str]) -> object:
    """A copy in which each item of an array that mentions "{streams}" is there once for each of them."""
    if isinstance(value, str):
        return list(streams) if value == "{streams}" else value.replace("{streams}", ",".join(streams))
    if isinstance(value, Mapping):
        return {name: _spread(item, streams) for name, item in value.items()}
    if isinstance(value, list | tuple):
        items: list[object] = []
        for item in value:
            if isinstance(item, str) and "{streams}" in item:
                items += [item.replace("{streams}", stream) for stream in streams]
            else:
                items.append(_spread(item, streams))
        return items
    return value


_ABSENT = object()


def _with_cursor(value: object, cursor: str | int | float | None) -> object:
    """A copy with the cursor in the place of "{cursor}"; without one, what would hold it is left out."""
    if isinstance(value, str):
        if value == "{cursor}":
            return _ABSENT if cursor is None else cursor
        return value.replace("{cursor}", "" if cursor is None else str(cursor))
    if isinstance(value, Mapping):
        items = {name: _with_cursor(item, cursor) for name, item in value.items()}
        return {name: item for name, item in items.items() if item is not _ABSENT}
    if isinstance(value, list | tuple):
        return [item for item in (_with_cursor(each, cursor) for each in value) if item is not _ABSENT]
    return value
