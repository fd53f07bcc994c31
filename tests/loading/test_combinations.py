"""Keys that need, or exclude, each other."""

from __future__ import annotations

import pytest

from scaleout.errors import ConfigError
from scaleout.loading import from_mapping

PLAIN = "wss://h/ws"
TEMPLATE = "wss://h/{stream}@trade"
BY_STREAM = {"subscribe": [{"args": ["{streams}"]}]}
CURSOR = {"field": "t", "parameter": "cursor"}


def problems(**keys: object) -> list[str]:
    try:
        from_mapping({"endpoints": [{"uri": PLAIN, **keys}]}, "feeds.toml", environment={})
    except ConfigError as error:
        return [line.removeprefix("feeds.toml: endpoints[0].") for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"uri": TEMPLATE}, "streams", "expected the streams that {stream} in the URI stands for"),
        ({"streams_per_connection": 5}, "streams_per_connection", "there are none"),
        ({"unsubscribe": ["x"]}, "unsubscribe", "is for endpoints with `streams`"),
        ({"unsubscribe": ["off {stream}"]}, "unsubscribe", "is for endpoints with `streams`"),
        ({"subscribe": ["on {stream}"]}, "subscribe", 'expected `streams` with it: "{stream}"'),
        ({"subscribe": [{"x": ["{streams}"]}]}, "subscribe", 'expected `streams` with it: "{streams}"'),
        ({"streams": ["a", "b", "a"], **BY_STREAM}, "streams", "expected each stream once"),
        ({"streams": ["a"]}, "subscribe", 'expected "{stream}" or "{streams}" in it'),
        ({"streams": ["a"], "subscribe": ["all"]}, "subscribe", 'expected "{stream}" or "{streams}"'),
        (
            {"uri": TEMPLATE, "streams": ["a"], "streams_per_connection": 2},
            "streams_per_connection",
            "expected 1 or nothing",
        ),
        ({"cursor": CURSOR, "streams": ["a"], **BY_STREAM}, "cursor", "can't be kept for `streams`"),
        ({"cursor": {"field": "t"}}, "cursor", 'expected `parameter`, or "{cursor}" in `subscribe`'),
        ({"subscribe": [{"since": "{cursor}"}]}, "subscribe", "expected `cursor` with it"),
        ({"sequence_key": "s"}, "sequence_key", "expected `sequence` with it"),
        ({"sequence_first": "U"}, "sequence_first", "expected `sequence` with it"),
        ({"sequence_previous": "pu"}, "sequence_previous", "expected `sequence` with it"),
        ({"on_gap": "reconnect"}, "on_gap", "expected `sequence` with it"),
        (
            {"sequence": "u", "sequence_first": "U", "sequence_previous": "pu"},
            "sequence_previous",
            "expected one of sequence_first and sequence_previous",
        ),
        ({"sequence": "u", "on_gap": "resubscribe"}, "on_gap", "expected `subscribe` with it"),
        ({"latest_key": "s"}, "latest_key", 'expected backpressure = "latest" with it'),
        ({"processors": 2}, "processors", "expected `processor` with it"),
        ({"high_water": 10, "low_water": 11}, "low_water", "expected at most high_water, which is 10, found 11"),
        ({"low_water": 1001}, "low_water", "expected at most high_water, which is 1000"),
        ({"standby": True, "reconnect": "never"}, "standby", 'no standby where reconnect = "never"'),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(keys: dict[str, object], place: str, words: str) -> None:
    (line,) = problems(**keys)
    assert line.startswith(f"{place}: ")
    assert words in line


@pytest.mark.parametrize(
    "keys",
    [
        {"uri": TEMPLATE, "streams": ["a", "b"]},
        {"uri": TEMPLATE, "streams": ["a"], "streams_per_connection": 1},
        {"streams": ["a"], "subscribe": [{"x": [{"y": "on {stream}"}]}], "unsubscribe": ["off {stream}"]},
        {"streams": ["a"], "streams_per_connection": 200, **BY_STREAM},
        {"cursor": CURSOR},
        {"cursor": {"field": "t"}, "subscribe": [{"since": "{cursor}"}]},
        {"sequence": "u", "sequence_first": "U", "sequence_key": "s", "on_gap": "reconnect"},
        {"sequence": "u", "on_gap": "resubscribe", "subscribe": ["x"]},
        {"backpressure": "latest", "latest_key": "s"},
        {"backpressure": "latest"},
        {"processors": "auto"},
        {"processors": 2, "processor": "feeds:on_trade"},
        {"high_water": 10, "low_water": 10},
        {"standby": True, "reconnect": "on_error"},
    ],
)
def test_what_fits(keys: dict[str, object]) -> None:
    assert problems(**keys) == []


def test_defaults_count_too() -> None:
    raw = {"defaults": {"sequence": "u"}, "endpoints": [{"uri": PLAIN, "on_gap": "reconnect"}]}
    assert from_mapping(raw, "feeds.toml", environment={}).endpoints[0].sequence == "u"
