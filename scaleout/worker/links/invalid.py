"""Whether more of an endpoint's messages are invalid than it may have."""

from __future__ import annotations

import asyncio

from scaleout.config import InvalidShare as Limit
from scaleout.core.validity import InvalidShare
from scaleout.units import format_duration
from scaleout.worker.books import Books


class InvalidWatch:
    """Follows the messages of one connection through the endpoint's books.

    Where nothing is kept waiting, a message is decoded as it comes: so the books tell which connection brought an
    invalid one. Under a policy that drops, it may be decoded later: then it counts for whichever brings the next.

    Args:
        limit: how many there may be.
        is_decoded_at_once: whether messages are decoded as they come.
        books: say how many could not be decoded.
    """

    def __init__(self, limit: Limit, is_decoded_at_once: bool, books: Books) -> None:
        self._limit = limit
        self._is_decoded_at_once = is_decoded_at_once
        self._books = books
        self._undecodable = books.undecodable
        self._share = InvalidShare(limit.share, limit.window)

    def reset(self) -> None:
        """Begin anew, with another connection."""
        self._undecodable = self._books.undecodable
        self._share.reset()

    def before(self) -> None:
        """Messages are about to be handed on."""
        if self._is_decoded_at_once:
            self._undecodable = self._books.undecodable

    def after(self, messages: int) -> str | None:
        """So many messages were handed on; what is wrong, if too many are invalid."""
        before, self._undecodable = self._undecodable, self._books.undecodable
        invalid = min(messages, self._undecodable - before)
        if not self._share.note(asyncio.get_running_loop().time(), messages - invalid, invalid):
            return None
        share, within = f"{self._limit.share * 100:.4g}%", format_duration(self._limit.window)
        return f"more than {share} of the messages within {within} are invalid"
