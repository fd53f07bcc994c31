"""What all sessions of a worker share, and how they connect by it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.worker.connection import FeedConnection
from scaleout.worker.dialing import Dialer
from scaleout.worker.links.offers import Offers
from scaleout.worker.links.permits import Permit, Permits


class Means(Struct):
    """What a worker has to connect."""

    dialer: Dialer
    permits: Permits
    rng: Random

    async def connect(
        self, endpoint: Endpoint, locate: Callable[[], str], offers: Offers, *, is_spare: bool = False
    ) -> tuple[FeedConnection, Permit]:
        """Wait for a permit, and use it.

        Args:
            endpoint: how to connect.
            locate: says where to; the URI may hold a cursor, which goes on while the permit is waited for.
            offers: what is offered in the handshake.
            is_spare: whether another connection is there that delivers.

        Returns:
            The connection, and the permit that is to be given back when it has ended.

        Raises:
            Exception: as `Dialer.dial`; the permit has been given back.
        """
        permit = await self.permits.obtain(locate(), is_spare=is_spare)
        try:
            connection = await self.dialer.dial(
                endpoint,
                uri=locate(),
                subprotocols=offers.subprotocols,
                compression=offers.compression,
                on_redirect=permit.exchange,
            )
        except BaseException:
            permit.give_back()
            raise
        return connection, permit
