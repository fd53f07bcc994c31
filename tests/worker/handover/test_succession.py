"""One connection takes over from another: whatever their lags and ends, each message comes once, and in order."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.core.remedies import Remedy
from scaleout.worker.connection import Receiver
from scaleout.worker.handover.succession import Succession
from scaleout.worker.links.endings import Ending
from scaleout.worker.links.link import Link

TICK_S = 0.02


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes as soon as there is nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def pass_time(timeout: float | None) -> object:
            assert timeout is not None, "waits for nothing"
            self.now += timeout
            return select(0)

        selector.select = pass_time

    def time(self) -> float:
        return self.now


def in_virtual_time(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Plan(Struct):
    """What is to become of one connection."""

    lag: float = 0.0
    """It brings each message so late."""
    lives: float = 1e9
    """Seconds from its opening to its end."""
    goodbye: float = 1e9
    greetings: int = 0
    """Messages of its own that it begins with."""
    opens_in: float = 0.05
    refused: Ending | None = None
    falls_silent: float = 1e9
    """Seconds from its opening; it stays open."""
    mute: bool = False
    """It brings nothing."""
    order: int = 0
    """How it mixes the streams."""
    opaque: bool = False
    """All its messages differ from those of the others."""


class FakeLink:
    """A connection to the feed."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.loop = asyncio.get_running_loop()
        self.number = number
        self.plan = plan
        self.opened_at = self.loop.time()
        self.messages = 0
        self.brought: list[bytes] = []
        """What it brought while somebody listened."""
        self.connection = SimpleNamespace(is_held=False)
        self.is_listening = True
        self.said_goodbye = False
        self.has_ended = False
        self.is_closed = False
        self.on_event: Callable[[], None] = lambda: None
        self.receiver: Receiver
        self.waiting: list[bytes] = []
        self.loop.call_at(self.opened_at + plan.lives, self.end)
        self.loop.call_at(self.opened_at + plan.goodbye, self.say_goodbye)

    def deliver_to(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def stop_receiving(self) -> None:
        self.is_listening = False

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.on_event()

    def say_goodbye(self) -> None:
        if not self.has_ended:
            self.said_goodbye = True
            self.on_event()

    async def wait_ended(self) -> Ending:
        assert self.has_ended
        return Ending(error=f"connection {self.number} lost")

    def bring(self, payloads: list[bytes]) -> None:
        is_silent = self.loop.time() - self.opened_at >= self.plan.falls_silent
        if not payloads or self.has_ended or self.plan.mute or is_silent:
            return
        if self.connection.is_held:
            self.waiting += payloads
            return
        payloads = self.waiting + payloads
        self.waiting = []
        self.messages += len(payloads)
        if self.is_listening:
            self.brought += payloads
            self.receiver(payloads, b"\n".join(payloads), Kind.TEXT, round(self.loop.time() * 1e9))


class Feed:
    """Numbered messages of one or more streams, and the connections to it, made as they are planned.

    Args:
        times: when each message is sent, in seconds from the start.
        plans: for one connection after the other; the last one stands for all that follow.
        streams: how many; each has every so-manieth number.
        look_alikes: how many messages between two with a number are all the same.
    """

    def __init__(
        self, times: Sequence[float], plans: Sequence[Plan], *, streams: int = 1, look_alikes: int = 0
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.times = times
        self.plans = plans
        self.streams = streams
        self.look_alikes = look_alikes
        self.links: list[FakeLink] = []

    def payload(self, number: int, link: FakeLink) -> bytes:
        if number % (self.look_alikes + 1):
            return b"the same"
        mark = f"-{link.number}" if link.plan.opaque else ""
        return f"{number % self.streams}:{number}{mark}".encode()

    def open(self, receiver: Receiver) -> FakeLink:
        number = len(self.links)
        link = FakeLink(number, self.plan(number))
        link.deliver_to(receiver)
        self.links.append(link)
        self.loop.call_soon(link.bring, [f"hello {number}/{i}".encode() for i in range(link.plan.greetings)])
        return link

    def plan(self, number: int) -> Plan:
        return self.plans[min(number, len(self.plans) - 1)]

    async def run(self) -> None:
        """Send the messages, in ticks."""
        since = self.start
        while True:
            await asyncio.sleep(TICK_S)
            now = self.loop.time()
            for link in tuple(self.links):
                lag = link.plan.lag
                due = list(range(*(bisect_right(self.times, at - self.start - lag) for at in (since, now))))
                if link.plan.order:
                    due.sort(key=lambda n: (-(n % self.streams), n))
                link.bring([self.payload(number, link) for number in due])
            since = now


class FakeHost:
    """The session."""

    def __init__(self, feed: Feed, **keys: Any) -> None:
        self.endpoint = Endpoint(uri="ws://feed", **keys)
        self.feed = feed
        self.rng = Random(1)
        self.delivered: list[bytes] = []
        self.dropped: list[bytes] = []
        self.delivered_at: list[float] = []
        self.uncertain = 0
        self.failures: list[str | None] = []
        self.opened_at: list[float] = []
        self.chain: list[FakeLink] = []
        """Those that delivered."""
        self.breaks = 0
        """Connections that had to be opened because none was left."""

    async def open(self, receiver: Receiver) -> Link | Ending:
        plan = self.feed.plan(len(self.feed.links))
        self.opened_at.append(self.feed.loop.time())
        if plan.refused is not None:
            self.feed.links.append(cast(FakeLink, _Nobody()))
            return plan.refused
        link = self.feed.open(receiver)
        await asyncio.sleep(plan.opens_in)
        if link.has_ended:
            return Ending(error="ended at once")
        return cast(Link, link)

    def close(self, link: Link) -> None:
        cast(FakeLink, link).is_closed = True
        cast(FakeLink, link).end()

    def deliver(self, payloads: list[bytes], joined: bytes, kind: Kind, received_at: int) -> None:
        assert joined == b"\n".join(payloads)
        assert payloads and kind is Kind.TEXT and received_at
        self.delivered += payloads
        self.delivered_at += [self.feed.loop.time()] * len(payloads)

    def drop_duplicates(self, payloads: list[bytes]) -> None:
        assert payloads
        self.dropped += payloads

    def note_uncertain(self) -> None:
        self.uncertain += 1

    def note_failure(self, ending: Ending) -> None:
        self.failures.append(ending.error)

    async def run(self) -> None:
        """What a session does: open, accompany, and open again."""
        while True:
            link = self.feed.open(self.deliver)
            while True:
                self.chain.append(link)
                follower = await Succession(cast(Link, link), self).run()
                if follower is None:
                    break
                link = cast(FakeLink, follower)
            assert link.has_ended
            self.breaks += 1
            await asyncio.sleep(0.3)

    @property
    def moves(self) -> int:
        return len(self.chain) - 1 - self.breaks

    def check(self, streams: int = 1) -> None:
        """Each message that was brought to whom it concerned came once, and in order."""
        for stream in range(streams):
            numbers = [int(each.partition(b":")[2]) for each in self.delivered if _is_of(each, stream)]
            assert numbers == sorted(set(numbers)), f"repeated, or out of order: {numbers}"
            brought = {
                int(each.partition(b":")[2])
                for link in self.chain
                for each in link.brought
                if _is_of(each, stream)
            }
            first, last = numbers[0], numbers[-1]
            assert not {each for each in brought if first < each < last} - set(numbers), "lost"


def _is_of(payload: bytes, stream: int) -> bool:
    return payload.startswith(b"%d:" % stream)


class _Nobody:
    def bring(self, payloads: list[bytes]) -> None:
        pass

    plan = Plan()


def play(
    times: Sequence[float],
    plans: Sequence[Plan],
    until: float,
    *,
    events: Sequence[tuple[float, Callable[[FakeHost], None]]] = (),
    streams: int = 1,
    look_alikes: int = 0,
    **keys: Any,
) -> FakeHost:
    """Let it happen; `events` are what is done at a time."""

    async def main() -> FakeHost:
        feed = Feed(times, plans, streams=streams, look_alikes=look_alikes)
        host = FakeHost(feed, **keys)
        for at, action in events:
            feed.loop.call_at(feed.start + at, action, host)
        tasks = [asyncio.ensure_future(feed.run()), asyncio.ensure_future(host.run())]
        done, _ = await asyncio.wait(tasks, timeout=until)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[1]
        for task in done:
            task.result()
        assert len([*asyncio.all_tasks()]) <= 3, asyncio.all_tasks()
        return host

    host: FakeHost = in_virtual_time(main())
    return host


def steady(rate: float, until: float) -> list[float]:
    return [n / rate for n in range(1, int(rate * until))]


def numbers(host: FakeHost) -> list[int]:
    return [int(each.partition(b":")[2].partition(b"-")[0]) for each in host.delivered if b":" in each]


@pytest.mark.parametrize("lags", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0), (0.0, 2.5), (2.5, 0.0), (1.0, 0.9)])
@pytest.mark.parametrize("rate", [0.2, 3, 100])
def test_a_rotation_neither_loses_nor_repeats(lags: tuple[float, float], rate: float) -> None:
    plans = [Plan(lag=lags[index % 2]) for index in range(100)]
    host = play(steady(rate, 100), plans, 90, rotate_after=20.0)
    host.check()
    got = numbers(host)
    assert got == list(range(got[-1] + 1))
    assert got[-1] + 1 >= rate * (90 - 2.5) - 2
    assert host.moves >= 2
    assert host.uncertain == host.breaks == 0


@pytest.mark.parametrize("greetings", [1, 40])
@pytest.mark.parametrize("rate", [0.5, 50])
def test_greetings_of_each_connection_are_no_hindrance(greetings: int, rate: float) -> None:
    plans = [Plan(lag=lag, greetings=greetings) for lag in (0.1, 0.0, 0.4, 0.2)]
    host = play(steady(rate, 70), plans, 60, rotate_after=15.0)
    host.check()
    got = numbers(host)
    assert got == list(range(len(got)))
    assert host.moves >= 2
    assert host.uncertain == 0


@pytest.mark.parametrize("lags", [(0.0, 0.3), (0.3, 0.0), (0.0, 7.0)])
def test_streams_that_are_mixed_differently_come_once_each(lags: tuple[float, float]) -> None:
    plans = [Plan(lag=lags[index % 2], order=index % 2) for index in range(10)]
    host = play(steady(200, 60), plans, 50, streams=3, rotate_after=15.0)
    host.check(3)
    assert sorted(numbers(host)) == list(range(len(host.delivered)))
    assert host.moves >= 2
    assert host.uncertain == host.breaks == 0


def test_a_next_one_that_is_far_behind_takes_over_all_the_same() -> None:
    host = play(steady(50, 80), [Plan(), Plan(lag=7.0)], 60, rotate_after=20.0)
    host.check()
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.moves >= 1
    assert host.uncertain == 0


def test_an_old_one_that_is_far_behind_is_waited_for() -> None:
    host = play(steady(50, 80), [Plan(lag=7.0), Plan()], 60, rotate_after=20.0)
    host.check()
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.moves >= 1
    assert host.uncertain == 0


def test_a_goodbye_moves_at_once() -> None:
    host = play(steady(100, 20), [Plan(goodbye=5.0, lives=7.0), Plan(lag=0.2)], 15)
    host.check()
    assert (host.moves, host.breaks) == (1, 0)
    assert numbers(host) == list(range(len(host.delivered)))


def test_a_server_that_always_says_goodbye_makes_no_hot_loop() -> None:
    host = play(steady(100, 60), [Plan(goodbye=0.1)], 55)
    host.check()
    assert 5 <= host.moves <= 12
    assert host.breaks == host.uncertain == 0


@pytest.mark.parametrize("lags", [(0.0, 0.0), (0.2, 0.0), (0.0, 0.2)])
def test_a_standby_takes_over_at_once(lags: tuple[float, float]) -> None:
    plans = [Plan(lag=lags[index % 2], lives=10.0 + index) for index in range(100)]
    host = play(steady(100, 70), plans, 60, standby=True)
    host.check()
    got = numbers(host)
    assert got == list(range(got[-1] + 1))
    assert host.moves >= 4
    assert host.breaks == host.uncertain == 0
    pauses = [after - before for before, after in pairwise(host.delivered_at)]
    assert max(pauses) < 0.5


def test_the_next_standby_is_opened_at_once() -> None:
    host = play(steady(100, 70), [Plan(lives=5.0)], 60, standby=True)
    host.check()
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.breaks == 0


def test_connections_that_die_soon_are_no_hot_loop_with_a_standby_either() -> None:
    plans = [Plan(lives=5.0), *[Plan(lives=0.1 + n % 7 / 10, opens_in=0.01) for n in range(500)]]
    host = play(steady(100, 70), plans, 60, standby=True)
    assert len(host.opened_at) < 130


def test_a_standby_of_a_silent_feed_takes_over() -> None:
    host = play([1.0, 2.0, 60.0], [Plan(lives=30.0), Plan()], 70, standby=True)
    assert numbers(host) == [0, 1, 2]
    assert (host.moves, host.breaks, host.uncertain) == (1, 0, 0)


@pytest.mark.parametrize("lags", [(0.0, 0.0), (0.0, 0.4), (0.4, 0.0)])
@pytest.mark.parametrize("rate", [2, 100])
def test_a_standby_takes_over_from_one_that_falls_silent(lags: tuple[float, float], rate: float) -> None:
    plans = [Plan(lag=lags[0], falls_silent=30.0), Plan(lag=lags[1])]
    host = play(steady(rate, 100), plans, 60, standby=True)
    host.check()
    got = numbers(host)
    assert got == list(range(got[-1] + 1))
    assert got[-1] + 1 >= rate * 59
    assert (host.moves, host.breaks, host.uncertain) == (1, 0, 0)


def test_what_a_silent_connection_leaves_to_the_standby_is_never_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scaleout.worker.handover.shadow.MAX_SHADOW", 200)
    host = play(steady(100, 60), [Plan(falls_silent=20.0), Plan()], 40, standby=True)
    assert numbers(host) == list(range(len(host.delivered)))
    assert len(host.delivered) > 3900


def test_a_standby_that_dies_is_replaced_with_growing_delays() -> None:
    host = play(steady(20, 300), [Plan(), Plan(lives=0.5)], 200, standby=True)
    host.check()
    assert host.moves == 0
    assert numbers(host) == list(range(len(host.delivered)))
    assert 5 < len(host.opened_at) < 40
    assert host.failures[0] == "connection 1 lost"


def test_a_standby_that_lived_long_is_replaced_soon() -> None:
    host = play(steady(2, 2000), [Plan(), Plan(lives=100.0)], 1900, standby=True)
    assert len(host.opened_at) >= 18
    delays = [later - earlier - 100 for earlier, later in pairwise(host.opened_at)]
    assert max(delays) < 2.5


def test_what_the_server_asks_to_wait_holds_for_a_standby_too() -> None:
    refused = Ending(Remedy.SLOW_RETRY, "429", retry_after_s=50.0)
    host = play(steady(2, 200), [Plan(), Plan(refused=refused)], 170, standby=True)
    assert len(host.opened_at) == 4
    assert host.failures[0] == "429"


def test_both_die_at_once() -> None:
    plans = [Plan(lag=0.5, lives=20.0), Plan(lag=0.0, lives=18.95), Plan()]
    host = play(steady(100, 40), plans, 35, standby=True)
    host.check()
    assert host.breaks == 1
    got = numbers(host)
    # What only the standby had brought is delivered, too.
    before = [number for number in got if number < 1995]
    assert before == list(range(len(before)))
    assert len(before) > 1985


def test_a_next_one_that_brings_nothing_does_not_take_over() -> None:
    host = play(steady(20, 80), [Plan(), Plan(mute=True), Plan()], 70, rotate_after=20.0)
    host.check()
    assert host.chain[1].number == 2
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.feed.links[1].is_closed
    assert "brings nothing" in (host.failures[0] or "")


def test_a_next_one_that_dies_while_the_old_one_is_cut() -> None:
    host = play(steady(100, 30), [Plan(), Plan(lag=3.0, lives=4.0), Plan()], 25, rotate_after=10.0)
    host.check()
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.breaks == 0
    assert host.chain[1].number == 2


def test_an_old_one_that_dies_while_it_is_cut() -> None:
    # The cut is at about 11.1 s; the old one has brought two more seconds by its end.
    host = play(steady(100, 30), [Plan(lives=13.0), Plan(lag=3.0)], 18, rotate_after=10.0)
    host.check()
    got = numbers(host)
    assert got == list(range(len(got)))
    assert len(got) > 1450
    assert (host.moves, host.breaks, host.uncertain) == (1, 0, 0)


def test_a_next_one_that_dies_right_after_a_cut_takes_nothing_along() -> None:
    # What was held, from about 12.3 s on, is delivered at the switch, at about 15.3 s.
    host = play(
        steady(100, 30), [Plan(), Plan(lag=3.0, lives=5.4), Plan(opens_in=1.0)], 25, rotate_after=10.0
    )
    got = numbers(host)
    assert (host.moves, host.breaks) == (1, 1)
    assert got == sorted(set(got))
    unbroken = next(index for index, number in enumerate(got) if number != index)
    assert unbroken > 1500


def test_feeds_that_differ_per_connection_move_too_and_are_counted() -> None:
    host = play(steady(50, 60), [Plan(opaque=True)], 50, rotate_after=20.0)
    assert host.moves >= 1
    assert host.uncertain == host.moves
    assert set(numbers(host)) == set(range(max(numbers(host)) + 1))


def test_a_standby_of_a_feed_that_differs_takes_over_at_once_and_brings_little_twice() -> None:
    plans = [Plan(opaque=True, lives=40.0), Plan(opaque=True)]
    host = play(steady(50, 60), plans, 55, standby=True)
    assert (host.moves, host.uncertain, host.breaks) == (1, 1, 0)
    assert set(numbers(host)) == set(range(max(numbers(host)) + 1))
    assert len(host.delivered) - len(set(numbers(host))) <= 11 * 50
    pauses = [after - before for before, after in pairwise(host.delivered_at)]
    assert max(pauses) < 0.5


def test_messages_that_all_look_alike_are_uncertain_and_hold_nothing_up() -> None:
    host = play(steady(50, 60), [Plan(), Plan(lag=0.3)], 50, look_alikes=10**9, rotate_after=20.0)
    assert host.moves >= 1
    assert host.uncertain == host.moves
    assert abs(len(host.delivered) - 50 * 50) <= 50 * 0.3 * host.moves + 20


@pytest.mark.parametrize("look_alikes", [1, 6])
@pytest.mark.parametrize("lags", [(0.0, 0.5), (2.0, 0.0)])
def test_some_look_alikes_are_no_hindrance(look_alikes: int, lags: tuple[float, float]) -> None:
    plans = [Plan(lag=lags[index % 2]) for index in range(10)]
    host = play(steady(50, 80), plans, 70, look_alikes=look_alikes, rotate_after=20.0)
    host.check()
    assert host.moves >= 2
    assert host.uncertain == 0
    whole = range(len(host.delivered))
    assert numbers(host) == [number for number in whole if not number % (look_alikes + 1)]


@pytest.mark.parametrize("lags", [(0.0, 0.5), (2.0, 0.0)])
def test_so_many_look_alikes_that_it_stays_unclear_are_never_taken_for_certain(
    lags: tuple[float, float],
) -> None:
    plans = [Plan(lag=lags[index % 2]) for index in range(10)]
    host = play(steady(50, 80), plans, 70, look_alikes=40, rotate_after=20.0)
    assert host.moves >= 2
    got = numbers(host)
    assert set(got) == {number for number in range(max(got) + 1) if not number % 41}
    assert host.uncertain or got == sorted(set(got))


def test_bursts() -> None:
    times = [burst + n / 10_000 for burst in range(2, 80, 6) for n in range(100)]
    host = play(times, [Plan(lag=lag) for lag in (0.0, 0.5, 0.1, 0.3)], 80, rotate_after=15.0)
    host.check()
    assert numbers(host) == list(range(len(times)))
    assert host.moves >= 3
    assert host.uncertain == 0


def test_backpressure_counts_as_no_time() -> None:
    """While both are held back nothing comes, and that says nothing about the feed."""

    def hold(host: FakeHost, is_held: bool) -> None:
        for link in host.feed.links:
            link.connection.is_held = is_held

    events: list[tuple[float, Callable[[FakeHost], None]]] = [
        (22.0, lambda host: hold(host, True)),
        (45.0, lambda host: hold(host, False)),
    ]
    host = play(steady(50, 80), [Plan(lag=5.0), Plan()], 60, rotate_after=20.0, events=events)
    host.check()
    assert len(host.opened_at) >= 2
    assert host.opened_at[0] < 1022
    assert numbers(host) == list(range(len(host.delivered)))
    assert host.uncertain == 0
    assert host.moves >= 1


def test_a_shadow_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old connection that lags far behind doesn't let the shadow fill the memory."""
    monkeypatch.setattr("scaleout.worker.handover.shadow.MAX_SHADOW", 200)
    most = 0

    def look(host: FakeHost) -> None:
        nonlocal most
        for link in host.feed.links[1:2]:
            most = max(most, len(link.brought) - len(host.dropped))

    events = [(20 + n / 10, look) for n in range(80)]
    host = play(steady(100, 80), [Plan(lag=20.0), Plan()], 70, rotate_after=20.0, events=events)
    got = numbers(host)
    assert got == sorted(set(got))
    assert 100 <= most <= 203
    assert host.moves >= 1
    assert host.uncertain == 1


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[float], list[Plan], dict[str, Any], float]:
    """Any course of things with two connections to one numbered sequence."""
    until = draw(st.floats(5, 60))
    gaps = draw(st.lists(st.sampled_from([0.001, 0.01, 0.05, 0.3, 2.0, 7.0]), min_size=1, max_size=12))
    times: list[float] = []
    at = 0.0
    while at < until and len(times) < 2500:
        gap = gaps[len(times) // 40 % len(gaps)]
        at += gap
        times.append(at)
    lags = st.sampled_from([0.0, 0.01, 0.1, 0.4, 1.5, 4.0])
    plans = [
        Plan(
            lag=draw(lags),
            lives=draw(st.floats(0.01, 40) | st.just(1e9)),
            goodbye=draw(st.just(1e9) | st.floats(0.1, 30)),
            opens_in=draw(st.sampled_from([0.0, 0.1, 1.0])),
            greetings=draw(st.sampled_from([0, 0, 1, 20])),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]
    keys = {"standby": draw(st.booleans()), "rotate_after": draw(st.none() | st.floats(1.0, 20.0))}
    return times, plans, keys, until


@settings(max_examples=150)
@given(stories())
def test_whatever_happens_each_message_comes_once_and_in_order(
    story: tuple[list[float], list[Plan], dict[str, Any], float],
) -> None:
    times, plans, keys, until = story
    host = play(times, plans, until, **keys)
    assert len(host.feed.links) - host.breaks < until + 20, "a hot loop"
    brought = sum(len(link.brought) for link in host.feed.links if isinstance(link, FakeLink))
    assert len(host.delivered) + len(host.dropped) <= brought
    if any(b":" in each for each in host.delivered) and not host.uncertain and not host.breaks:
        host.check()
