"""The connections of one endpoint; streams over connections that are open are tested with the real program."""

from __future__ import annotations

import asyncio
from random import Random
from typing import cast

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment
from scaleout.logs import EndpointLogger
from scaleout.worker.dialing import Dialer
from scaleout.worker.feed import Feed
from scaleout.worker.inlet import Inlet
from scaleout.worker.links.permits import Permits
from scaleout.worker.means import Means


class NoNetwork:
    """A dialer that reaches nobody."""

    async def dial(self, *args: object, **keys: object) -> None:
        raise OSError("there is no network")


class FakeInlet:
    """Takes nothing."""

    books = None

    def receive(self) -> None:
        raise AssertionError


def feed_of(endpoint: Endpoint) -> Feed:
    means = Means(cast(Dialer, NoNetwork()), Permits(lambda report: None), Random(1))
    feed = Feed(Assignment(0, endpoint), means, lambda feed: None, EndpointLogger("feed", ()))
    feed.deliver_to(cast(Inlet, FakeInlet()))
    return feed


def test_streams_can_be_taken_from_connections_that_have_ended() -> None:
    async def scenario() -> None:
        endpoint = Endpoint(
            uri="ws://feed.test/{stream}", streams=("a", "b"), streams_per_connection=1, reconnect="never"
        )
        feed = feed_of(endpoint)
        async with asyncio.timeout(10):
            await feed.run()
        assert feed.state is EndpointState.ENDED
        assert "no network" in str(feed.last_error)
        assert feed.change_streams((), ("a",)) is None
        assert feed.streams == ("b",)
        await feed.say_goodbye()

    asyncio.run(scenario())


def test_connects_of_connections_that_are_gone_still_count() -> None:
    async def scenario() -> None:
        endpoint = Endpoint(
            uri="ws://feed.test/{stream}", streams=("a", "b"), streams_per_connection=1, reconnect="never"
        )
        feed = feed_of(endpoint)
        async with asyncio.timeout(10):
            await feed.run()
            for session in feed.sessions:
                session.connects = 3
            feed.change_streams((), ("a",))
            await asyncio.gather(*feed._farewells)
            feed.change_streams(("c",), ())
            await asyncio.gather(*feed._tasks.values())
        assert [session.connects for session in feed.sessions] == [3, 0]
        assert feed.connects == 6

    asyncio.run(scenario())


def test_a_change_that_makes_no_sense_is_told() -> None:
    async def scenario() -> None:
        feed = feed_of(Endpoint(uri="ws://feed.test/", streams=("a", "b"), subscribe=("{stream}",)))
        assert feed.change_streams(("c", "c"), ()) == "each stream is to be named once"
        assert feed.change_streams((), ("x",)) == "no such stream: x"
        assert feed.change_streams(("a",), ()) == "there already: a"
        assert feed.change_streams((), ("a", "b")) == "at least one stream has to stay"
        assert "has no `unsubscribe`" in str(feed.change_streams((), ("a",)))
        assert feed.streams == ("a", "b")
        assert "has no streams" in str(feed_of(Endpoint(uri="ws://feed.test/")).change_streams(("a",), ()))

    asyncio.run(scenario())
