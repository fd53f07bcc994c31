"""The endpoints of a run, by slot: those that there are, and those that there were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.supervisor.status import EndpointStatus

SPARE_SLOTS = 4096
"""Endpoints with new names that may be added while a worker process lives."""


class Roster:
    """Endpoints come and go; a slot is an endpoint's for the whole run, and its books stay.

    Args:
        endpoints: at the start.
        placement: each one's worker, by slot.
        names: is told the name of each slot, here and from now on.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], placement: Mapping[int, int], names: dict[int, str]
    ) -> None:
        self._names = names
        self._all: dict[int, EndpointStatus] = {}
        self._present: dict[int, EndpointStatus] = {}
        self._by_name: dict[str, EndpointStatus] = {}
        """All that there ever were."""
        for slot, endpoint in enumerate(endpoints):
            self._enter(EndpointStatus(slot=slot, endpoint=endpoint, worker=placement[slot]))

    def _enter(self, status: EndpointStatus) -> None:
        self._all[status.slot] = self._present[status.slot] = status
        self._by_name[status.endpoint.name] = status
        self._names[status.slot] = status.endpoint.name

    def __iter__(self) -> Iterator[EndpointStatus]:
        return iter(tuple(self._present.values()))

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, slot: int) -> EndpointStatus:
        return self._all[slot]

    def __contains__(self, slot: object) -> bool:
        return slot in self._present

    @property
    def ever(self) -> Sequence[EndpointStatus]:
        """All that there ever were."""
        return tuple(self._all.values())

    @property
    def moves(self) -> int:
        """Of all that there ever were, to other workers."""
        return sum(status.moves for status in self._all.values())

    @property
    def has_ended(self) -> bool:
        """Whether there are endpoints, and all of them have ended for good."""
        return bool(self._present) and all(
            status.state is EndpointState.ENDED for status in self._present.values()
        )

    def find(self, name: str) -> EndpointStatus | None:
        """The endpoint of that name."""
        status = self._by_name.get(name)
        return status if status is not None and status.slot in self._present else None

    def of_worker(self, worker: int) -> list[EndpointStatus]:
        """Those that a worker has."""
        return [status for status in self._present.values() if status.worker == worker]

    def add(self, endpoint: Endpoint, worker: int) -> EndpointStatus:
        """Add an endpoint whose name isn't there; one that was there before has its slot and books again."""
        former = self._by_name.get(endpoint.name)
        slot = len(self._all) if former is None else former.slot
        status = EndpointStatus(slot=slot, endpoint=endpoint, worker=worker)
        if former is not None:
            status.connects = status.connects_before = former.connects
            status.moves = former.moves
        self._enter(status)
        return status

    def remove(self, slot: int) -> None:
        """Take an endpoint away; its books stay."""
        del self._present[slot]
