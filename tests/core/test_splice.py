"""Two windows of one sequence are laid over each other rightly, or not at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core import splice
from scaleout.core.splice import Alignment, Meeting, Outcome, align, common, matched, meeting

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


@given(st.integers(0, 40).flatmap(lambda n: st.tuples(*[st.lists(LOOK_ALIKES, max_size=n)] * 2)), st.data())
def test_many_look_alikes_are_searched_another_way_with_the_same_outcome(
    windows: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    tail, shadow = windows
    minimum = data.draw(MINIMA)
    with pytest.MonkeyPatch.context() as patch:
        expected = align(tail, shadow, minimum), common(tail, shadow)
        patch.setattr(splice, "_FEW", 0)
        assert (align(tail, shadow, minimum), common(tail, shadow)) == expected


def test_windows_full_of_look_alikes_take_no_time_to_speak_of() -> None:
    began = time.process_time()
    assert align([*[7] * 65535, 8], [7] * 65536, 16) == BEHIND
    assert common([*[7] * 65535, 8], [7] * 65536) == 65535
    assert align([*[1] * 32768, *[2] * 32768], [*[1] * 65535, 3], 16) == BEHIND
    assert time.process_time() - began < 1.0


@given(MANY_LOOK_ALIKES, MANY_LOOK_ALIKES)
def test_equal_messages_are_matched_one_to_one(tail: list[int], shadow: list[int]) -> None:
    of_tail, of_shadow = matched(tail, shadow)
    assert of_tail == sorted(set(of_tail))
    assert of_shadow == sorted(set(of_shadow))
    pairs = Counter(tail) & Counter(shadow)
    assert Counter(tail[index] for index in of_tail) == pairs
    assert Counter(shadow[index] for index in of_shadow) == pairs


def test_of_look_alikes_the_first_are_matched() -> None:
    assert matched([5, 6, 5], [5, 5, 7, 5, 6, 6]) == ([0, 1, 2], [0, 1, 4])


@pytest.mark.parametrize(
    ("tail", "shadow", "met"),
    [
        ([1, 2, 3, 4], [9, 3, 2, 5], Meeting(2, 1, 1)),
        ([1, 7, 7, 4], [7, 4, 7, 5], Meeting(1, 3, 1)),
        ([7, 7, 1], [1, 7], Meeting(1, 2, 0)),
        ([7, 7], [7], Meeting(0)),
        ([], [1], Meeting(0)),
        ([1, 2], [3, 4], Meeting(0)),
    ],
)
def test_two_windows_meet_where_a_message_is_unmistakable(
    tail: list[int], shadow: list[int], met: Meeting
) -> None:
    assert meeting(tail, shadow) == met
