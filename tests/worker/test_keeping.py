"""What policies keep: within their marks, in order, and every message that isn't kept is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.config import Endpoint
from scaleout.core.frames import Kind
from scaleout.worker import keeping
from scaleout.worker.decoding import Read
from scaleout.worker.keeping import DropNewest, DropOldest, Latest, keeper


def endpoint(policy: Any, **keys: Any) -> Endpoint:
    return Endpoint(uri="ws://127.0.0.1", backpressure=policy, **{"low_water": 1, **keys})


def read(*payloads: bytes, kind: Kind = Kind.TEXT, received_at: int = 1) -> Read:
    return Read(list(payloads), kind, received_at)


def taken(kept: DropOldest) -> Iterator[Any]:
    """All that is kept, read by read; what an action returns."""
    while (item := kept.take()) is not None:
        yield item.payloads if isinstance(item, Read) else item()


def action(value: str) -> Callable[[], Any]:
    return partial(str, value)


def test_every_policy_has_its_keeper() -> None:
    kinds = {type(keeper(endpoint(policy))) for policy in ("drop_oldest", "drop_newest", "latest")}
    assert kinds == {DropOldest, DropNewest, Latest}


# One policy after the other


def test_the_oldest_leave() -> None:
    kept = DropOldest(endpoint("drop_oldest", high_water=3))
    assert kept.add(read(b"1", b"2")) == 0
    assert kept.add(read(b"3", b"4")) == 1
    assert kept.add(read(*(b"%d" % number for number in range(5, 10)))) == 5
    assert (kept.messages, kept.size_bytes) == (3, 3)
    assert list(taken(kept)) == [[b"7", b"8", b"9"]]
    assert kept.is_empty


def test_what_comes_is_dropped_until_there_is_room_for_many() -> None:
    kept = DropNewest(endpoint("drop_newest", high_water=4, low_water=2))
    assert kept.add(read(b"1", b"2")) == 0
    assert kept.add(read(b"3")) == 0
    assert kept.add(read(b"4", b"5", b"6")) == 2
    assert kept.add(read(b"7")) == 1
    assert kept.take() == read(b"1", b"2")
    assert kept.add(read(b"8")) == 1  # 2 are left, and it goes on below that
    assert kept.take() == read(b"3")
    assert kept.add(read(b"9")) == 0
    assert list(taken(kept)) == [[b"4"], [b"9"]]


def test_the_newest_of_each_key_stays_where_it_has_come() -> None:
    kept = Latest(endpoint("latest", latest_key="s", high_water=10))
    assert kept.add(read(b'{"s":"a","n":1}', b'{"s":"b","n":2}', b'{"s":"a","n":3}')) == 1
    assert kept.add(read(b"{}", b'{"s":"c","n":4}', b"not JSON")) == 1
    assert kept.add(read(b'{"s":"b","n":5}')) == 1
    assert list(taken(kept)) == [
        [b'{"s":"a","n":3}'],
        [b'{"s":"c","n":4}', b"not JSON"],
        [b'{"s":"b","n":5}'],
    ]


def test_the_key_that_was_silent_for_longest_leaves() -> None:
    kept = Latest(endpoint("latest", latest_key="s", high_water=2))
    assert kept.add(read(b'{"s":1}', b'{"s":2}', b'{"s":1}', b'{"s":3}')) == 2
    assert list(taken(kept)) == [[b'{"s":1}', b'{"s":3}']]


def test_without_a_key_the_newest_message_stays() -> None:
    kept = Latest(endpoint("latest", high_water=10))
    assert kept.add(read(b"1", b"2")) == 1
    assert kept.add(read(b"3", kind=Kind.BINARY, received_at=2)) == 1
    assert kept.take() == read(b"3", kind=Kind.BINARY, received_at=2)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest"])
def test_bytes_are_bounded_too_but_one_message_is_always_kept(policy: str) -> None:
    kept = keeper(endpoint(policy, high_water=100, high_water_bytes=1000, latest_key="s"))
    assert kept.add(read(b"1" * 5000)) == 0
    assert kept.add(read(b'{"s":1}', b'{"s":2}')) in (1, 2)
    assert kept.messages in (1, 2)
    assert kept.size_bytes == sum(len(b"".join(payloads)) for payloads in taken(kept))


def test_pieces() -> None:
    kept = DropOldest(endpoint("drop_oldest", high_water=10_000))
    kept.add(read(*(b"%d" % number for number in range(700))))
    kept.add(read(b"text", received_at=2))
    kept.add(read(b"binary", kind=Kind.BINARY, received_at=2))
    sizes = [len(payloads) for payloads in taken(kept)]
    assert sizes == [256, 256, 188, 1, 1]


def test_actions_stay_in_their_place() -> None:
    kept = DropOldest(endpoint("drop_oldest", high_water=2))
    kept.add(read(b"1"))
    kept.add_action(action("after 1"))
    kept.add(read(b"2", b"3"))
    kept.add_action(action("after 3"))
    kept.add(read(b"4"))
    assert list(taken(kept)) == ["after 1", [b"3"], "after 3", [b"4"]]


def test_actions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_ACTIONS", 3)
    kept = DropOldest(endpoint("drop_oldest", high_water=1))
    added = []
    for number in range(4):
        kept.add(read(b"x"))
        added.append(kept.add_action(action(f"{number}")))
    assert added == [True, True, True, False]
    assert kept.take() is not None
    assert kept.add_action(action("again"))
    assert list(taken(kept)) == ["1", "2", [b"x"], "again"]
    assert [kept.add_action(action("later")) for _ in range(4)] == [True, True, True, False]


# All of them, against a plain list

MESSAGES = st.builds(
    lambda key, size: msgspec.json.encode({"data": {"s": key}, "pad": "x" * size}),
    st.sampled_from(["a", "b", 3, None]),
    st.sampled_from([0, 0, 0, 20, 200]),
)
STEPS = st.lists(st.lists(MESSAGES, max_size=6) | st.sampled_from(["take", "action"]), max_size=60)


@given(
    st.sampled_from(["drop_oldest", "drop_newest", "latest"]), STEPS, st.integers(1, 8), st.integers(50, 600)
)
def test_against_a_plain_list(policy: str, steps: list[Any], high: int, high_bytes: int) -> None:
    kept = keeper(
        endpoint(policy, high_water=high, high_water_bytes=high_bytes, latest_key="data.s", low_water=high)
    )
    model: list[Any] = []
    is_full = False
    number = 0
    for step in steps:
        if step == "take":
            item = kept.take()
            found = item.payloads if isinstance(item, Read) else [] if item is None else [item()]
            expected = [entry if isinstance(entry, str) else entry[1] for entry in model[: len(found)]]
            assert found == expected and bool(found) == bool(model)
            del model[: len(found)]
        elif step == "action":
            number += 1
            model.append(f"{number}")
            assert kept.add_action(action(f"{number}"))
        elif step:
            before = [entry for entry in model if not isinstance(entry, str)]
            size = sum(len(payload) for _, payload in before)
            if is_full and len(before) < high and size <= high_bytes // 4:
                is_full = False
            dropped = 0
            for payload in step:
                key = msgspec.json.decode(payload)["data"]["s"]
                if policy == "latest":
                    same = [entry for entry in model if not isinstance(entry, str) and entry[0] == key]
                    dropped += len(same)
                    model = [entry for entry in model if entry not in same or isinstance(entry, str)]
                there = [entry for entry in model if not isinstance(entry, str)]
                size = sum(len(each) for _, each in there) + len(payload)
                if policy == "drop_newest":
                    is_full = is_full or bool(there and (len(there) >= high or size > high_bytes))
                    if is_full:
                        dropped += 1
                        continue
                model.append((key, payload))
            if policy != "drop_newest":
                dropped += _leave(model, high, high_bytes)
            assert kept.add(read(*step)) == dropped
        there = [entry for entry in model if not isinstance(entry, str)]
        assert kept.messages == len(there) <= high
        assert kept.size_bytes == sum(len(payload) for _, payload in there)
        assert kept.messages <= 1 or kept.size_bytes <= high_bytes
        assert kept.is_empty == (not model)


def _leave(model: list[Any], high: int, high_bytes: int) -> int:
    dropped = 0
    while True:
        there = [entry for entry in model if not isinstance(entry, str)]
        size = sum(len(payload) for _, payload in there)
        if len(there) <= 1 or (len(there) <= high and size <= high_bytes):
            return dropped
        model.remove(there[0])
        dropped += 1


# Keys

KEYS = [
    ("s", b'{"s":"a","x":[1,2]}', "a"),
    ("s", b'{"s":5}', 5),
    ("s", b'{"s":"5"}', "5"),
    ("s", b'{"s":1.5}', 1.5),
    ("s", b'{"s":null}', None),
    ("s", b'{"s":true}', b"true"),
    ("s", b'{"s":["a",1]}', b'["a",1]'),
    ("s", b'{"t":1}', None),
    ("s", b"[1]", None),
    ("s", b"not JSON", None),
    ("s", b"\xff", None),
    ("s", b"[" * 100_000, None),
    ("data.s", b'{"data":{"s":"a"},"s":"b"}', "a"),
    ("data.s", b'{"data":[{"s":"a"}]}', None),
    ("data.0.s", b'{"data":[{"s":"a"}]}', "a"),
    ("a-b.\u00e9", '{"a-b":{"\u00e9":7}}'.encode(), 7),
]


@pytest.mark.parametrize(("path", "message", "key"), KEYS)
def test_keys(path: str, message: bytes, key: object) -> None:
    latest = Latest(Endpoint(uri="ws://feed", backpressure="latest", latest_key=path))
    (found,) = latest.keys([message])
    assert found == key
    assert type(found) is type(key)
