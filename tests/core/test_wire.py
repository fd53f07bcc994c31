"""What crosses the pipes comes out as it went in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scaleout.config import TLS, Backoff, Endpoint
from scaleout.core.ledger import Entry
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.marks import Assignment, CursorMark, NumbersMark
from scaleout.core.movewire import (
    Abandon,
    Aligned,
    Compare,
    Cut,
    CutWanted,
    GoLive,
    Keep,
    MoveFailed,
    Offer,
    Offered,
    Tails,
    Take,
)
from scaleout.core.wire import (
    Answer,
    Ask,
    Assign,
    AttemptEnded,
    Batch,
    ChangeStreams,
    Command,
    ConnectionEnded,
    DeadLetter,
    Drained,
    Grant,
    Heartbeat,
    Hide,
    LetterToTry,
    LimitReached,
    Ready,
    Recall,
    Release,
    Released,
    Report,
    Result,
    Resume,
    Send,
    Setup,
    StateChange,
    Stop,
    TakenOver,
    TriedLetter,
    TryLetters,
)

ENDPOINT = Endpoint(
    uri="wss://feed.test/",
    name="btc",
    headers={"X-Key": "k"},
    subprotocols=("a", "b"),
    tls=TLS(verify=False),
    proxy=False,
    subscribe=("plain", {"op": "subscribe", "args": [1, None, {"deep": True}]}, ["REQ", "x"]),
    backoff=Backoff(initial=1),
)
COMMANDS = [
    Setup(1, True, "info", "text", 1.0, 10.0, ("s3cret",)),
    Assign(
        (
            Assignment(0, ENDPOINT, CursorMark(0, 17, (b"\x00\xff",))),
            Assignment(1, Endpoint(uri="ws://a.test", proxy="http://p.test")),
        )
    ),
    Stop(),
    Grant(7),
    Recall(7),
    Resume(1, 0),
    Send(2, 0, "hello"),
    ChangeStreams(3, 0, ("a",), ("b", "c")),
    TryLetters(7, 0, (LetterToTry(5, b"\xff", False, 9),)),
    Hide(("s3cret",)),
    Offer(1, 0),
    Cut(1),
    Keep(1),
    Release(0),
    Take(1, Assignment(0, ENDPOINT), ((), ("a", "b"))),
    Compare(1, (b"\0" * 8, b""), True, CursorMark(0, 1.5), NumbersMark(0, (("a", 1), (None, 2)))),
    GoLive(1),
    Abandon(1),
]
REPORTS = [
    Ready(),
    Heartbeat(0.5, 1.5, 3),
    StateChange(3, EndpointState.BACKOFF, 2, "refused"),
    StateChange(3, EndpointState.LIVE, 2, None),
    StateChange(3, EndpointState.LIVE, 2, None, Stall.HEARTBEATS, ("a", "b")),
    Ask(7, "example.org", is_spare=True),
    Offered(1, ((), ("a", "b"))),
    CutWanted(1),
    Aligned(1, True),
    MoveFailed(1, "refused"),
    AttemptEnded(7),
    ConnectionEnded(7),
    TakenOver(8, instead_of=7),
    Answer(1),
    Answer(2, "not connected"),
    LimitReached(),
]
RESULTS = [
    Batch((Entry(0, 1, 2), Entry(2)), (DeadLetter(0, "decode", "why", b"\xff", False, 7, "trace"),)),
    Batch(()),
    Batch(
        (Entry(0, uncertain=3),),
        (),
        (CursorMark(0, "a"), CursorMark(1, 1.5)),
        (TriedLetter(5, "why"), TriedLetter(6, results=2)),
        (NumbersMark(0, (("a", 3), (7, 8), (None, 9))),),
    ),
    Batch((Entry(0),), tails=(Tails(1, (b"\0" * 8,), True, CursorMark(0, 2), None),)),
    Released(3),
    Drained(1.25),
]
CASES = (
    [(message, Command) for message in COMMANDS]
    + [(message, Report) for message in REPORTS]
    + [(message, Result) for message in RESULTS]
)


@pytest.mark.parametrize(("message", "union"), CASES)
def test_messages_survive_the_wire(message: msgspec.Struct, union: Any) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=union) == message


@pytest.mark.parametrize("message", COMMANDS + RESULTS)
def test_a_message_for_somebody_else_is_an_error(message: msgspec.Struct) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Report)


def test_all_kinds_of_messages_are_covered() -> None:
    kinds = {type(message) for message, _ in CASES}
    assert kinds == set((Command | Report | Result).__args__)
