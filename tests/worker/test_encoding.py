"""Lines and their envelopes: whole, one for each result."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.worker.encoding import LineEncoder, encode_lines, flatten

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
RAW = st.tuples(JSON, st.sampled_from(["\n", "\r\n", "\r"])).map(
    lambda drawn: msgspec.Raw(json.dumps(drawn[0], indent=1).replace("\n", drawn[1]).encode())
)


@given(st.lists(JSON | RAW, max_size=5), st.text(max_size=5), st.integers(0, 2**63), st.booleans())
def test_each_result_is_one_line(results: list[Any], name: str, received_at: int, envelope: bool) -> None:
    plain = [json.loads(bytes(each)) if isinstance(each, msgspec.Raw) else each for each in results]
    output = b"".join(LineEncoder(name, envelope).encode(results, received_at))
    assert output.count(b"\n") == len(results) and b"\r" not in output
    lines = [json.loads(line) for line in output.split(b"\n")[:-1]]
    if envelope:
        assert lines == [{"endpoint": name, "received_at": received_at, "data": each} for each in plain]
    else:
        assert lines == plain


def test_nothing_makes_no_line() -> None:
    for envelope in (True, False):
        encoder = LineEncoder("feed", envelope)
        assert (encoder.encode([], 1), encoder.wrap(b"", 1)) == ((), ())


def test_what_can_not_be_encoded_raises() -> None:
    for bad in (object(), "\ud800", {1, object()}):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            encode_lines([1, bad])


def test_flatten() -> None:
    assert flatten(b'{\r\n"a": "\\n"\n}') == b'{  "a": "\\n" }'
