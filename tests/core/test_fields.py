"""Fields of messages: by their paths, and read while all others are skipped."""

from __future__ import annotations

import pytest

from scaleout.core.fields import Field, Path, decoded, field_reader, row_reader

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.u", 5),
        ("data", {"u": 5, "none": None}),
        ("events.0.id", "x"),
        ("events.1.id", None),
        ("events.-1.id", None),
        ("events.id", None),
        ("data.u.deeper", None),
        ("data.none", None),
        ("7", "seven"),
        ("events." + "9" * 5000, None),
    ],
)
def test_a_path_leads_to_a_field(path: str, value: object) -> None:
    message = {"data": {"u": 5, "none": None}, "events": [{"id": "x"}], "7": "seven"}
    assert Path(path).get(message) == value


def test_an_absent_field_is_told_from_null() -> None:
    assert Path("a").get({"a": None}, "default") is None
    assert Path("b").get({"a": None}, "default") == "default"


def number(path: str) -> Field[object]:
    return Field(Path(path), int | None, lambda value: ("untyped", value))


@pytest.mark.parametrize("payload", [b"", b"not JSON", b'{"a":"\xff"}', DEEP])
def test_what_cannot_be_read_is_nothing(payload: bytes) -> None:
    assert decoded(payload) is None
    assert field_reader(number("a")).read([payload]) == [("untyped", None)]


def test_other_fields_are_skipped_whatever_they_are() -> None:
    assert field_reader(number("a")).read([b'{"b":[{"a":2}],"a":1,"c":null}']) == [1]


def test_a_field_of_another_kind_is_converted_and_its_neighbours_are_read() -> None:
    payloads = [b'{"a":1}', b'{"a":[2]}', b'{"a":"3"}', b"{}", b"[4]"]
    assert field_reader(number("a")).read(payloads) == [1, ("untyped", [2]), 3, None, ("untyped", None)]


@pytest.mark.parametrize(
    ("path", "payload", "value"),
    [
        ("a.b", b'{"a":{"b":1}}', 1),
        ("a.b", b'{"a":{}}', None),
        ("a.b", b'{"a":5}', ("untyped", None)),
        ("a.0", b'{"a":[7]}', ("untyped", 7)),
        ("a-b.\u00e9", '{"a-b":{"\u00e9":1}}'.encode(), 1),
        ("class", b'{"class":1}', 1),
    ],
)
def test_paths_lead_deeper(path: str, payload: bytes, value: object) -> None:
    assert field_reader(number(path)).read_one(payload) == value


def test_a_row_has_its_fields_in_order() -> None:
    nowhere: Field[object] = Field(None, int | None, lambda value: value)
    reader = row_reader(number("b.c"), number("a"), nowhere)
    assert reader.read([b'{"a":1,"b":{"c":2}}', b'{"a":3}']) == [(2, 1, None), (None, 3, None)]


@pytest.mark.parametrize(
    ("first", "second", "row"),
    [
        ("a", "a", (1, 1)),
        ("a", "a.b", (("untyped", 1), ("untyped", None))),
    ],
)
def test_fields_may_overlap(first: str, second: str, row: tuple[object, object]) -> None:
    nowhere: Field[object] = Field(None, int | None, lambda value: value)
    (found,) = row_reader(number(first), number(second), nowhere).read([b'{"a":1}'])
    assert found == (*row, None)


def test_one_field_of_two_kinds_is_read_as_any() -> None:
    text: Field[object] = Field(Path("a"), str | None, lambda value: value)
    nowhere: Field[object] = Field(None, int | None, lambda value: value)
    assert row_reader(number("a"), text, nowhere).read([b'{"a":1}']) == [(("untyped", 1), 1, None)]
