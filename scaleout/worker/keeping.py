"""What an endpoint's policy keeps of the messages that can't be taken: so many, so large, and no more."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import count, repeat

import msgspec
from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.core.fields import Field, Path, field_reader
from scaleout.core.frames import Kind
from scaleout.worker.decoding import Read

PIECE = 256
"""Messages that are handed on at once, at the most."""
MAX_ACTIONS = 10_000
"""A message carries at most a few; a feed that is all gaps must not fill the memory either."""

Action = Callable[[], None]
KeysOf = Callable[[list[bytes]], Iterable[object]]


class _Origin(Struct, frozen=True, gc=False):
    """What the messages of one read have in common."""

    kind: Kind
    received_at: int


class DropOldest:
    """Keeps the newest messages, and what is to be done among them, in order of arrival.

    One message is kept however large it is: with less, a feed of large messages would come to nothing.

    Args:
        endpoint: says how much is kept.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.messages = 0
        self.size_bytes = 0
        """Of the payloads."""
        self._high = endpoint.high_water
        self._high_bytes = endpoint.high_water_bytes
        self._items: OrderedDict[object, tuple[bytes, _Origin] | Action] = OrderedDict()
        self._due: deque[Action] = deque()
        """Actions in front of which nothing is left."""
        self._actions = 0
        self._numbers = count()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.messages} messages, {self.size_bytes} bytes>"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing, not even an action."""
        return not self._items and not self._due

    def keys(self, payloads: list[bytes]) -> Iterable[object]:
        """For each message what it shares with those that it replaces."""
        return self._numbers

    def add(self, read: Read) -> int:
        """Keep the messages of a read.

        Returns:
            How many messages are dropped for it, or of it.
        """
        origin = _Origin(read.kind, read.received_at)
        items = self._items
        replaced = 0
        for payload, key in zip(read.payloads, self.keys(read.payloads), strict=False):
            old = items.pop(key, None)
            if isinstance(old, tuple):
                self.size_bytes -= len(old[0])
                replaced += 1
            items[key] = payload, origin
            self.size_bytes += len(payload)
        self.messages += len(read.payloads) - replaced
        return replaced + self._drop_oldest()

    def _drop_oldest(self) -> int:
        dropped = 0
        while self.messages > 1 and (self.messages > self._high or self.size_bytes > self._high_bytes):
            _, item = self._items.popitem(last=False)
            if isinstance(item, tuple):
                self.messages -= 1
                self.size_bytes -= len(item[0])
                dropped += 1
            else:
                self._due.append(item)
        return dropped

    def add_action(self, action: Action) -> bool:
        """Keep an action behind the messages that are kept so far; False if there are too many."""
        if self._actions >= MAX_ACTIONS:
            return False
        self._actions += 1
        self._items[object()] = action
        return True

    def take(self) -> Read | Action | None:
        """The oldest of what is kept: messages of one read, or an action; it is kept no longer."""
        if self._due:
            self._actions -= 1
            return self._due.popleft()
        if not self._items:
            return None
        _, item = self._items.popitem(last=False)
        if not isinstance(item, tuple):
            self._actions -= 1
            return item
        payload, origin = item
        return self._take_more([payload], origin)

    def _take_more(self, payloads: list[bytes], origin: _Origin) -> Read:
        items = self._items
        while len(payloads) < PIECE and items:
            key = next(iter(items))
            item = items[key]
            if not isinstance(item, tuple) or item[1] is not origin:
                break
            del items[key]
            payloads.append(item[0])
        self.messages -= len(payloads)
        self.size_bytes -= sum(map(len, payloads))
        return Read(payloads, origin.kind, origin.received_at)


class DropNewest(DropOldest):
    """Keeps the oldest messages: when it is full nothing more is taken, until it has nearly been emptied.

    So there is one long gap in what is handed on, and not many short ones.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._low = endpoint.goes_on_below
        self._low_bytes = endpoint.high_water_bytes // 4
        self._is_full = False

    def add(self, read: Read) -> int:
        """Keep the messages of a read, as far as there is room; the others are dropped."""
        if self._is_full and self.messages < self._low and self.size_bytes <= self._low_bytes:
            self._is_full = False
        if self._is_full:
            return len(read.payloads)
        fitting = self._count_fitting(read.payloads)
        if fitting == len(read.payloads):
            return super().add(read)
        self._is_full = True
        super().add(Read(read.payloads[:fitting], read.kind, read.received_at))
        return len(read.payloads) - fitting

    def _count_fitting(self, payloads: list[bytes]) -> int:
        messages, size = self.messages, self.size_bytes
        for payload in payloads:
            size += len(payload)
            if messages and (messages >= self._high or size > self._high_bytes):
                break
            messages += 1
        return messages - self.messages


class Latest(DropOldest):
    """Keeps the newest message of each key, in the order in which these have come.

    Messages without the key, or that can't be read, share one key. When there are too many keys, the one that has
    been without a message for longest leaves.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._keys_of: KeysOf = _always_none
        if endpoint.latest_key is not None:
            key = Field(Path(endpoint.latest_key), str | int | float | None, _hashable)
            self._keys_of = field_reader(key).read

    def keys(self, payloads: list[bytes]) -> Iterable[object]:
        """The key of each message."""
        return self._keys_of(payloads)


def keeper(endpoint: Endpoint) -> DropOldest:
    """What an endpoint's policy keeps; its policy isn't `block`."""
    match endpoint.backpressure:
        case "drop_newest":
            return DropNewest(endpoint)
        case "latest":
            return Latest(endpoint)
        case _:
            return DropOldest(endpoint)


def _always_none(payloads: list[bytes]) -> Iterable[object]:
    return repeat(None)


def _hashable(value: object) -> object:
    if value is None or type(value) is int or isinstance(value, str | float):
        return value
    return msgspec.json.encode(value)
