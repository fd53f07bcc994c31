"""How a handshake is answered is decided by the knobs, the request and the seed alone."""

from __future__ import annotations

import random

from scaleout.simulator.faults import Faults, Offer, Verdict, is_refused, judge


def test_handshakes_are_refused_first_and_then_at_random() -> None:
    faults = Faults(refuse_first=2, refuse_share=0.25)
    refused = [is_refused(faults, attempt, random.Random(f"{attempt}")) for attempt in range(2000)]
    assert refused[:2] == [True, True]
    assert 0.2 < sum(refused) / len(refused) < 0.3


def verdict(faults: Faults, attempt: int = 0, **offer: object) -> Verdict:
    return judge(faults, attempt, Offer(**offer), random.Random(1))  # type: ignore[arg-type]


def test_by_default_a_handshake_is_good() -> None:
    assert verdict(Faults()) == Verdict(101)
    assert verdict(Faults(), extensions="permessage-deflate", subprotocols=("a",)) == Verdict(101)


def test_what_is_offered_may_be_refused() -> None:
    assert verdict(Faults(refuse_compression=True), extensions="permessage-deflate; a=1").status == 400
    assert verdict(Faults(refuse_compression=True)).status == 101
    wanted = Faults(wanted_subprotocol="b")
    statuses = [verdict(wanted, subprotocols=offer).status for offer in (("b", "a"), ("a", "b"), ())]
    assert statuses == [101, 400, 400]


def test_the_first_handshakes_go_wrong_where_they_are_not_refused() -> None:
    faults = Faults(bad_handshake="garbage", bad_handshake_first=2, refuse_first=1, refuse_status=429)
    told = [(found.status, found.fault) for found in (verdict(faults, attempt) for attempt in range(3))]
    assert told == [(429, ""), (0, "garbage"), (101, "")]


def test_what_was_redirected_is_good_unless_it_is_a_loop() -> None:
    for fault, statuses in (("redirect", [307, 101]), ("redirect_loop", [307, 307])):
        faults = Faults(bad_handshake=fault, redirect_status=307)  # type: ignore[arg-type]
        assert [verdict(faults, query=query).status for query in ("", "a=b&redirected=1")] == statuses
