"""An endpoint's messages in order: those that wait, those that helpers have, and those that are answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from scaleout.core.ledger import Entry
from scaleout.core.spreadwire import Outcome, Portion, Work
from scaleout.core.wire import DeadLetter
from scaleout.worker.encoding import Lines

Action = Callable[[], None]

MAX_DEATHS = 3
"""Messages on which so many processes have died are dead letters."""


class Batch:
    """Messages that are given to a helper together."""

    __slots__ = ("actions", "deaths", "is_done", "messages", "outcomes", "segments")

    def __init__(self) -> None:
        self.segments: list[list[Portion]] = []
        self.actions: list[list[Action]] = []
        """What is to be done behind each segment."""
        self.messages = 0
        self.deaths = 0
        """Processes that died while they had it before them."""
        self.outcomes: list[tuple[Outcome, Lines]] = []
        self.is_done = False

    def add(self, portion: Portion) -> None:
        """Put messages behind those that are there."""
        if not self.segments or self.actions[-1]:
            self.segments.append([])
            self.actions.append([])
        self.segments[-1].append(portion)
        self.messages += len(portion.payloads)

    def work(self, number: int) -> Work:
        """What a helper is told."""
        return Work(number, tuple(map(tuple, self.segments)))

    def divided(self, are_portions_whole: bool) -> list[Batch]:
        """The same messages in as many batches as can be."""
        batches: list[Batch] = []
        for segment, actions in zip(self.segments, self.actions, strict=True):
            for portion in segment:
                for part in [portion] if are_portions_whole else _singles(portion):
                    batches.append(Batch())
                    batches[-1].add(part)
                    batches[-1].deaths = self.deaths
            batches[-1].actions[-1].extend(actions)
        return batches

    def give_up(self, slot: int, reason: str) -> None:
        """Let all of it be dead letters."""
        self.outcomes = [
            (_dead(index, slot, segment, reason), ()) for index, segment in enumerate(self.segments)
        ]
        self.is_done = True


def _singles(portion: Portion) -> Iterator[Portion]:
    for payload in portion.payloads:
        yield Portion([payload], portion.is_text, portion.received_at)


def _dead(index: int, slot: int, segment: Sequence[Portion], reason: str) -> Outcome:
    letters = tuple(
        DeadLetter(
            slot=slot,
            stage="process",
            reason=reason,
            payload=payload,
            is_text=portion.is_text,
            received_at=portion.received_at,
        )
        for portion in segment
        for payload in portion.payloads
    )
    return Outcome(index, Entry(slot, dead_lettered=len(letters)), dead_letters=letters)


class Line:
    """Keeps an endpoint's messages in order from their arrival until their outcomes are booked.

    Args:
        slot: the endpoint's.
        are_portions_whole: whether the messages of a read have to stay together.
    """

    def __init__(self, slot: int, are_portions_whole: bool) -> None:
        self.messages = 0
        """All that are in the line."""
        self.size_bytes = 0
        """Of their payloads."""
        self.waiting = 0
        """Messages that are in no batch as yet."""
        self._slot = slot
        self._are_portions_whole = are_portions_whole
        self._waiting: deque[Portion | Action] = deque()
        self._again: deque[Batch] = deque()
        """Those whose helpers have died."""
        self._batches: deque[Batch] = deque()
        """All that are formed and not booked, in order."""

    def __repr__(self) -> str:
        return f"<Line of {self.messages} messages, {self.waiting} of them waiting>"

    @property
    def is_empty(self) -> bool:
        """Whether all that came is booked."""
        return not self._batches and not self._waiting

    @property
    def is_given(self) -> bool:
        """Whether helpers have, or had, messages that aren't booked."""
        return bool(self._batches)

    @property
    def has_again(self) -> bool:
        """Whether there are messages whose helper has died."""
        return bool(self._again)

    # What comes

    def add(self, portion: Portion) -> None:
        """Put messages at the end of the line."""
        self._waiting.append(portion)
        self.waiting += len(portion.payloads)
        self.messages += len(portion.payloads)
        self.size_bytes += sum(map(len, portion.payloads))

    def add_action(self, action: Action) -> None:
        """Have something done behind all that came before; the line isn't empty."""
        if self._waiting:
            self._waiting.append(action)
        else:
            self._batches[-1].actions[-1].append(action)

    # What is given

    def form(self, size: int) -> Batch | None:
        """The next batch to give: of about so many messages, those whose helper has died first."""
        if self._again:
            return self._again.popleft()
        if not self._waiting:
            return None
        batch = Batch()
        while self._waiting and batch.messages < size:
            item = self._waiting.popleft()
            if isinstance(item, Portion):
                batch.add(self._cut(item, size - batch.messages))
            else:
                batch.actions[-1].append(item)
        while self._waiting and not isinstance(item := self._waiting[0], Portion):
            batch.actions[-1].append(item)
            self._waiting.popleft()
        self.waiting -= batch.messages
        self._batches.append(batch)
        return batch

    def _cut(self, portion: Portion, room: int) -> Portion:
        """As much of it as there is room for; the rest waits on."""
        payloads = portion.payloads
        if len(payloads) <= room or self._are_portions_whole:
            return portion
        self._waiting.appendleft(Portion(payloads[room:], portion.is_text, portion.received_at))
        return Portion(payloads[:room], portion.is_text, portion.received_at)

    def take_waiting(self) -> Iterator[Portion | Action]:
        """Take what is in no batch out of the line, one by one; there are no batches before it."""
        while self._waiting:
            item = self._waiting.popleft()
            if isinstance(item, Portion):
                self._leave([item])
                self.waiting -= len(item.payloads)
            yield item

    def give_back(self, batches: Sequence[Batch], reason: str) -> None:
        """Take batches back whose helper has died: it was the first of them that it had before it.

        That one is given again in the smallest parts, and given up when too many helpers have died on it.
        """
        for batch in batches:
            batch.outcomes.clear()
        first, *others = batches
        first.deaths += 1
        parts = [first]
        if first.messages > 1:
            parts = first.divided(self._are_portions_whole)
            self._replace(first, parts)
        if first.deaths >= MAX_DEATHS and len(parts) == 1:
            parts.pop().give_up(
                self._slot, f"{first.deaths} processes died while they processed it: {reason}"
            )
        self._again.extend((*parts, *others))

    def _replace(self, batch: Batch, parts: list[Batch]) -> None:
        self._batches = deque(each for old in self._batches for each in (parts if old is batch else (old,)))

    # What is booked

    @property
    def done(self) -> Batch | None:
        """The first batch, if it is done."""
        return self._batches[0] if self._batches and self._batches[0].is_done else None

    def drop_first(self) -> None:
        """The first batch is booked."""
        for segment in self._batches.popleft().segments:
            self._leave(segment)

    def _leave(self, portions: Sequence[Portion]) -> None:
        for portion in portions:
            self.messages -= len(portion.payloads)
            self.size_bytes -= sum(map(len, portion.payloads))

    def give_up(self, reason: str) -> None:
        """Let all that isn't done be dead letters."""
        self._again.clear()
        while self._waiting:
            self.form(self.waiting)
        for batch in self._batches:
            if not batch.is_done:
                batch.give_up(self._slot, reason)
