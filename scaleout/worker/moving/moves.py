"""The moves that a worker takes part in, as the giver or the taker of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from scaleout.core.lifecycle import EndpointState
from scaleout.core.movewire import Abandon, Compare, Cut, GoLive, Keep, MoveFailed, MoveReport, Offer
from scaleout.worker.assigned import Assigned
from scaleout.worker.moving.giving import Giving
from scaleout.worker.moving.taking import Taking

AnyMove = TypeVar("AnyMove", Giving, Taking)


class Moves:
    """Follows them.

    What is said about a move that isn't known is past: it has been given up meanwhile.

    Args:
        report: tells the supervisor.
        release: lets an endpoint go.
    """

    def __init__(self, report: Callable[[MoveReport], None], release: Callable[[int], None]) -> None:
        self._report = report
        self._release = release
        self._givings: dict[int, Giving] = {}
        """By slot."""
        self._takings: dict[int, Taking] = {}

    # An endpoint that moves away

    def offer(self, command: Offer, assigned: Assigned | None) -> None:
        """Note what it delivers."""
        if command.slot in self._givings:
            self._givings.pop(command.slot).keep()
        sessions = assigned.feed.sessions if assigned is not None else []
        if assigned is None or not sessions:
            self._report(MoveFailed(command.move, "its worker has not started it"))
        elif any(session.gate is not None for session in sessions):
            self._report(MoveFailed(command.move, "it has moved only just now"))
        elif assigned.feed.state is EndpointState.ENDED:
            self._report(MoveFailed(command.move, "it has ended"))
        else:
            self._givings[command.slot] = Giving(command.move, assigned.feed, assigned.inlet, self._report)

    def change_streams(self, slot: int) -> None:
        """The endpoint's connections change: what is compared wouldn't fit together."""
        giving = self._givings.pop(slot, None)
        if giving is not None:
            giving.fail("its streams have been changed")

    def let_go(self, slot: int) -> None:
        """The endpoint leaves this worker."""
        giving = self._givings.pop(slot, None)
        if giving is not None:
            giving.let_go()
        taking = self._takings.pop(slot, None)
        if taking is not None:
            taking.drop()

    # An endpoint that comes

    def take(self, slot: int, taking: Taking) -> None:
        """It has been begun to take this endpoint."""
        self._takings[slot] = taking

    def follow(self, slot: int) -> None:
        """The state of one of its connections has changed."""
        if slot in self._takings:
            self._takings[slot].follow()

    # Commands

    def obey(self, command: Cut | Keep | Compare | GoLive | Abandon) -> None:
        """Do what is said of a move."""
        slot, giving = _find(self._givings, command.move)
        if giving is not None:
            if isinstance(command, Cut):
                giving.cut()
            elif isinstance(command, Keep):
                del self._givings[slot]
                giving.keep()
            return
        slot, taking = _find(self._takings, command.move)
        if taking is None:
            return
        if isinstance(command, Compare):
            taking.compare(command)
        elif isinstance(command, GoLive):
            del self._takings[slot]
            taking.go_live()
        elif isinstance(command, Abandon):
            self._release(slot)

    def end_all(self) -> None:
        """The worker stops: what is held is delivered, and what another worker delivers is dropped."""
        for giving in self._givings.values():
            giving.keep()
        for taking in self._takings.values():
            taking.drop()
        self._givings, self._takings = {}, {}


def _find(moves: Mapping[int, AnyMove], move: int) -> tuple[int, AnyMove | None]:
    """A move by its number, and the slot that it is about."""
    return next(((slot, each) for slot, each in moves.items() if each.move == move), (0, None))
