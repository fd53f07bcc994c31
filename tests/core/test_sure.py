"""A quick look at JSON: whatever it is sure of, a parser takes too; and it is sure of what feeds send."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.sure import is_sure
from scaleout.simulator.dialects.trade import trade_message

_parse = msgspec.json.Decoder(msgspec.Raw).decode


def sure(text: bytes) -> bool:
    return is_sure(text + b"\0", len(text))


def parses(text: bytes) -> bool:
    try:
        _parse(text)
    except msgspec.DecodeError:
        return False
    return True


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('abc"\\/é', max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
INDENTS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\t: ")])


@given(VALUES, INDENTS)
def test_it_is_sure_of_what_writers_write(value: object, separators: tuple[str, str]) -> None:
    text = json.dumps(value, separators=separators, ensure_ascii=False).encode()
    assert sure(text)


CHARACTERS = st.sampled_from(list(b'{}[]",:0123456789.-+eEtrufalsn \\\t\n\r\x00\x1fbx\xc3\xa4'))


@given(VALUES, st.lists(st.tuples(st.integers(0, 60), CHARACTERS, st.booleans()), min_size=1, max_size=4))
def test_what_it_is_sure_of_a_parser_takes(value: object, changes: list[tuple[int, int, bool]]) -> None:
    text = bytearray(json.dumps(value).encode())
    for place, character, is_more in changes:
        place %= len(text)
        text[place : place + (not is_more)] = bytes((character,))
    if sure(bytes(text)):
        assert parses(bytes(text))
        assert b"\n" not in text and b"\r" not in text


@given(st.lists(CHARACTERS, max_size=12))
def test_anything_it_is_sure_of_a_parser_takes(characters: list[int]) -> None:
    text = bytes(characters)
    assert not sure(text) or parses(text)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[", b'"', b'"a', b"{}{}", b"1 2", b"01", b"-", b"1.", b".5", b"1e", b"+1", b"tru",
        b"nul", b"[1,]", b'{"a":1,}', b"{,}", b'{"a"}', b"{1:2}", b'["\x01"]', b'["\\x"]', b"[1\n]", b"[1\r]", b"]",
        b"[}",
        b'{"a":[}', b"[1 2]", b"{}\0", b'"\\',
    ],
)  # fmt: skip
def test_it_is_not_sure_of(text: bytes) -> None:
    assert not sure(text)


def test_escapes_by_number_are_left_to_the_parser() -> None:
    assert not sure(b'"\\u00e4"') and parses(b'"\\u00e4"')


def test_it_goes_so_deep() -> None:
    assert sure(b"[" * 63 + b"1" + b"]" * 63)
    assert not sure(b"[" * 64 + b"1" + b"]" * 64)


def test_what_feeds_send_is_sure() -> None:
    assert all(sure(trade_message(1, number)) for number in range(5))


@pytest.mark.parametrize("text", [b"1", b'"a"', b"[1]", b'{"a":1}', b"true"])
@pytest.mark.parametrize("rest", [b"\x81", b"\x811", b'\x82"}]1'])
def test_what_comes_behind_the_text_does_not_count(text: bytes, rest: bytes) -> None:
    assert is_sure(text + rest + b"\0", len(text))


@pytest.mark.parametrize("text", [b'"a"', b"[12]", b'{"a":1}', b"true"])
def test_what_would_be_json_with_what_comes_behind_it_is_not(text: bytes) -> None:
    assert not any(is_sure(text + b"\0", size) for size in range(len(text)))
