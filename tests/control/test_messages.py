"""What is said on a control socket is plain JSON, as a person or a shell script would write it."""

from __future__ import annotations

import json

import msgspec
import pytest

from scaleout.control.messages import (
    Add,
    Added,
    AnyReply,
    AnyRequest,
    ChangeStreams,
    Done,
    Drain,
    Drained,
    GetStatus,
    Move,
    Moved,
    Pause,
    Paused,
    Rebalance,
    Refused,
    Reload,
    Reloaded,
    Remove,
    Removed,
    Report,
    Resume,
    Resumed,
    Retried,
    Retry,
    Scale,
    Scaled,
    Send,
)
from scaleout.control.views import EndpointView, MoveView, Status, WorkerView
from scaleout.errors import Fault

REQUESTS = [
    (GetStatus(), '{"command": "status"}'),
    (
        Add(endpoints=({"uri": "ws://h/", "weight": 2},)),
        '{"command": "add", "endpoints": [{"uri": "ws://h/", "weight": 2}]}',
    ),
    (Remove(endpoints=("a",)), '{"command": "remove", "endpoints": ["a"]}'),
    (Pause(endpoints=("a",)), '{"command": "pause", "endpoints": ["a"]}'),
    (Resume(), '{"command": "resume"}'),
    (Resume(endpoints=("a", "b")), '{"command": "resume", "endpoints": ["a", "b"]}'),
    (Move(endpoint="a", worker=1), '{"command": "move", "endpoint": "a", "worker": 1}'),
    (Rebalance(), '{"command": "rebalance"}'),
    (Scale(workers=4), '{"command": "scale", "workers": 4}'),
    (Reload(), '{"command": "reload"}'),
    (Drain(), '{"command": "drain"}'),
    (Send(endpoint="a", text="ping"), '{"command": "send", "endpoint": "a", "text": "ping"}'),
    (ChangeStreams(endpoint="a", add=("x",)), '{"command": "streams", "endpoint": "a", "add": ["x"]}'),
    (Retry(ids=(1, 2)), '{"command": "retry", "ids": [1, 2]}'),
    (Retry(ids=(1,), edited={1: b"\xff"}), '{"command": "retry", "ids": [1], "edited": {"1": "/w=="}}'),
]
REPLIES = [
    Added(endpoints=("a",)),
    Removed(endpoints=("a",)),
    Paused(endpoints=("a",)),
    Resumed(endpoints=("a",)),
    Scaled(workers=(0, 2)),
    Reloaded(source="f", added=("a",), workers=2, restart=("sink",), problems=("why",)),
    Drained(totals={"received": 9}),
    Done(),
    Retried(retried=2, delivered=1, dead=1, left=1, problems=("why",)),
    Refused(problem="why"),
    Refused(problem="why", faults=(Fault("f", "key", "why"),)),
]


@pytest.mark.parametrize(("request_", "written"), REQUESTS)
def test_requests_as_people_write_them(request_: AnyRequest, written: str) -> None:
    assert msgspec.json.decode(written, type=AnyRequest) == request_
    assert msgspec.json.decode(msgspec.json.encode(request_), type=AnyRequest) == request_


@pytest.mark.parametrize("reply", REPLIES)
def test_replies_come_out_as_they_went_in(reply: AnyReply) -> None:
    line = msgspec.json.encode(reply)
    assert b"\n" not in line
    assert "reply" in json.loads(line)
    assert msgspec.json.decode(line, type=AnyReply) == reply


def test_views_come_out_as_they_went_in(
    worker_view: WorkerView, endpoint_view: EndpointView, move_view: MoveView
) -> None:
    status = Status(
        workers=(worker_view,),
        endpoints=(endpoint_view,),
        totals={"received": 9},
        moves=3,
        recent_moves=(move_view,),
    )
    test_replies_come_out_as_they_went_in(Report(status=status))
    test_replies_come_out_as_they_went_in(Moved(moves=(move_view,)))


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        '{"command": "add"}',
        '{"command": "add", "endpoints": ["ws://h/"]}',
        '{"command": "move", "endpoint": "a", "worker": "1"}',
        '{"command": "scale"}',
        "[]",
        '{"command": "stats"}',
        '{"command": "status", "watch": true}',
        '{"command": "send", "endpoint": "a"}',
        '{"command": "retry", "ids": ["1"]}',
    ],
)
def test_slips_are_noticed(written: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written, type=AnyRequest)
