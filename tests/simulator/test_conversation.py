"""What a server says besides its data: heartbeats, questions, answers, and what it expels a client for."""

from __future__ import annotations

import pytest

from scaleout.simulator.conversation import Answer, Conversation, Expel, Heartbeat, Reject, Say
from scaleout.simulator.dialects import Request
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.records import Cut

SUBSCRIBE = Request("subscribe")


def test_by_default_it_answers_at_once_and_wants_nothing() -> None:
    conversation = Conversation(Dialogue(), 10.0)
    conversation.hear("a", SUBSCRIBE, False, 11.0)
    conversation.hear("b", None, False, 11.0)
    assert conversation.due(11.0) == [Answer("a", SUBSCRIBE), Answer("b", None)]
    assert conversation.due(1e9) == []


def test_heartbeats_come_regularly_and_are_not_made_up_for() -> None:
    conversation = Conversation(Dialogue(heartbeat_every_s=1.0), 10.0)
    times = [10.5, 11.0, 11.5, 12.0, 20.0, 20.5, 21.0]
    told = [conversation.due(now_s) for now_s in times]
    assert told == [[], [Heartbeat(0)], [], [Heartbeat(1)], [Heartbeat(2)], [], [Heartbeat(3)]]


def test_subscriptions_are_answered_late_never_or_with_an_error() -> None:
    late = Conversation(Dialogue(ack_delay_s=2.0), 0.0)
    late.hear("a", SUBSCRIBE, False, 1.0)
    late.hear("b", SUBSCRIBE, True, 1.5)
    late.hear("ping", Request("ping"), False, 1.5)
    assert [late.due(2.9), late.due(3.0), late.due(3.5)] == [
        [Answer("ping", Request("ping"))],
        [Answer("a", SUBSCRIBE)],
        [Reject("b")],
    ]
    never = Conversation(Dialogue(ack_never=True), 0.0)
    never.hear("a", SUBSCRIBE, False, 1.0)
    assert never.due(1e9) == []


@pytest.mark.parametrize(
    ("style", "answer", "wrong"),
    [("deribit", '{"method":"public/test"}', '{"method":"x"}'), ("huobi", '{"pong":1}', '{"pong":7}')],
)
def test_a_test_request_wants_the_right_answer_in_time(style: str, answer: str, wrong: str) -> None:
    knobs = Dialogue(test_request_every_s=5.0, test_request_within_s=1.0, test_request=style)  # type: ignore[arg-type]
    good, bad = Conversation(knobs, 0.0), Conversation(knobs, 0.0)
    for conversation, text in ((good, answer), (bad, wrong)):
        assert conversation.due(4.9) == []
        (asked,) = conversation.due(5.0)
        assert isinstance(asked, Say) and (b"test_request" in asked.body or asked.body == b'{"ping":1}')
        conversation.hear(text, None, False, 5.5)
    assert Expel(1000, Cut.UNANSWERED) not in good.due(6.0)
    assert bad.due(6.0) == [Expel(1000, Cut.UNANSWERED)]


def test_a_client_must_speak_and_subscribe_in_time() -> None:
    idle = Conversation(Dialogue(idle_cut_s=3.0), 0.0)
    idle.hear("ping", Request("ping"), False, 2.0)
    assert idle.due(4.9) == [Answer("ping", Request("ping"))]
    assert idle.due(5.0) == [Expel(4004, Cut.IDLE)]
    mute = Conversation(Dialogue(subscribe_within_s=3.0), 0.0)
    mute.hear("hello", None, False, 1.0)
    assert mute.due(3.0) == [Expel(1008, Cut.UNSUBSCRIBED)]
    good = Conversation(Dialogue(subscribe_within_s=3.0), 0.0)
    good.hear("a", SUBSCRIBE, False, 1.0)
    assert good.due(1e9) == [Answer("a", SUBSCRIBE)]


def test_frames_are_counted_within_any_second() -> None:
    conversation = Conversation(Dialogue(max_inbound_per_s=3), 0.0)
    for now_s in (0.0, 0.5, 0.9, 1.0, 1.6, 2.0, 2.1):
        conversation.hear_frame(now_s)
    assert (conversation.inbound, conversation.busiest_inbound) == (7, 3)
    assert conversation.due(2.1) == []
    conversation.hear_frame(2.2)
    assert conversation.due(2.2) == [Expel(1008, Cut.INBOUND)]
