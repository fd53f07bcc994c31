"""The position of an endpoint's broadcast, and blocks that all its connections share."""

from __future__ import annotations

from pathlib import Path

from scaleout.simulator.config import SimulatorConfig, plan_endpoints
from scaleout.simulator.feed import Feed
from scaleout.simulator.rates import RateTable
from scaleout.simulator.recording import Recording, save_recording


def made(config: SimulatorConfig) -> Feed:
    (plan,) = plan_endpoints(config)
    return Feed(plan, config, RateTable([plan.rate]))


def test_a_feed_begins_once_and_counts_from_then() -> None:
    feed = made(SimulatorConfig(endpoints=1, rate=100.0))
    feed.advance(3.0)
    assert feed.position == 0
    feed.begin(5.0)
    feed.begin(6.0)
    feed.advance(7.0)
    assert feed.position == 200
    assert feed.length is None and not feed.is_end(10**9)


def test_a_feed_ends_at_its_count() -> None:
    feed = made(SimulatorConfig(endpoints=1, rate=100.0, count=30))
    feed.begin(0.0)
    feed.advance(9.0)
    assert feed.position == 30
    assert (feed.is_end(29), feed.is_end(30)) == (False, True)


def test_a_replay_begins_when_the_feed_does(tmp_path: Path) -> None:
    path = save_recording(tmp_path, Recording("feed", False, [b"a", b"b", b"c"], [0, 1_000_000, 2_000_000]))
    feed = made(SimulatorConfig(replay=(str(path),), speed=2.0))
    feed.begin(5.0)
    feed.advance(5.6)
    assert (feed.position, feed.length) == (2, 3)


def test_an_empty_recording_has_no_messages(tmp_path: Path) -> None:
    path = save_recording(tmp_path, Recording("feed", False, [], []))
    assert made(SimulatorConfig(replay=(str(path),))).is_end(0)


def test_blocks_are_shared_within_a_tick_and_not_kept_beyond() -> None:
    feed = made(SimulatorConfig(endpoints=1))
    feed.begin(0.0)
    feed.advance(1.0)
    block = feed.block(0, 10, 0)
    assert feed.block(0, 10, 0) is block
    feed.advance(2.0)
    again = feed.block(0, 10, 0)
    assert again == block and again is not block


def test_blocks_that_hold_a_connections_numbers_are_its_own() -> None:
    feed = made(SimulatorConfig(endpoints=1, dialect="coinbase"))
    assert feed.block(0, 10, 0) != feed.block(0, 10, 1)
