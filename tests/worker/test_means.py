"""Permits and connects: each permit is used or given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest

from scaleout.config import Endpoint
from scaleout.core.wire import Ask, ConnectionEnded, Report
from scaleout.worker.dialing import Dialer
from scaleout.worker.links.offers import Offers
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means

ENDPOINT = Endpoint(uri="ws://feed.test/", subprotocols=("v1",))


class FakeDialer:
    """Connects to nothing."""

    def __init__(self, dial: Callable[[str], object]) -> None:
        self._dial = dial

    async def dial(self, endpoint: Endpoint, *, uri: str, **keys: object) -> object:
        return self._dial(uri)


def connect(dial: Callable[[str], object], reports: list[Report], uris: list[str]) -> Any:
    """Connect to a host with a budget; the URI is another one each time it is asked for."""
    dialer = FakeDialer(dial)

    async def scenario() -> object:
        permits = Permits(reports.append)
        permits.limit(["feed.test"])
        means = Means(cast(Dialer, dialer), permits, Random(1))
        connecting = asyncio.ensure_future(means.connect(ENDPOINT, lambda: uris.pop(0), Offers(ENDPOINT)))
        await asyncio.sleep(0)
        assert isinstance(reports[0], Ask)
        permits.granted(reports[0].ticket)
        return await connecting

    return asyncio.run(scenario())


def test_a_permit_comes_with_the_connection_and_the_uri_is_that_of_the_moment() -> None:
    reports: list[Report] = []
    uris = ["ws://feed.test/?cursor=1", "ws://feed.test/?cursor=2"]
    opened, permit = connect(lambda uri: uri, reports, uris)
    assert opened == "ws://feed.test/?cursor=2"
    assert len(reports) == 1
    permit.give_back()
    assert isinstance(reports[-1], ConnectionEnded)


@pytest.mark.parametrize("error", [OSError("down"), asyncio.CancelledError()])
def test_a_permit_is_given_back_when_the_connect_fails(error: BaseException) -> None:
    reports: list[Report] = []

    def fail(uri: str) -> object:
        raise error

    with pytest.raises(type(error)):
        connect(fail, reports, ["ws://feed.test/"] * 2)
    assert [type(report) for report in reports] == [Ask, ConnectionEnded]
