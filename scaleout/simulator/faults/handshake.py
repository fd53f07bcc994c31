"""How a handshake is answered: it follows from the knobs, the request and a seed."""

from __future__ import annotations

import random

from msgspec import Struct

from scaleout.simulator.faults.knobs import BadHandshake, Faults

REDIRECTED = "redirected=1"
"""In the query of a URI that a redirect has led to."""
_UNANSWERED = ("garbage", "no_answer", "close", "reset", "half_answer", "endless_headers")


class Offer(Struct, frozen=True):
    """What matters of a request."""

    query: str = ""
    subprotocols: tuple[str, ...] = ()
    extensions: str = ""


class Verdict(Struct, frozen=True):
    """How a handshake is answered."""

    status: int = 101
    """Of the answer; 0: what comes, if anything, is no whole HTTP response."""
    problem: str = ""
    """Of a refusal, in words."""
    fault: BadHandshake = ""


def judge(faults: Faults, attempt: int, offer: Offer, rng: random.Random) -> Verdict:
    """How a handshake is answered.

    Args:
        faults: the knobs.
        attempt: the handshake's number at its endpoint, from 0.
        offer: what the client asks for.
        rng: used for this handshake alone.
    """
    if is_refused(faults, attempt, rng):
        return Verdict(faults.refuse_status, "Refused as asked.\n")
    if faults.refuse_compression and "permessage-deflate" in offer.extensions:
        return Verdict(400, "Compression is not spoken here.\n")
    if faults.wanted_subprotocol and offer.subprotocols[:1] != (faults.wanted_subprotocol,):
        return Verdict(400, f"The first subprotocol offered must be {faults.wanted_subprotocol}.\n")
    return _spoiled(faults, attempt, offer)


def is_refused(faults: Faults, attempt: int, rng: random.Random) -> bool:
    """Whether a handshake is refused, whatever it asks for."""
    return attempt < faults.refuse_first or rng.random() < faults.refuse_share


def _spoiled(faults: Faults, attempt: int, offer: Offer) -> Verdict:
    fault = faults.bad_handshake
    is_spared = faults.bad_handshake_first and attempt >= faults.bad_handshake_first
    is_redirected = fault == "redirect" and REDIRECTED in offer.query
    if not fault or is_spared or is_redirected:
        return Verdict()
    if fault in ("redirect", "redirect_loop"):
        return Verdict(faults.redirect_status, "It is elsewhere.\n", fault)
    return Verdict(0 if fault in _UNANSWERED else 101, fault=fault)
