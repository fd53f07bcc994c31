"""What a server says besides its data, and when: decided from what a client sent and the time."""

from __future__ import annotations

from collections import deque

import msgspec
from msgspec import Struct

from scaleout.simulator.dialects import Request
from scaleout.simulator.dialogue import Dialogue
from scaleout.simulator.records import Cut

_NEVER = float("inf")
_IDLE_CODE = 4004


class Answer(Struct, frozen=True):
    """Answer a client's message as the dialect does."""

    text: str
    request: Request | None


class Reject(Struct, frozen=True):
    """Answer a subscription with the dialect's error."""

    text: str


class Heartbeat(Struct, frozen=True):
    """Send the dialect's heartbeat."""

    nth: int


class Say(Struct, frozen=True):
    """Send a message."""

    body: bytes


class Expel(Struct, frozen=True):
    """Close the connection."""

    code: int
    why: Cut


Act = Answer | Reject | Heartbeat | Say | Expel


class Conversation:
    """One connection's: hears what the client sends, and tells what is to be done by a time.

    Args:
        knobs: what the server says and wants.
        now_s: when the connection opened.
    """

    def __init__(self, knobs: Dialogue, now_s: float) -> None:
        self._knobs = knobs
        self._answers: list[tuple[float, Act]] = []
        self._heartbeats = self._questions = 0
        self._heartbeat_s = now_s + (knobs.heartbeat_every_s or _NEVER)
        self._question_s = now_s + (knobs.test_request_every_s or _NEVER)
        self._answer_by_s = _NEVER
        self._speak_by_s = now_s + (knobs.idle_cut_s or _NEVER)
        self._subscribe_by_s = now_s + (knobs.subscribe_within_s or _NEVER)
        self._frames: deque[float] = deque()
        self.inbound = 0
        """How many frames the client has sent: messages, pings and pongs."""
        self.busiest_inbound = 0
        """The most that came within a second."""

    def hear_frame(self, now_s: float) -> None:
        """Count a frame."""
        self.inbound += 1
        self._frames.append(now_s)
        while self._frames[0] <= now_s - 1.0:
            self._frames.popleft()
        self.busiest_inbound = max(self.busiest_inbound, len(self._frames))

    def hear(self, text: str, request: Request | None, is_rejected: bool, now_s: float) -> None:
        """Take in a message.

        Args:
            text: the message.
            request: what it asks for.
            is_rejected: whether, as a subscription, it is to be answered with an error.
            now_s: the time.
        """
        knobs = self._knobs
        self._speak_by_s = now_s + (knobs.idle_cut_s or _NEVER)
        if knobs.test_request_every_s and self._is_answer(text):
            return
        if request is None or request.kind == "ping":
            self._answers.append((now_s, Answer(text, request)))
            return
        self._subscribe_by_s = _NEVER
        if is_rejected:
            self._answers.append((now_s + knobs.ack_delay_s, Reject(text)))
        elif not knobs.ack_never:
            self._answers.append((now_s + knobs.ack_delay_s, Answer(text, request)))

    def due(self, now_s: float) -> list[Act]:
        """What is to be done by now; it is told once."""
        expelled = self._expelled(now_s)
        if expelled is not None:
            return [expelled]
        acts = [act for due_s, act in self._answers if due_s <= now_s]
        if acts:
            self._answers = [(due_s, act) for due_s, act in self._answers if due_s > now_s]
        if self._heartbeat_s <= now_s:
            acts.append(Heartbeat(self._heartbeats))
            self._heartbeats += 1
            self._heartbeat_s = _next(self._heartbeat_s, self._knobs.heartbeat_every_s, now_s)
        if self._question_s <= now_s:
            acts.append(Say(self._question()))
            self._answer_by_s = min(self._answer_by_s, now_s + self._knobs.test_request_within_s)
            self._question_s = _next(self._question_s, self._knobs.test_request_every_s, now_s)
        return acts

    def _expelled(self, now_s: float) -> Expel | None:
        if 0 < self._knobs.max_inbound_per_s < self.busiest_inbound:
            return Expel(1008, Cut.INBOUND)
        if self._answer_by_s <= now_s:
            return Expel(1000, Cut.UNANSWERED)
        if self._speak_by_s <= now_s:
            return Expel(_IDLE_CODE, Cut.IDLE)
        if self._subscribe_by_s <= now_s:
            return Expel(1008, Cut.UNSUBSCRIBED)
        return None

    def _question(self) -> bytes:
        self._questions += 1
        if self._knobs.test_request == "huobi":
            return b'{"ping":%d}' % self._questions
        return b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'

    def _is_answer(self, text: str) -> bool:
        try:
            said = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.DecodeError:
            return False
        if self._knobs.test_request == "huobi":
            is_answer = "pong" in said
            is_right = said.get("pong") == self._questions
        else:
            is_answer = is_right = said.get("method") == "public/test"
        if is_right:
            self._answer_by_s = _NEVER
        return is_answer


def _next(due_s: float, every_s: float, now_s: float) -> float:
    """When it comes the next time; what was missed isn't made up for."""
    next_s = due_s + every_s
    return next_s if next_s > now_s else now_s + every_s
