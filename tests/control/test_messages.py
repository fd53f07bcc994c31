"""What is said on a control socket is plain JSON, as a person or a shell script would write it."""

from __future__ import annotations

import json

import msgspec
import pytest

from scaleout.control.messages import (
    AnyReply,
    AnyRequest,
    ChangeStreams,
    Done,
    EndpointView,
    GetStatus,
    Refused,
    Report,
    Resume,
    Resumed,
    Retried,
    Retry,
    Send,
    Status,
    WorkerView,
)

REQUESTS = [
    (GetStatus(), '{"command": "status"}'),
    (Resume(), '{"command": "resume"}'),
    (Resume(endpoints=("a", "b")), '{"command": "resume", "endpoints": ["a", "b"]}'),
    (Send(endpoint="a", text="ping"), '{"command": "send", "endpoint": "a", "text": "ping"}'),
    (ChangeStreams(endpoint="a", add=("x",)), '{"command": "streams", "endpoint": "a", "add": ["x"]}'),
    (Retry(ids=(1, 2)), '{"command": "retry", "ids": [1, 2]}'),
    (Retry(ids=(1,), edited={1: b"\xff"}), '{"command": "retry", "ids": [1], "edited": {"1": "/w=="}}'),
]
WORKER = WorkerView(id=0, state="ready", restarts=0, cpu_s=0.5, received=9, lag_s=0.0, backlog_bytes=0)
ENDPOINT = EndpointView(
    name="a",
    worker=0,
    state="live",
    rate=1.5,
    received=9,
    reason=None,
    since=1.0,
    stall=None,
    connects=1,
    streams=("x",),
)
REPLIES = [
    Report(status=Status(workers=(WORKER,), endpoints=(ENDPOINT,), totals={"received": 9})),
    Resumed(endpoints=("a",)),
    Done(),
    Retried(retried=2, delivered=1, dead=1, left=1, problems=("why",)),
    Refused(problem="why"),
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


@pytest.mark.parametrize(
    "written",
    [
        "{}",
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
