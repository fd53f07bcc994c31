"""How an endpoint stands with its server: what it was refused, what else it may offer, and when to come back."""

from __future__ import annotations

import asyncio
from random import Random

from scaleout.config import Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.breaker import Breaker
from scaleout.core.lifecycle import EndpointState
from scaleout.core.remedies import Remedy
from scaleout.logs import EndpointLogger
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.link import Link
from scaleout.worker.links.offers import Offers

SETTLED_S = 5.0
"""A server that refuses after the handshake does so within that time, whatever it sends before."""


class Standing:
    """Follows the ends of connections and of attempts, and the connections that are good.

    Args:
        endpoint: says how often to try, and what may be offered.
        rng: spreads the delays.
        logger: knows the endpoint.
    """

    def __init__(self, endpoint: Endpoint, rng: Random, logger: EndpointLogger) -> None:
        self.offers = Offers(endpoint)
        self.backoff = BackoffState(endpoint.backoff, rng)
        self._endpoint = endpoint
        self._rng = rng
        self._log = logger
        self._breaker = Breaker(endpoint.quarantine.after, endpoint.quarantine.probe)

    def renegotiate(self, ending: Ending) -> Ending:
        """Offer something else at the next connect; if there is nothing else to offer, it is a refusal."""
        if ending.renegotiation is None:
            return ending
        tried = self.offers.change(ending.renegotiation)
        if tried is None:
            return Ending(Remedy.REFUSED, ending.error, retry_after_s=ending.retry_after_s)
        self._log.info("negotiating anew, %s", tried)
        return Ending(Remedy.RETRY, ending.error, retry_after_s=ending.retry_after_s)

    def wait_after(self, ending: Ending) -> tuple[EndpointState, float]:
        """In which state to wait for the next attempt, and for how many seconds."""
        if ending.remedy is Remedy.REFUSED and self._breaker.refused():
            self._log.error(
                "quarantined after %d refusals: probed every %g s; `scaleout resume` releases it",
                self._breaker.refusals,
                self._endpoint.quarantine.probe,
            )
        if self._breaker.is_open:
            probe_s = self._breaker.probe_delay(self._rng)
            return EndpointState.QUARANTINED, max(probe_s, ending.retry_after_s)
        is_slow = ending.remedy is not Remedy.RETRY
        return EndpointState.BACKOFF, self.backoff.next_delay(is_slow, ending.retry_after_s)

    def release(self) -> None:
        """End the quarantine, on a person's word."""
        self._breaker.release()

    def look(self, link: Link, *, has_ended_well: bool = False) -> None:
        """See whether a connection is a good one: acknowledged, or with data and few invalid messages.

        Args:
            link: the connection.
            has_ended_well: its end was no refusal.
        """
        if not link.is_ready or not (self._breaker.refusals or self.offers.are_in_doubt):
            return
        lived_s = asyncio.get_running_loop().time() - link.opened_at
        is_settled = has_ended_well or lived_s >= SETTLED_S
        if self._endpoint.ready is None and not (link.messages and is_settled):
            return
        limit = self._endpoint.max_invalid
        if limit is not None and lived_s < limit.window:
            return
        self.offers.are_in_doubt = False
        if self._breaker.recovered():
            self._log.info("recovered from quarantine")
