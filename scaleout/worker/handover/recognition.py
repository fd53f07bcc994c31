"""Messages that were delivered before a move, and that the next connection brings once more after it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from scaleout.core.frames import Kind
from scaleout.worker.connection import Receiver
from scaleout.worker.identity import Identify, hashes_of

RECOGNITION_S = 10.0
"""After that time a message that looks like one of them is another one."""


class Recognition:
    """Drops what is known, each message once, and passes on the rest.

    Args:
        known: hashes.
        deliver: takes the rest.
        drop: takes copies.
        identify: makes the hashes.
    """

    def __init__(
        self,
        known: Iterable[int],
        deliver: Receiver,
        drop: Callable[[list[bytes]], None],
        identify: Identify = hashes_of,
    ) -> None:
        self._identify = identify
        self._known = Counter(known)
        self._deliver = deliver
        self._drop = drop
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + RECOGNITION_S

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to recognize any more."""
        return not self._known or self._loop.time() >= self._ends_at

    def receive(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        """Take a read."""
        if self.is_over:
            self._deliver(payloads, joined, kind, received_at)
            return
        known = self._known
        copies: list[bytes] = []
        rest: list[bytes] = []
        for payload, message in zip(payloads, self._identify(payloads), strict=True):
            if message in known:
                copies.append(payload)
                known[message] -= 1
                if not known[message]:
                    del known[message]
            else:
                rest.append(payload)
        if copies:
            self._drop(copies)
            payloads, joined = rest, b"\n".join(rest)
        if payloads:
            self._deliver(payloads, joined, kind, received_at)


def without_recognition(receiver: Receiver) -> Receiver:
    """Where a receiver delivers to in the end, if it recognizes nothing any more; else the receiver itself."""
    owner = getattr(receiver, "__self__", None)
    return owner._deliver if isinstance(owner, Recognition) and owner.is_over else receiver
