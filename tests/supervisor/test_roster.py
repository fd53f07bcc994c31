"""Endpoints that come and go keep their slots, and their books."""

from __future__ import annotations

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.supervisor.roster import Roster


def endpoint(name: str) -> Endpoint:
    return Endpoint(uri=f"ws://h/{name}", name=name)


def names_of(roster: Roster) -> list[str]:
    return [status.endpoint.name for status in roster]


def test_endpoints_come_and_go() -> None:
    names: dict[int, str] = {}
    roster = Roster([endpoint("a"), endpoint("b")], {0: 1, 1: 0}, names)
    assert [status.worker for status in roster] == [1, 0]
    added = roster.add(endpoint("c"), 1)
    assert (added.slot, names) == (2, {0: "a", 1: "b", 2: "c"})
    roster.remove(0)
    assert names_of(roster) == ["b", "c"]
    assert (len(roster), 0 in roster, 1 in roster) == (2, False, True)
    assert roster.find("a") is None
    assert roster.find("b") is roster[1]
    assert roster.of_worker(1) == [added]
    assert [status.endpoint.name for status in roster.ever] == ["a", "b", "c"]


def test_one_that_was_there_before_goes_on_with_its_slot() -> None:
    roster = Roster([endpoint("a"), endpoint("b")], {0: 0, 1: 0}, {})
    roster[0].connects, roster[0].moves = 5, 2
    roster.remove(0)
    again = roster.add(endpoint("a"), 3)
    assert (again.slot, again.worker, again.connects, again.moves) == (0, 3, 5, 2)
    assert again.state is EndpointState.WAITING
    assert roster.add(endpoint("new"), 0).slot == 2
    assert len(roster.ever) == 3


def test_a_run_has_ended_when_all_endpoints_that_there_are_have() -> None:
    roster = Roster([endpoint("a"), endpoint("b")], {0: 0, 1: 0}, {})
    roster[0].end()
    assert not roster.has_ended
    roster.remove(1)
    assert roster.has_ended
    roster.remove(0)
    assert not roster.has_ended  # it waits for more
