"""Streams are spread evenly over as few connections as may be, and nothing moves when they change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.streams import Change, assign, change

NAMES = st.lists(st.integers(0, 60).map(str), min_size=1, max_size=40, unique=True)
PER_CONNECTION = st.none() | st.integers(1, 10)


@given(NAMES, PER_CONNECTION)
def test_each_stream_has_one_place_and_no_connection_too_many(
    names: list[str], per_connection: int | None
) -> None:
    groups = assign(names, per_connection)
    assert sorted(name for group in groups for name in group) == sorted(names)
    most = len(names) if per_connection is None else per_connection
    assert len(groups) == -(-len(names) // most)
    sizes = [len(group) for group in groups]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


@given(NAMES, st.lists(st.integers(100, 140).map(str), unique=True), PER_CONNECTION, st.data())
def test_a_change_moves_nothing_and_fills_up_first(
    names: list[str], add: list[str], per_connection: int | None, data: st.DataObject
) -> None:
    remove = data.draw(st.lists(st.sampled_from(names), unique=True))
    groups = [list(group) for group in assign(names, per_connection)]
    changes = change(groups, add, remove, per_connection)
    touched = [each.group for each in changes if each.group is not None]
    assert len(touched) == len(set(touched))
    result = [list(group) for group in groups]
    for each in changes:
        assert each.add or each.remove
        if each.group is None:
            assert not each.remove
            result.append(list(each.add))
        else:
            assert set(each.remove) <= set(groups[each.group])
            result[each.group] = [name for name in groups[each.group] if name not in each.remove] + [
                *each.add
            ]
    wanted = (set(names) - set(remove)) | set(add)
    carried = [name for group in result for name in group]
    assert sorted(carried) == sorted(wanted)
    assert per_connection is None or max(map(len, result)) <= per_connection
    opened = [each for each in changes if each.group is None]
    if opened and per_connection is not None:
        stayed = [group for group in result[: len(groups)] if group]
        assert all(len(group) == per_connection for group in stayed), "there was room"


@pytest.mark.parametrize(
    ("groups", "add", "remove", "per_connection", "changes"),
    [
        ([["a", "b"]], ["c"], [], None, [Change(0, ("c",))]),
        ([["a", "b"]], ["c"], ["a"], 2, [Change(0, ("c",), ("a",))]),
        ([["a"], ["b"]], ["c"], [], 1, [Change(None, ("c",))]),
        ([["a"], ["b"]], ["c"], ["a"], 1, [Change(0, (), ("a",)), Change(None, ("c",))]),
        ([["a"]], ["b"], ["a"], None, [Change(0, ("b",), ("a",))]),
        ([[], ["b"]], ["c"], [], 2, [Change(1, ("c",))]),
        ([["a"]], [], [], 2, []),
    ],
)
def test_changes(
    groups: list[list[str]],
    add: list[str],
    remove: list[str],
    per_connection: int | None,
    changes: list[Change],
) -> None:
    assert change(groups, add, remove, per_connection) == changes
