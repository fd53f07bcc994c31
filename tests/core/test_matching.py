"""Control messages are recognized among any bytes, and answered with fields of theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaleout.config import JSONValue
from scaleout.core.matching import Pattern, fill

TEXTS = st.sampled_from(
    ["", "*", "type", "heartbeat", "a", "a/b", "ü", 'quo"te', "{a}", "x y", "1"]
) | st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
CONTAINERS = VALUES.filter(lambda value: isinstance(value, dict | list))
WRITERS: list[dict[str, Any]] = [{}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"indent": 2}]


def find(pattern: JSONValue, *payloads: bytes) -> list[int]:
    return Pattern(pattern).find(list(payloads), b"\n".join(payloads))


def same(message: object, pattern: object) -> bool:
    """The meaning of a pattern, said once more without a thought of speed."""
    match pattern:
        case dict():
            return isinstance(message, dict) and all(
                key in message and (value == "*" or same(message[key], value))
                for key, value in pattern.items()
            )
        case list():
            return (
                isinstance(message, list)
                and len(message) >= len(pattern)
                and all(item == "*" or same(message[index], item) for index, item in enumerate(pattern))
            )
    return message == pattern and isinstance(message, bool) == isinstance(pattern, bool)


def part_of(data: st.DataObject, value: Any) -> Any:
    """A pattern that the value matches: with keys and last items left out, and values made wildcards."""
    if isinstance(value, dict):
        keys = data.draw(st.sets(st.sampled_from(sorted(value)))) if value else set()
        return {key: "*" if data.draw(st.booleans()) else part_of(data, value[key]) for key in keys}
    if isinstance(value, list):
        return [part_of(data, item) for item in value[: data.draw(st.integers(0, len(value)))]]
    return float(value) if type(value) is int and data.draw(st.booleans()) else value


@pytest.mark.parametrize(
    ("pattern", "payload", "matches"),
    [
        ("pong", b"pong", True),
        ("pong", b" pong\r\n", True),
        ("pong\n", b"pong", True),
        ("pong", b"pongs", False),
        ("pong", b'"pong"', False),
        ("*", b"anything", False),
        ("", b" ", True),
        ({"channel": "heartbeat"}, b'{"channel": "heartbeat", "n": 1}', True),
        ({"channel": "heartbeat"}, b'{"channel":"trade","note":"heartbeat"}', False),
        ({"channel": "heartbeat"}, b'{"data":{"channel":"heartbeat"}}', False),
        ({"channel": "*"}, b'{"channel":null}', True),
        ({"channel": "*"}, b'{"Channel":null}', False),
        ({"params": {"type": "test_request"}}, b'{"params":{"type":"test_request","x":[]}}', True),
        ({"params": {"type": "test_request"}}, b'{"params":"type"}', False),
        (["EOSE"], b'["EOSE","id"]', True),
        (["EOSE", "*"], b'["EOSE"]', False),
        (["EVENT", "*", {"kind": 1}], b'["EVENT","id",{"kind":1.0}]', True),
        ({"success": True}, b'{"success":1}', False),
        ({"success": 1}, b'{"success":true}', False),
        ({"success": None}, b'{"success":null}', True),
        ({"id": 1}, b'{"id":"1"}', False),
        ({"path": "a/b"}, rb'{"path":"a\/b"}', True),
        ({}, b"{}", True),
        ({}, b"[]", False),
        ({"channel": "heartbeat"}, rb'{"channel":"\u0068eartbeat"}', False),
    ],
)
def test_what_matches(pattern: JSONValue, payload: bytes, matches: bool) -> None:
    assert Pattern(pattern).matches(payload) is matches
    assert find(pattern, b"1", payload, b"2") == ([1] if matches else [])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"heartbeat",
        b'{"type":"heartbeat"',
        b'{"type":"heartbeat"}{}',
        b'{"type":"heartbeat","x":"\xff"}',
        b'{"type":"heartbeat","x":"\\ud800"}',
        b'{"type":"heartbeat","x":' + b"[" * 100_000,
        b'{"type":"heartbeat","x":' + b"9" * 10_000 + b"}",
        b'\xef\xbb\xbf{"type":"heartbeat"}',
    ],
    ids=range(9),
)
def test_what_is_no_json_matches_nothing(payload: bytes) -> None:
    assert find({"type": "heartbeat"}, payload, b'{"type":"heartbeat"}') == [1]
    assert find({}, payload) == []
    assert find({"n": 1}, payload) == []


@given(st.lists(st.binary(max_size=20), max_size=5), CONTAINERS | TEXTS)
def test_no_bytes_make_it_raise(payloads: list[bytes], pattern: JSONValue) -> None:
    find(pattern, *payloads)


@given(st.data(), CONTAINERS, st.sampled_from(WRITERS))
def test_a_message_matches_each_part_of_it(data: st.DataObject, message: Any, writer: dict[str, Any]) -> None:
    pattern = part_of(data, message)
    assert find(pattern, b"{}", json.dumps(message, **writer).encode())[-1:] == [1]


@given(CONTAINERS, st.lists(VALUES, max_size=4), st.sampled_from(WRITERS))
@example(["a"], [["b", "a"]], {})
def test_what_is_found_is_what_the_pattern_means(
    pattern: JSONValue, messages: list[Any], writer: dict[str, Any]
) -> None:
    payloads = [json.dumps(message, **writer).encode() for message in messages]
    wanted = [index for index, message in enumerate(messages) if same(message, pattern)]
    assert find(pattern, *payloads) == wanted
    assert [index for index, payload in enumerate(payloads) if Pattern(pattern).matches(payload)] == wanted


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ({"pong": "{ping}"}, {"pong": 123}),
        ({"id": "{params.id}", "items": ["{params}", 1]}, {"id": None, "items": [{"id": None}, 1]}),
        ({"pong": "{pong}"}, {"pong": "{pong}"}),
        ({"pong": "at {ping}", "{ping}": True}, {"pong": "at {ping}", "{ping}": True}),
        (["{name}", ["{flags.1}"]], ["me", [False]]),
        ("pong", "pong"),
        ('{"pong": "{ping}"}', '{"pong": "{ping}"}'),
        ("{ping}", "123"),
        ("{name}", "me"),
        ("{flags.1}", "false"),
        ("{other}", "{other}"),
    ],
)
def test_an_answer_takes_fields_of_the_message(template: JSONValue, filled: JSONValue) -> None:
    message = {"ping": 123, "params": {"id": None}, "name": "me", "flags": [True, False]}
    before = json.dumps(template)
    assert fill(template, message) == filled
    assert json.dumps(template) == before


@given(CONTAINERS)
def test_a_message_without_fields_fills_nothing(template: JSONValue) -> None:
    assert fill(template, None) == template
