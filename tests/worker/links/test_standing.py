"""How ends and good connections add up to waits, quarantines and recoveries."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, cast

import pytest

from scaleout.config import Backoff, Endpoint, InvalidShare, Quarantine, Ready
from scaleout.core.lifecycle import EndpointState
from scaleout.core.remedies import Remedy
from scaleout.logs import EndpointLogger
from scaleout.worker.links.endings import Ending, Renegotiation
from scaleout.worker.links.link import Link
from scaleout.worker.links.standing import SETTLED_S, Standing
from tests.worker.peers import run_fast

BACKOFF, QUARANTINED = EndpointState.BACKOFF, EndpointState.QUARANTINED
REFUSED = Ending(Remedy.REFUSED, "no")


def standing(**keys: Any) -> Standing:
    keys = {"quarantine": Quarantine(after=2, probe=100.0), "backoff": Backoff(initial=1.0), **keys}
    endpoint = Endpoint(uri="ws://feed.test/", **keys)
    return Standing(endpoint, Random(1), EndpointLogger("feed", ()))


class StandIn:
    """In the place of a link."""

    opened_at = 0.0

    def __init__(self, messages: int, is_ready: bool = True) -> None:
        self.messages = messages
        self.is_ready = is_ready


@pytest.mark.parametrize(
    ("remedy", "least", "most"),
    [(Remedy.RETRY, 0.0, 1.0), (Remedy.SLOW_RETRY, 4.0, 8.0), (Remedy.REFUSED, 4.0, 8.0)],
)
def test_a_remedy_says_how_long_to_wait(remedy: Remedy, least: float, most: float) -> None:
    for _ in range(20):
        state, delay_s = standing().wait_after(Ending(remedy, "x"))
        assert state is BACKOFF and least <= delay_s <= most


def test_refusals_in_a_row_end_in_quarantine_where_all_ends_are_probes() -> None:
    stands = standing()
    states = [stands.wait_after(ending)[0] for ending in (REFUSED, Ending(error="lost"), REFUSED, Ending())]
    assert states == [BACKOFF, BACKOFF, QUARANTINED, QUARANTINED]
    assert 90 <= stands.wait_after(REFUSED)[1] <= 110
    assert stands.wait_after(Ending(Remedy.REFUSED, "no", retry_after_s=1000.0)) == (QUARANTINED, 1000.0)
    stands.release()
    assert stands.wait_after(REFUSED)[0] is BACKOFF


@pytest.mark.parametrize(
    ("link", "lived_s", "has_ended_well", "keys", "recovers"),
    [
        (StandIn(1), SETTLED_S, False, {}, True),
        (StandIn(1), SETTLED_S - 1, False, {}, False),
        (StandIn(1), 0.1, True, {}, True),
        (StandIn(0), 1000.0, True, {}, False),
        (StandIn(1, is_ready=False), 1000.0, True, {}, False),
        (StandIn(0), 0.1, False, {"ready": Ready(match="ok")}, True),
        (StandIn(0, is_ready=False), 1000.0, False, {"ready": Ready(match="ok")}, False),
        (StandIn(1), 29.0, True, {"max_invalid": InvalidShare(0.1, 30.0)}, False),
        (StandIn(1), 30.0, False, {"max_invalid": InvalidShare(0.1, 30.0)}, True),
    ],
)
def test_a_good_connection_is_a_recovery(
    link: StandIn, lived_s: float, has_ended_well: bool, keys: dict[str, Any], recovers: bool
) -> None:
    async def main() -> None:
        stands = standing(**keys)
        stands.wait_after(REFUSED)
        stands.wait_after(REFUSED)
        stands.offers.are_in_doubt = True
        await asyncio.sleep(lived_s)
        stands.look(cast(Link, link), has_ended_well=has_ended_well)
        assert stands.offers.are_in_doubt is not recovers
        assert stands.wait_after(Ending())[0] is (BACKOFF if recovers else QUARANTINED)

    run_fast(main())


def test_what_can_be_offered_differently_is_no_refusal_until_all_was_tried() -> None:
    stands = standing(compression="deflate")
    ending = Ending(Remedy.REFUSED, "no", retry_after_s=3.0, renegotiation=Renegotiation.ANYTHING_ELSE)
    assert stands.renegotiate(ending) == Ending(Remedy.RETRY, "no", retry_after_s=3.0)
    assert not stands.offers.compression
    assert stands.renegotiate(ending) == Ending(Remedy.REFUSED, "no", retry_after_s=3.0)
    assert stands.renegotiate(REFUSED) is REFUSED
