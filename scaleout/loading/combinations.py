"""Keys of an endpoint that need, or exclude, each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from scaleout.config import Endpoint

_DEFAULTS = Endpoint(uri="")


def contradictions(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Find what doesn't fit together among the keys of an endpoint, defaults included.

    Returns:
        For each fault the key and the problem.
    """

    def value(key: str) -> object:
        return values.get(key, getattr(_DEFAULTS, key, None))

    yield from _streams(value)
    yield from _cursor(value)
    yield from _sequence(value)
    if value("latest_key") is not None and value("backpressure") != "latest":
        yield "latest_key", 'expected backpressure = "latest" with it'
    if isinstance(value("processors"), int) and value("processors") and value("processor") is None:
        yield "processors", "expected `processor` with it"
    high, low = value("high_water"), value("low_water")
    if isinstance(high, int) and isinstance(low, int) and low > high:
        yield "low_water", f"expected at most high_water, which is {high}, found {low}"
    if value("standby") and value("reconnect") == "never":
        yield "standby", 'expected no standby where reconnect = "never"'


Value = Callable[[str], object]


def _streams(value: Value) -> Iterator[tuple[str, str]]:
    streams, uri = value("streams"), value("uri")
    in_uri = isinstance(uri, str) and "{stream}" in uri
    if not streams:
        if in_uri:
            yield "streams", "expected the streams that {stream} in the URI stands for, found none"
        for key in ("streams_per_connection", "unsubscribe"):
            if value(key):
                yield key, "is for endpoints with `streams`, and there are none"
        for placeholder in ("{stream}", "{streams}"):
            if mentions(value("subscribe"), placeholder):
                yield "subscribe", f'expected `streams` with it: "{placeholder}" stands for them'
        return
    assert isinstance(streams, tuple)
    if len(set(streams)) < len(streams):
        yield "streams", "expected each stream once"
    if in_uri:
        if value("streams_per_connection") not in (None, 1):
            yield (
                "streams_per_connection",
                "expected 1 or nothing: {stream} in the URI opens a connection for each",
            )
    elif not mentions(value("subscribe"), "{stream}", "{streams}"):
        yield "subscribe", 'expected "{stream}" or "{streams}" in it, in place of the streams to subscribe to'


def _cursor(value: Value) -> Iterator[tuple[str, str]]:
    cursor = value("cursor")
    if cursor is None:
        if mentions(value("subscribe"), "{cursor}"):
            yield "subscribe", 'expected `cursor` with it: "{cursor}" stands for the last value of one'
        return
    if value("streams"):
        yield "cursor", "expected one connection: a cursor can't be kept for `streams`"
    if getattr(cursor, "parameter", None) is None and not mentions(value("subscribe"), "{cursor}"):
        yield "cursor", 'expected `parameter`, or "{cursor}" in `subscribe`'


def _sequence(value: Value) -> Iterator[tuple[str, str]]:
    if value("sequence") is None:
        for key in ("sequence_key", "sequence_first", "sequence_previous", "on_gap"):
            if value(key) is not None:
                yield key, "expected `sequence` with it"
    elif value("sequence_first") is not None and value("sequence_previous") is not None:
        yield "sequence_previous", "expected one of sequence_first and sequence_previous"
    if value("on_gap") == "resubscribe" and not value("subscribe"):
        yield "on_gap", "expected `subscribe` with it"


def mentions(template: object, *placeholders: str) -> bool:
    """Whether any text within a template holds one of the placeholders."""
    if isinstance(template, str):
        return any(placeholder in template for placeholder in placeholders)
    if isinstance(template, Mapping):
        return any(mentions(item, *placeholders) for item in template.values())
    if isinstance(template, list | tuple):
        return any(mentions(item, *placeholders) for item in template)
    return False
