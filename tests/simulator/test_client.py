"""What is said on a connection besides data, and what a client's record tells of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from scaleout.simulator import Cut, Dialogue, Ended, Faults, Simulator, SimulatorConfig, numbers_sent
from scaleout.simulator.dialects import dialect, dialect_names

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]


def simulator_of(**keys: Any) -> Simulator:
    return Simulator(SimulatorConfig(**{"endpoints": 1, "rate": 2000, **keys}))


def to(simulator: Simulator) -> connect:
    return connect(simulator.endpoints[0].uri, proxy=None, compression=None, max_queue=None)


async def receive(connection: ClientConnection, wanted: Callable[[Any], bool]) -> Any:
    """The next message that is wanted; others are skipped."""
    while True:
        message = await connection.recv()
        with contextlib.suppress(ValueError):
            parsed = json.loads(message)
            if wanted(parsed):
                return parsed


HEARTBEATS: dict[str, Callable[[Any], bool]] = {
    "kraken": lambda said: said == {"channel": "heartbeat"},
    "coinbase": lambda said: said.get("channel") == "heartbeats",
    "nostr": lambda said: said[0] == "NOTICE",
}


def is_plain_heartbeat(said: Any) -> bool:
    return bool(said.get("type") == "heartbeat")


def is_plain_error(said: Any) -> bool:
    return bool(said["type"] == "error" and said["message"])


@pytest.mark.parametrize("name", dialect_names())
def test_heartbeats_go_on_when_data_has_ended(name: str, run: Run) -> None:
    is_heartbeat = HEARTBEATS.get(name, is_plain_heartbeat)

    async def scenario() -> None:
        faults = Faults(silence_after=10, silence="data")
        dialogue = Dialogue(heartbeat_every_s=0.02)
        async with simulator_of(dialect=name, faults=faults, dialogue=dialogue) as simulator:
            async with to(simulator) as connection:
                got = [json.loads(await connection.recv()) for _ in range(15)]
                (record,) = simulator.connections
            assert sum(is_heartbeat(message) for message in got) == 5
            assert (record.messages, record.texts) == (10, 10 + record.heartbeats)
            if name == "coinbase":
                assert [message["sequence_num"] for message in got] == list(range(15))

    run(scenario())


def test_a_whole_silence_ends_heartbeats_too(run: Run) -> None:
    async def scenario() -> None:
        dialogue = Dialogue(heartbeat_every_s=0.01)
        async with (
            simulator_of(faults=Faults(silence_after=10), dialogue=dialogue) as simulator,
            to(simulator) as connection,
        ):
            await receive(connection, lambda said: said.get("seq") == 9)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.1)

    run(scenario())


@pytest.mark.parametrize(
    ("dialogue", "code", "cut"),
    [
        (Dialogue(idle_cut_s=0.05), 4004, Cut.IDLE),
        (Dialogue(subscribe_within_s=0.05), 1008, Cut.UNSUBSCRIBED),
        (Dialogue(test_request_every_s=0.02, test_request_within_s=0.05), 1000, Cut.UNANSWERED),
    ],
)
def test_a_client_that_says_nothing_is_cut(
    dialogue: Dialogue, code: int, cut: Cut, run: Run, take: Take
) -> None:
    async def scenario() -> None:
        async with simulator_of(dialogue=dialogue) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert (got.code, record.ended, record.cut) == (code, Ended.CUT, cut)
        assert len(got.messages) == record.texts

    run(scenario())


@pytest.mark.parametrize("style", ["deribit", "huobi"])
def test_test_requests_that_are_answered_keep_a_connection(style: Any, run: Run) -> None:
    async def scenario() -> None:
        dialogue = Dialogue(test_request_every_s=0.03, test_request_within_s=1.0, test_request=style)
        async with simulator_of(dialogue=dialogue) as simulator, to(simulator) as connection:
            for number in range(1, 16):
                if style == "huobi":
                    await receive(connection, {"ping": number}.__eq__)
                    await connection.send(f'{{"pong":{number}}}')
                else:
                    await receive(connection, lambda said: said.get("method") == "heartbeat")
                    await connection.send('{"jsonrpc":"2.0","method":"public/test","params":{}}')
            (record,) = simulator.connections
            assert (record.ended, record.notices >= 15) == (Ended.OPEN, True)

    run(scenario())


def test_pings_keep_an_idle_connection(run: Run) -> None:
    async def scenario() -> None:
        config = {"dialect": "okx", "rate": 0.0, "dialogue": Dialogue(idle_cut_s=1.5)}
        async with simulator_of(**config) as simulator, to(simulator) as connection:
            for _ in range(20):
                await connection.send("ping")
                assert await connection.recv() == "pong"
                await asyncio.sleep(0.1)
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            assert connection.close_code == 4004

    run(scenario())


def test_too_many_frames_in_a_second_are_too_many(run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with simulator_of(dialogue=Dialogue(max_inbound_per_s=5)) as simulator:
            async with to(simulator) as connection:
                await connection.send("a")
                for _ in range(2):
                    await connection.pong()
                    await (await connection.ping())
                (record,) = simulator.connections
                assert (record.inbound, record.busiest_inbound, record.ended) == (5, 5, Ended.OPEN)
                await connection.ping()
                assert (await take(connection)).code == 1008
            await simulator.wait_idle()
            (record,) = simulator.connections
            assert (record.cut, record.busiest_inbound) == (Cut.INBOUND, 6)

    run(scenario())


def test_what_the_client_said_is_remembered_with_its_time(run: Run) -> None:
    async def scenario() -> None:
        async with simulator_of(dialect="kraken") as simulator:
            async with to(simulator) as connection:
                for text in ("one", "two"):
                    await connection.send(text)
                await (await connection.ping())
            await simulator.wait_idle()
            (record,) = simulator.connections
        assert record.received == ("one", "two")
        first, second = record.received_at
        assert record.closed_at is not None
        assert record.opened_at <= first <= second <= record.closed_at

    run(scenario())


ERRORS: dict[str, Callable[[Any], bool]] = {
    "kraken": lambda said: said["success"] is False and bool(said["error"]),
    "binance": lambda said: said["error"]["code"] == 2 and said["id"] == 1,
    "binance-depth": lambda said: said["error"]["code"] == 2 and said["id"] == 1,
    "okx": lambda said: said["event"] == "error",
    "nostr": lambda said: said[:2] == ["CLOSED", "feed"],
}


@pytest.mark.parametrize("name", dialect_names())
def test_the_first_subscriptions_can_be_rejected(name: str, run: Run) -> None:
    is_error = ERRORS.get(name, is_plain_error)

    async def scenario() -> None:
        keys = {"dialect": name, "await_subscribe": True, "dialogue": Dialogue(reject_subscriptions=1)}
        async with simulator_of(**keys) as simulator:
            for is_rejected in (True, False):
                async with to(simulator) as connection:
                    await connection.send(dialect(name).subscribe(0))
                    said = json.loads(await connection.recv())
                    if is_rejected:
                        assert is_error(said)
                        with pytest.raises(TimeoutError):
                            await asyncio.wait_for(connection.recv(), 0.05)
                    else:
                        await connection.recv()
            await simulator.wait_idle()
            first, second = simulator.connections
            assert (first.messages, first.replies) == (0, 1)
            assert second.messages > 0

    run(scenario())


def test_an_acknowledgement_can_be_late_and_data_waits_for_it(run: Run) -> None:
    async def scenario() -> None:
        keys = {"dialect": "binance", "await_subscribe": True, "dialogue": Dialogue(ack_delay_s=0.2)}
        async with simulator_of(**keys) as simulator, to(simulator) as connection:
            await connection.send(dialect("binance").subscribe(0))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.1)
            assert json.loads(await connection.recv()) == {"result": None, "id": 1}
            assert "stream" in json.loads(await connection.recv())

    run(scenario())


@pytest.mark.parametrize("waits", [False, True])
def test_an_acknowledgement_can_be_missing(waits: bool, run: Run) -> None:
    async def scenario() -> None:
        keys = {"dialect": "binance", "await_subscribe": waits, "dialogue": Dialogue(ack_never=True)}
        async with simulator_of(**keys) as simulator, to(simulator) as connection:
            await connection.send(dialect("binance").subscribe(0))
            if waits:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(connection.recv(), 0.1)
            else:
                assert all(["stream" in json.loads(await connection.recv()) for _ in range(100)])
            (record,) = simulator.connections
            assert (record.replies, bool(record.messages)) == (0, not waits)

    run(scenario())


@pytest.mark.parametrize(
    ("name", "goodbye"), [("binance", {"e": "serverShutdown"}), ("trade", {"type": "goodbye"})]
)
def test_a_goodbye_comes_before_the_end_and_data_goes_on(
    name: str, goodbye: dict[str, str], run: Run, take: Take
) -> None:
    async def scenario() -> None:
        faults = Faults(disconnect_every_s=0.3, goodbye_before_s=0.2)
        async with simulator_of(dialect=name, faults=faults) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        said = [json.loads(message) for message in got.messages]
        (place,) = (place for place, message in enumerate(said) if goodbye.items() <= message.items())
        assert 0 < place < len(said) - 100
        assert (len(said), got.code, record.notices) == (record.messages + 1, 1001, 1)
        assert record.goodbye_at is not None and record.closed_at is not None
        assert 0.1 < record.closed_at - record.goodbye_at < 1.0

    run(scenario())


@pytest.mark.parametrize("firehose", [False, True])
def test_gaps_repeats_and_steps_back_are_as_the_record_tells(firehose: bool, run: Run, take: Take) -> None:
    async def scenario() -> None:
        faults = Faults(skip_every=10, repeat_every=7, step_back_every=50)
        async with simulator_of(firehose=firehose, count=200, faults=faults) as simulator:
            got = await take(simulator.endpoints[0].uri)
            await simulator.wait_idle()
            (record,) = simulator.connections
        numbers = [json.loads(message)["seq"] for message in got.messages]
        assert numbers == numbers_sent(faults, record.first, record.last)
        assert (len(numbers), record.skipped, record.repeated) == (record.messages, 20, 26 + 4)
        assert numbers[:10] == [0, 1, 2, 3, 4, 5, 6, 6, 7, 8]
        assert 9 not in numbers and numbers[numbers.index(48) + 2] == 46

    run(scenario())


def test_a_gap_breaks_the_chain_of_depth_updates(run: Run, take: Take) -> None:
    async def scenario() -> None:
        keys = {"dialect": "binance-depth", "count": 100, "faults": Faults(skip_every=25)}
        async with simulator_of(**keys) as simulator:
            got = await take(simulator.endpoints[0].uri)
        updates = [json.loads(message)["data"] for message in got.messages]
        breaks = [
            update["U"] - before["u"] - 1
            for before, update in itertools.pairwise(updates)
            if update["U"] != before["u"] + 1
        ]
        assert breaks == [3, 3, 3]

    run(scenario())


@pytest.mark.parametrize("name", ["trade", "nostr", "binance"])
def test_messages_may_differ_between_connections(name: str, run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with (
            simulator_of(dialect=name, differs=True) as simulator,
            to(simulator) as first,
            to(simulator) as second,
        ):
            got = await asyncio.gather(take(first, 50), take(second, 50))
        for index, part in enumerate(got):
            assert len(part.messages) == 50
            for message in part.messages:
                said = json.loads(message)
                assert (said[-1] if isinstance(said, list) else said)["conn"] == index

    run(scenario())


@pytest.mark.parametrize("shifts", [(0.0, 0.3), (0.3, 0.0)])
def test_of_two_connections_one_can_be_behind(shifts: tuple[float, float], run: Run, take: Take) -> None:
    async def scenario() -> None:
        async with (
            simulator_of(count=1200, shifts=shifts) as simulator,
            to(simulator) as first,
            to(simulator) as second,
        ):
            quick, late = (first, second) if shifts[0] < shifts[1] else (second, first)
            await take(quick, limit=400)
            positions = [record.last or 0 for record in simulator.connections]
            rest = await take(late)
        ahead = positions[shifts.index(0.0)] - positions[shifts.index(0.3)]
        assert 400 <= ahead <= 1000
        numbers = [json.loads(message)["seq"] for message in rest.messages]
        assert numbers == list(range(numbers[0], 1200))

    run(scenario())


def test_a_deaf_server_leaves_what_it_is_sent(run: Run) -> None:
    async def scenario() -> None:
        keys = {"dialogue": Dialogue(deaf=True), "close_timeout": 0.1}
        async with simulator_of(**keys) as simulator:
            async with to(simulator) as connection:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        while True:
                            await connection.send("x" * 100_000)
                assert json.loads(await connection.recv())["seq"] == 0
                connection.transport.abort()
            (record,) = simulator.connections
            assert (record.inbound, record.received_count) == (0, 0)

    run(scenario())
