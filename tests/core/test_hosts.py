"""Which connections count against which budget, and which budgets are too small."""

from __future__ import annotations

import pytest

from scaleout.config import Config, Endpoint, Host
from scaleout.core.hosts import budget_of, connections_of, shortages

STREAMS = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("uri", "budget"),
    [
        ("wss://feed.test/x", "feed.test"),
        ("WSS://user:pw@FEED.test/x?y", "feed.test"),
        ("wss://feed.test:9443/x", "feed.test:9443"),
        ("ws://feed.test:443/", "feed.test"),
        ("wss://other.test:443/", "other.test:443"),
        ("wss://other.test/", "other.test:443"),
        ("ws://other.test/", None),
        ("ws://[::1]:8000/", "[::1]"),
        ("ws://sub.feed.test/", None),
    ],
)
def test_a_budget_is_of_the_host_and_port_or_of_the_host(uri: str, budget: str | None) -> None:
    assert budget_of(uri, {"feed.test", "feed.test:9443", "other.test:443", "[::1]"}) == budget
    assert budget_of(uri, ()) is None


@pytest.mark.parametrize(
    ("endpoint", "connections"),
    [
        (Endpoint(uri="ws://h/"), 1),
        (Endpoint(uri="ws://h/", streams=STREAMS), 1),
        (Endpoint(uri="ws://h/", streams=STREAMS, streams_per_connection=2), 3),
        (Endpoint(uri="ws://h/{stream}", streams=STREAMS), 5),
    ],
)
def test_an_endpoint_needs_as_many_connections_as_its_streams(endpoint: Endpoint, connections: int) -> None:
    assert connections_of(endpoint) == connections


def config(concurrent: int | None, *endpoints: Endpoint) -> Config:
    return Config(endpoints=endpoints, hosts={"h": Host(concurrent=concurrent), "i": Host(concurrent=1)})


def test_a_budget_without_room_for_spares_is_named_once() -> None:
    endpoints = (
        Endpoint(name="a", uri="ws://h/{stream}", streams=STREAMS),
        Endpoint(name="b", uri="ws://h/b", rotate_after=60),
        Endpoint(name="c", uri="ws://h/c", standby=True),
        Endpoint(name="d", uri="ws://i/"),
        Endpoint(name="e", uri="ws://j/", standby=True),
    )
    assert list(shortages(config(7, *endpoints))) == [
        'hosts."h".concurrent = 7 leaves no room for the rotation of "b" and 1 more: first connections need 7'
    ]
    assert list(shortages(config(8, *endpoints))) == []
    assert list(shortages(config(None, *endpoints))) == []
    assert list(shortages(config(1, *endpoints[2:]))) == [
        'hosts."h".concurrent = 1 leaves no room for the standby of "c": first connections need 1'
    ]
