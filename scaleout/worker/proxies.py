"""Proxies that the environment, or the system, names for a server; what it says is kept for a while.

To look takes longer than all the rest of a connect: the whole environment is read, twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from websockets.proxy import get_proxy
from websockets.uri import WebSocketURI

KEEP_S = 30.0
MAX_ANSWERS = 10_000

Origin = tuple[bool, str, int]


class Proxies:
    """Answers which proxy leads to a server.

    Args:
        look_up: asks the environment.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        look_up: Callable[[WebSocketURI], str | None] = get_proxy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._answers: dict[Origin, str | None] = {}
        self._asked_at = 0.0

    def proxy_for(self, server: WebSocketURI) -> str | None:
        """The proxy's URI; None: there is none."""
        now = self._clock()
        if now - self._asked_at >= KEEP_S or len(self._answers) >= MAX_ANSWERS:
            self._answers.clear()
            self._asked_at = now
        origin = (server.secure, server.host, server.port)
        if origin not in self._answers:
            self._answers[origin] = self._look_up(server)
        return self._answers[origin]
