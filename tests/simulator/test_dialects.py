"""Bodies are deterministic, numbered as documented, and of the asked or a realistic size."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.simulator.dialects import (
    FIRST_ID,
    FIRST_TIME_US,
    cursor_sequence,
    dialect,
    dialect_names,
    numbered,
    trade_message,
)

NUMBERS: dict[str, Callable[[Any], object]] = {
    "trade": lambda body: body["seq"],
    "binance": lambda body: body["data"]["t"] - FIRST_ID,
    "binance-depth": lambda body: (body["data"]["u"] - 2 - FIRST_ID) / 3,
    "coinbase": lambda body: int(body["events"][0]["trades"][0]["trade_id"]) - FIRST_ID,
    "kraken": lambda body: body["data"][0]["trade_id"] - FIRST_ID,
    "okx": lambda body: body["data"][0]["seqId"],
    "jetstream": lambda body: (body["time_us"] - FIRST_TIME_US) / 1000,
    "nostr": lambda body: int(body[2]["content"].split()[0].removeprefix("#")),
}


def bodies(name: str, count: int = 500) -> list[Any]:
    return [msgspec.json.decode(dialect(name).message(3, sequence)) for sequence in range(count)]


@pytest.mark.parametrize("name", dialect_names())
def test_every_message_is_json_that_carries_its_number(name: str) -> None:
    assert [NUMBERS[name](body) for body in bodies(name)] == list(range(500))


@pytest.mark.parametrize("name", dialect_names())
def test_messages_are_the_same_in_every_run_and_differ_between_streams(name: str) -> None:
    message = dialect(name).message
    assert message(3, 77) == message(3, 77)
    assert message(3, 77) != message(4, 77)
    assert b"\n" not in message(3, 77)


@given(
    stream=st.integers(0, 9999),
    sequence=st.integers(0, 10**15 - 1),
    size=st.sampled_from([60, 61, 67, 68, 129, 130, 131, 1024, 16_384]),
)
def test_a_trade_has_exactly_the_asked_size(stream: int, sequence: int, size: int) -> None:
    message = trade_message(stream, sequence, size)
    assert len(message) == size
    assert msgspec.json.decode(message)["seq"] == sequence


def test_depth_messages_follow_each_other() -> None:
    updates = [body["data"] for body in bodies("binance-depth")]
    assert all(update["U"] == before["u"] + 1 for before, update in itertools.pairwise(updates))
    entries = [body["data"][0] for body in bodies("okx")]
    assert entries[0]["prevSeqId"] == -1
    assert all(entry["prevSeqId"] == before["seqId"] for before, entry in itertools.pairwise(entries))


def test_sizes_of_books_have_a_long_tail() -> None:
    sizes = sorted(len(dialect("okx").message(0, sequence)) for sequence in range(2000))
    assert sizes[1000] < 300 and sizes[-1] > 1500


def test_nostr_has_text_beyond_ascii() -> None:
    assert any(not body[2]["content"].isascii() for body in bodies("nostr", 20))


def test_coinbase_numbers_a_connections_messages() -> None:
    coinbase = dialect("coinbase")
    assert coinbase.numbered_per_connection
    body = msgspec.json.decode(numbered(coinbase.message(0, 5), 17))
    assert body["sequence_num"] == 17
    (reply,) = coinbase.replies(0, coinbase.subscribe(0), 9)
    assert msgspec.json.decode(reply)["sequence_num"] == 9
    assert msgspec.json.decode(reply)["channel"] == "subscriptions"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binance", {"result": None, "id": 1}),
        ("binance-depth", {"result": None, "id": 1}),
        ("kraken", {"method": "subscribe", "success": True, "req_id": 1}),
        ("okx", {"event": "subscribe", "arg": {"channel": "books", "instId": "BTC-USDT"}}),
    ],
)
def test_a_subscription_is_acknowledged(name: str, expected: dict[str, object]) -> None:
    spoken = dialect(name)
    (reply,) = spoken.replies(0, spoken.subscribe(0), 0)
    assert expected.items() <= msgspec.json.decode(reply).items()


def test_pings_of_the_application_are_answered() -> None:
    assert dialect("okx").replies(0, "ping", 0) == [b"pong"]
    (reply,) = dialect("kraken").replies(0, '{"method":"ping","req_id":7}', 0)
    assert msgspec.json.decode(reply) == {"method": "pong", "req_id": 7}


def test_nostr_answers_requests_and_what_it_does_not_understand() -> None:
    replies = dialect("nostr").replies
    assert replies(0, '["REQ","mine",{}]', 0) == [b'["EOSE","mine"]']
    assert replies(0, '["CLOSE","mine"]', 0) == [b'["CLOSED","mine",""]']
    assert replies(0, "{", 0)[0].startswith(b'["NOTICE"')


@pytest.mark.parametrize("name", [name for name in dialect_names() if name != "nostr"])
def test_what_is_not_understood_gets_no_answer(name: str) -> None:
    assert dialect(name).replies(0, "hello", 0) == []
    assert dialect(name).replies(0, "[1]", 0) == []


def test_a_cursor_is_inclusive() -> None:
    assert cursor_sequence(str(FIRST_TIME_US + 5000)) == 5
    assert cursor_sequence(str(FIRST_TIME_US + 5001)) == 6
    assert cursor_sequence("0") == 0
    assert cursor_sequence("yesterday") is None


@pytest.mark.parametrize("name", dialect_names())
def test_its_own_subscription_is_known_for_one(name: str) -> None:
    spoken = dialect(name)
    request = spoken.asks(spoken.subscribe(0))
    assert request is not None and request.kind == "subscribe"
    assert spoken.asks("hello") is None and spoken.asks("[1]") is None


@pytest.mark.parametrize("name", dialect_names())
def test_what_is_said_besides_data_is_json(name: str) -> None:
    spoken = dialect(name)
    for body in (spoken.heartbeat(3, 7), spoken.goodbye(1000, 7), spoken.refusal(spoken.subscribe(0), "no")):
        assert msgspec.json.decode(body)
    assert b"no" in spoken.refusal("not even JSON", "no")


@pytest.mark.parametrize("name", ["trade", "binance", "binance-depth"])
def test_streams_have_names_of_their_own(name: str) -> None:
    spoken = dialect(name)
    assert spoken.stream_name is not None
    names = [spoken.stream_name(stream) for stream in range(50)]
    assert len(set(names)) == 50
    if spoken.names_streams:
        assert msgspec.json.decode(spoken.message(7, 1))["stream"] == names[7]


def test_pings_are_told_from_subscriptions() -> None:
    for name, text in (("okx", "ping"), ("trade", "ping"), ("kraken", '{"method":"ping"}')):
        request = dialect(name).asks(text)
        assert request is not None and request.kind == "ping"
    assert dialect("trade").replies(0, "ping", 0) == [b"pong"]
