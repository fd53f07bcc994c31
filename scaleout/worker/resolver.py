"""The addresses of hosts: asked for once, kept for a while, and those that don't do put last."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import NamedTuple

DNS_TTL_S = 30.0
"""How long addresses are kept: the system's resolver doesn't say for how long they hold."""


class Address(NamedTuple):
    """Where to connect."""

    family: int
    host: str
    port: int


class Answer:
    """The addresses of a host, as the system has them.

    Args:
        key: host and port.
        addresses: at least one, in order of preference.
        expires_at: loop time.
    """

    def __init__(self, key: tuple[str, int], addresses: Sequence[Address], expires_at: float) -> None:
        self.key = key
        self.expires_at = expires_at
        self.failed: set[Address] = set()
        family = addresses[0].family
        self._preferred = [address for address in addresses if address.family == family]
        self._others = [address for address in addresses if address.family != family]
        self._uses = 0

    @property
    def has_failed(self) -> bool:
        """Whether no address is left that may do."""
        return len(self.failed) == len(self._preferred) + len(self._others)

    def in_order(self) -> list[Address]:
        """All addresses; those that the system prefers take turns at being first, failed ones come last."""
        turn = self._uses % len(self._preferred)
        self._uses += 1
        ordered = [*self._preferred[turn:], *self._preferred[:turn], *self._others]
        return sorted(ordered, key=self.failed.__contains__)


class Resolver:
    """Looks up the addresses of hosts, once for all who ask at the same time and within `DNS_TTL_S`."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], Answer] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[Answer]] = {}

    async def look_up(self, host: str, port: int) -> Answer:
        """The addresses of a host.

        Raises:
            OSError: it has none; that isn't kept.
        """
        key = (host, port)
        answer = self._answers.get(key)
        if answer is not None and asyncio.get_running_loop().time() < answer.expires_at:
            return answer
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.create_task(self._look_up(key))
            lookup.add_done_callback(lambda _: self._lookups.pop(key))
        return await asyncio.shield(lookup)  # it goes on for the others when one gives up

    async def _look_up(self, key: tuple[str, int]) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*key, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc  # a name that can't even be asked for
            raise OSError(f"{key[0]} has no address: {why}") from None
        addresses = [Address(family, str(at[0]), int(at[1])) for family, _, _, _, at in found]
        if not addresses:
            raise OSError(f"{key[0]} has no address")
        now = loop.time()
        self._answers = {known: kept for known, kept in self._answers.items() if now < kept.expires_at}
        answer = self._answers[key] = Answer(key, list(dict.fromkeys(addresses)), now + DNS_TTL_S)
        return answer

    def note_failure(self, answer: Answer, address: Address) -> None:
        """Remember that an address didn't do; with the last one the whole answer is forgotten."""
        answer.failed.add(address)
        if answer.has_failed and self._answers.get(answer.key) is answer:
            del self._answers[answer.key]


def is_address(host: str) -> bool:
    """Whether a host is named by its address, so that there is nothing to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
