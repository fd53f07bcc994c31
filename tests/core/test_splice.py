"""Two windows of one sequence are laid over each other rightly, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.splice import Alignment, Outcome, align, common, leftover

BEHIND, AMBIGUOUS = Alignment(Outcome.BEHIND), Alignment(Outcome.AMBIGUOUS)
HASHES = st.integers(0, 2**64 - 1)
LOOK_ALIKES = st.sampled_from([0, 1, 2**64 - 1]) | st.sampled_from([0x0101010101010101, 0x0101010101010102])
"""Some of them are found at places that aren't a multiple of their size, too."""
MANY_LOOK_ALIKES = st.lists(LOOK_ALIKES, max_size=12) | st.lists(st.sampled_from([0, 1]), max_size=5)
MINIMA = st.integers(1, 4)


def aligned(position: int) -> Alignment:
    return Alignment(Outcome.ALIGNED, position)


def placements(tail: list[int], shadow: list[int], minimum: int) -> Iterator[tuple[int, int]]:
    """Where the tail may end, seen from the shadow's beginning, and the messages in common; tried one by one."""
    for shift in range(-len(tail) + 1, len(shadow)):
        pairs = [
            (message, shadow[index + shift])
            for index, message in enumerate(tail)
            if 0 <= index + shift < len(shadow)
        ]
        if len(pairs) >= minimum and all(left == right for left, right in pairs):
            yield shift + len(tail), len(pairs)


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[int], range, range]:
    """A sequence of distinct messages, and where in it the tail and the shadow are."""
    sequence = draw(st.lists(HASHES, max_size=30, unique=True))
    edges = st.integers(0, len(sequence))
    tail, shadow = sorted([draw(edges), draw(edges)]), sorted([draw(edges), draw(edges)])
    return sequence, range(*tail), range(*shadow)


@given(windows(), MINIMA)
def test_windows_of_distinct_messages_are_aligned_as_soon_as_they_can_be(
    case: tuple[list[int], range, range], minimum: int
) -> None:
    sequence, old, new = case
    tail, shadow = [sequence[index] for index in old], [sequence[index] for index in new]
    in_common = len(set(old) & set(new))
    assert common(tail, shadow) == in_common
    alignment = align(tail, shadow, minimum)
    if in_common >= minimum and new.stop >= old.stop:
        assert alignment == aligned(old.stop - new.start)
        assert sequence[: old.stop] + shadow[alignment.position :] == sequence[: new.stop]
    else:
        assert alignment == BEHIND


@given(MANY_LOOK_ALIKES.filter(len), st.data())
def test_look_alikes_never_lead_to_a_wrong_place_if_the_true_one_is_seen(
    sequence: list[int], data: st.DataObject
) -> None:
    cuts = st.lists(st.integers(0, len(sequence)), min_size=2, max_size=2, unique=True).map(sorted)
    begin, end = data.draw(cuts, label="in common")
    minimum = data.draw(st.integers(1, end - begin), label="minimum")
    begins = data.draw(st.permutations([begin, data.draw(st.integers(0, begin))]))
    ends = data.draw(st.permutations([end, data.draw(st.integers(end, len(sequence)))]))
    old, new = (slice(*edges) for edges in zip(begins, ends, strict=True))
    alignment = align(sequence[old], sequence[new], minimum)
    if alignment.outcome is Outcome.ALIGNED:
        assert alignment == aligned(old.stop - new.start)
        assert new.stop >= old.stop


@settings(max_examples=500)
@given(MANY_LOOK_ALIKES, MANY_LOOK_ALIKES, MINIMA)
def test_it_is_aligned_if_only_one_placement_is_possible(
    tail: list[int], shadow: list[int], minimum: int
) -> None:
    possible = [end for end, _ in placements(tail, shadow, minimum)]
    ends_seen = [end for end in possible if end <= len(shadow)]
    if not ends_seen:
        assert align(tail, shadow, minimum) == BEHIND
    elif len(possible) == 1:
        assert align(tail, shadow, minimum) == aligned(possible[0])
    else:
        assert align(tail, shadow, minimum) == AMBIGUOUS
    assert common(tail, shadow) == max((count for _, count in placements(tail, shadow, 1)), default=0)


@pytest.mark.parametrize(
    ("tail", "shadow", "minimum", "alignment"),
    [
        ([1, 2, 3], [0, 1, 2, 3, 4, 5], 1, aligned(4)),
        ([1, 2, 3], [3, 4, 5], 1, aligned(1)),
        ([1, 2, 3], [3, 4, 5], 2, BEHIND),
        ([1, 2, 3], [2, 3], 2, aligned(2)),
        ([1, 2, 3], [0, 1, 2], 1, BEHIND),
        ([1, 2, 3, 4], [2, 3], 1, BEHIND),
        ([1, 2, 3], [7, 8, 9], 1, BEHIND),
        ([1, 2, 3], [1, 2, 7, 3], 1, BEHIND),
        ([1, 2], [1, 2, 0, 1, 2], 1, AMBIGUOUS),
        ([7, 7], [7, 7, 7], 1, AMBIGUOUS),
        ([1, 2, 1, 2], [1, 2], 2, AMBIGUOUS),
        ([1, 2, 1, 2], [1, 2, 3], 2, aligned(2)),
        ([], [1, 2], 1, BEHIND),
        ([1, 2], [], 1, BEHIND),
        ([1, 2], [1, 2], 0, aligned(2)),
        ([1, 2], [3, 4], 0, BEHIND),
    ],
)
def test_where_a_shadow_goes_on(
    tail: list[int], shadow: list[int], minimum: int, alignment: Alignment
) -> None:
    assert align(tail, shadow, minimum) == alignment


@pytest.mark.parametrize("lead", [0, 1, 60_000])
def test_the_longest_windows_are_no_trouble(lead: int) -> None:
    assert align([7] * 4096, [7] * 65536, 16) == AMBIGUOUS
    assert align([*[7] * 4095, 8], [*[7] * lead, *[7] * 4095, 8, 9], 16) == aligned(lead + 4096)
    assert common([7] * 4096, [7] * 65536) == 4096


@given(MANY_LOOK_ALIKES, MANY_LOOK_ALIKES)
def test_leftovers_are_what_the_tail_does_not_account_for(tail: list[int], shadow: list[int]) -> None:
    left = leftover(tail, shadow)
    assert left == sorted(set(left))
    assert Counter(shadow[index] for index in left) == Counter(shadow) - Counter(tail)


def test_of_look_alikes_the_last_are_left() -> None:
    assert leftover([5, 6, 5], [5, 5, 7, 5, 6, 6]) == [2, 3, 5]
