"""What is said on a connection: subscriptions for streams, cursors, and the patterns of control messages."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout.config import Endpoint, Heartbeat, Ready, Reply
from scaleout.worker.links.talk import STREAMS_PER_MESSAGE, Role, Talk


def talk(**keys: Any) -> Talk:
    return Talk(Endpoint(uri="ws://feed.test/", **keys))


@pytest.mark.parametrize(
    ("template", "streams", "expected"),
    [
        ("hello", [], ["hello"]),
        ("hello", ["a", "b"], ["hello"]),
        ({"op": "sub", "args": ["x"]}, ["a"], [{"op": "sub", "args": ["x"]}]),
        ({"op": "sub", "ch": "{stream}"}, ["a", "b"], [{"op": "sub", "ch": "a"}, {"op": "sub", "ch": "b"}]),
        ('{"ch":"{stream}@trade"}', ["a", "b"], ['{"ch":"a@trade"}', '{"ch":"b@trade"}']),
        ({"params": "{streams}", "id": 1}, ["a", "b"], [{"params": ["a", "b"], "id": 1}]),
        ({"params": ["{streams}", "x"]}, ["a", "b"], [{"params": ["a", "b", "x"]}]),
        ({"params": ["{streams}@trade"]}, ["a", "b"], [{"params": ["a@trade", "b@trade"]}]),
        ({"params": {"symbol": ["{streams}"]}}, ["a"], [{"params": {"symbol": ["a"]}}]),
        ("sub {streams}", ["a", "b"], ["sub a,b"]),
        ({"ch": "{stream}"}, [], []),
        ({"params": "{streams}"}, [], []),
        ({"n": 1, "on": True, "none": None}, ["a"], [{"n": 1, "on": True, "none": None}]),
    ],
)  # fmt: skip
def test_streams_take_the_place_of_their_stand_ins(template: Any, streams: list[str], expected: Any) -> None:
    assert list(talk(subscribe=(template,)).subscription(streams, None)) == expected
    assert list(talk(unsubscribe=(template,)).cancellation(streams)) == expected


def test_many_streams_go_out_in_several_messages() -> None:
    streams = [f"s{number}" for number in range(2 * STREAMS_PER_MESSAGE + 1)]
    messages: list[Any] = list(talk(subscribe=({"params": "{streams}"},)).subscription(streams, None))
    assert [len(message["params"]) for message in messages] == [STREAMS_PER_MESSAGE, STREAMS_PER_MESSAGE, 1]
    assert [stream for message in messages for stream in message["params"]] == streams


@pytest.mark.parametrize(
    ("template", "cursor", "expected"),
    [
        ({"op": "sub", "from": "{cursor}"}, 17, [{"op": "sub", "from": 17}]),
        ({"op": "sub", "from": "{cursor}"}, None, [{"op": "sub"}]),
        ({"op": "sub", "from": "t={cursor}"}, 1.5, [{"op": "sub", "from": "t=1.5"}]),
        (["REQ", {"since": "{cursor}", "kinds": [1]}], None, [["REQ", {"kinds": [1]}]]),
        (["REQ", "{cursor}", "x"], "abc", [["REQ", "abc", "x"]]),
        (["REQ", "{cursor}", "x"], None, [["REQ", "x"]]),
        ("from {cursor}", 3, ["from 3"]),
        ("from {cursor}", None, ["from "]),
        ("{cursor}", "abc", ["abc"]),
        ("{cursor}", None, []),
    ],
)
def test_the_cursor_is_put_in_or_what_would_hold_it_is_left_out(
    template: Any, cursor: Any, expected: Any
) -> None:
    assert list(talk(subscribe=(template,)).subscription([], cursor)) == expected


def test_templates_stay_as_they_are() -> None:
    template = {"args": [{"ch": "{stream}", "from": "{cursor}"}]}
    said = talk(subscribe=(template,))
    assert list(said.subscription(["a"], 1)) == [{"args": [{"ch": "a", "from": 1}]}]
    assert list(said.subscription(["b"], 2)) == [{"args": [{"ch": "b", "from": 2}]}]
    assert template == {"args": [{"ch": "{stream}", "from": "{cursor}"}]}


def test_patterns_with_their_roles_refusals_first() -> None:
    said = talk(
        ready=Ready(match={"ok": True}, refused={"ok": False}),
        reply=(Reply(match={"ask": "*"}, send="here"),),
        heartbeat=Heartbeat(send="ping", expect="pong", match={"hb": "*"}),
        goodbye="bye",
    )
    assert [(role, template) for _, role, template in said.patterns] == [
        (Role.REFUSED, None),
        (Role.READY, None),
        (Role.REQUEST, "here"),
        (Role.PONG, None),
        (Role.HEARTBEAT, None),
        (Role.GOODBYE, None),
    ]
    assert talk().patterns == []
