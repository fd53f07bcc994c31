"""Letters for programs: every byte of a payload is there."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scaleout.deadletters import Letter
from scaleout.deadletters.records import json_line, record_of


@given(st.binary(), st.none() | st.binary(), st.booleans())
def test_records_keep_every_byte(
    kept_letter: Callable[..., Letter], payload: bytes, edited: bytes | None, is_text: bool
) -> None:
    letter = kept_letter(payload=payload, edited=edited, is_text=is_text)
    line = json_line(record_of(letter))
    assert line.count(b"\n") == 1
    record = json.loads(line)
    if record["encoding"] == "base64":
        assert msgspec.convert(record["payload"], bytes) == payload
    else:
        assert record["payload"].encode() == payload
        assert (record["edited"] is None) == (edited is None)
