"""Conformance to RFC 6455 and RFC 7692: every case, in all reads, as demanded and as the library does."""

from __future__ import annotations

import asyncio
import reprlib
from types import ModuleType

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import OK_CLOSE_CODES
from websockets.protocol import State

from scaleout.core.frames import IS_COMPILED
from scaleout.core.runs import Run, find_run
from scaleout.worker import connection, reading
from scaleout.worker.connection import FeedConnection
from tests.worker.conformance import (
    closing,
    controls,
    deflate,
    deflate_faults,
    fragmentation,
    framing,
    limits,
    reserved,
    utf8,
)
from tests.worker.conformance.case import Case, Setting
from tests.worker.conformance.reads import FRAME_BY_FRAME, Turn, all_turns, turns
from tests.worker.conformance.sides import END, Outcome, run, seen_by_server

FAMILIES: tuple[ModuleType, ...] = (
    framing,
    controls,
    reserved,
    fragmentation,
    utf8,
    closing,
    limits,
    deflate,
    deflate_faults,
)


def family_name(family: ModuleType) -> str:
    return family.__name__.rpartition(".")[2]


def cases_of(family: ModuleType) -> list[Case]:
    cases: list[Case] = family.CASES
    return cases


CASES = {f"{family_name(family)}: {case.name}": case for family in FAMILIES for case in cases_of(family)}


def can_go_before(case: Case) -> bool:
    demand = case.deviation.instead if case.deviation else case.demand
    frames = [step for step in case.steps if isinstance(step, bytes)]
    does_act = len(frames) < len(case.steps)
    return demand.goes_on and not does_act and not case.stands_alone and sum(map(len, frames)) < 2000


def pairs() -> dict[str, list[Case]]:
    """By family: each case behind another one of the same setting after which the connection goes on."""
    found: dict[str, list[Case]] = {}
    before: dict[Setting, Case] = {}
    for family in FAMILIES:
        of_family = found[family_name(family)] = []
        for case in cases_of(family):
            if case.setting in before:
                of_family.append(case.behind(before[case.setting]))
            if can_go_before(case):
                before[case.setting] = case
    return found


PAIRS = pairs()


def differences(one: Outcome, other: Outcome) -> list[str]:
    """What differs, short enough to be read."""
    return [
        f"{name}: {reprlib.repr(left)} != {reprlib.repr(right)}"
        for name, left, right in zip(Outcome._fields, one, other, strict=True)
        if left != right
    ]


def check_demand(case: Case, outcome: Outcome) -> list[str]:
    """In what the outcome is not as the case demands."""
    seen = seen_by_server(outcome, case.setting)
    faults = [
        f"{name}: {reprlib.repr(left)}, demanded {reprlib.repr(right)}"
        for name, left, right in zip(seen._fields, seen, case.expected, strict=True)
        if left != right
    ]
    codes = {seen.close_sent, seen.close_received}
    if (outcome.error is ConnectionClosedOK) != (codes <= OK_CLOSE_CODES):
        faults.append(f"error: {outcome.error}")
    if outcome.state is not State.CLOSED or outcome.written[-1] != END or outcome.written.count(END) != 1:
        faults.append(f"the end: {outcome.state}, {outcome.written[-1]}")
    if outcome.state_before_end is not (State.OPEN if seen.close_sent is None else State.CLOSING):
        faults.append(f"before the end: {outcome.state_before_end}")
    if outcome.rcvd_then_sent and seen.close_sent == seen.close_received and outcome.rcvd != outcome.sent:
        faults.append(f"close frame {outcome.rcvd} answered with {outcome.sent}")
    return faults


async def faults_of(case: Case, way: str, turned: list[Turn], *, behind_response: bool = False) -> list[str]:
    """In what the connection differs from the library's on these reads, and either from the demand."""
    library = await run(
        ClientConnection,
        case.setting,
        turns(case.script, FRAME_BY_FRAME) if case.is_found_late else turned,
        asks_at_once=case.is_found_late,
        behind_response=behind_response,
    )
    feed = await run(FeedConnection, case.setting, turned, behind_response=behind_response)
    faults = [f"library: {fault}" for fault in check_demand(case, library)]
    faults += [f"feed: {fault}" for fault in check_demand(case, feed)]
    if case.is_found_late:
        library, feed = library.without_reason(), feed.without_reason()
    faults += [f"feed and library: {fault}" for fault in differences(feed, library)]
    return [f"{way}: {fault}" for fault in faults]


async def all_faults_of(case: Case) -> list[str]:
    faults: list[str] = []
    for way, turned in all_turns(case.script):
        faults += await faults_of(case, way, turned)
    together = turns(case.script, "whole")
    return faults + await faults_of(case, "with the response", together, behind_response=True)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    """Each case in each way to cut it into reads."""
    assert asyncio.run(all_faults_of(CASES[name])) == []


@pytest.mark.parametrize("family", PAIRS)
def test_pairs(family: str) -> None:
    """Each case behind another one, in the same read and cut in each payload."""

    async def main() -> list[str]:
        return [
            f"{pair.name}, {fault}"
            for pair in PAIRS[family]
            for way in ("whole", "cut in each payload")
            for fault in await faults_of(pair, way, turns(pair.script, way))
        ]

    assert asyncio.run(main()) == []


def test_the_tables_hold_what_they_say() -> None:
    assert len(CASES) == sum(len(cases_of(family)) for family in FAMILIES) > 1000
    assert sum(map(len, PAIRS.values())) > 900
    for name, case in CASES.items():
        if case.deviation is not None:
            assert case.deviation.instead != case.demand, f"{name} does not deviate"


# The suite finds faults


def faults_in(cases: list[Case]) -> list[list[str]]:
    return [asyncio.run(all_faults_of(case)) for case in cases]


def test_it_finds_out_a_connection_that_takes_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for name, case in CASES.items() if name.endswith(" ff: behind valid text")]
    monkeypatch.setattr(connection, "first_invalid_text", lambda payloads: None)
    assert cases and all(faults_in(cases))


@pytest.mark.skipif(IS_COMPILED, reason="what is compiled can't be replaced")
def test_it_finds_out_a_connection_that_takes_reserved_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_leniently(data: bytes, position: int, limit: int) -> Run | None:
        first = bytes((data[position] & 0x8F,))
        return find_run(data[:position] + first + data[position + 1 :], position, limit)

    cases = [case for case in reserved.CASES if " amid 300 text" in case.name]
    monkeypatch.setattr(reading, "find_run", find_leniently)
    assert cases and all(faults_in(cases))
