"""The open connections of a session, in the order in which they took over, and their farewells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from websockets.frames import CloseCode

from scaleout.core.backoff import BackoffState
from scaleout.worker.inlet import Inlet
from scaleout.worker.links.link import Link


class OpenLinks:
    """Holds them, and lets go of each in the way that its end calls for.

    Args:
        inlet: holds them back when there is too much to do.
        backoff: is told how long they lived.
    """

    def __init__(self, inlet: Inlet, backoff: BackoffState) -> None:
        self._inlet = inlet
        self._backoff = backoff
        self._links: list[Link] = []
        self._farewells: dict[asyncio.Task[None], None] = {}
        self._is_stopped = False

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links))

    @property
    def first(self) -> Link | None:
        """The one that delivers, if there is one."""
        return self._links[0] if self._links else None

    @property
    def is_held(self) -> bool:
        """Whether the one that delivers is held back."""
        return self.first is not None and self.first.connection.is_held

    def pause_reading(self, holder: object) -> None:
        """Hold back those that there are."""
        for link in self._links:
            link.connection.pause_reading(holder)

    def resume_reading(self, holder: object) -> None:
        """Let go."""
        for link in self._links:
            link.connection.resume_reading(holder)

    def come_first(self) -> None:
        """Deliver in the place of another worker's."""
        for link in self._links:
            link.come_first()

    def add(self, link: Link) -> None:
        """Hold one more."""
        self._links.append(link)
        self._inlet.attach(link.connection)
        if self._is_stopped:  # it was being opened when that was said
            link.stop_receiving()

    def close(self, link: Link) -> None:
        """Cut a connection, if it isn't closed already."""
        self._forget(link)
        link.let_go()

    def close_all(self) -> None:
        """Cut all connections."""
        for link in self:
            self.close(link)

    def retire(self, link: Link, follower: Link) -> None:
        """Close a connection in good order, in the background, as another one delivers in its place."""
        follower.take_over(link)
        self._forget(link)
        farewell = asyncio.get_running_loop().create_task(_bid_farewell(link, CloseCode.NORMAL_CLOSURE))
        self._farewells[farewell] = None
        farewell.add_done_callback(self._farewells.pop)

    def stop_receiving(self) -> None:
        """Receive nothing from now on, nor on connections that are still being opened."""
        self._is_stopped = True
        for link in self:
            link.stop_receiving()

    async def say_goodbye(self, code: CloseCode) -> None:
        """Close all connections in good order, and cut them when the peer takes its time."""
        links, self._links = self._links, []
        await asyncio.gather(*self._farewells, *(_bid_farewell(link, code) for link in links))

    def _forget(self, link: Link) -> None:
        self._backoff.session_ended(asyncio.get_running_loop().time() - link.opened_at, link.messages)
        self._inlet.detach(link.connection)
        if link in self._links:  # a goodbye may have taken it
            self._links.remove(link)


async def _bid_farewell(link: Link, code: CloseCode) -> None:
    try:
        await link.hang_up(code)
    finally:
        link.let_go()
