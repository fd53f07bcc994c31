"""Gaps, repeats and steps back are found, each key on its own, exactly as a slow and obvious tracker finds them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.sequence import Findings, Gap, SequenceTracker

Message = dict[str, Any]
Problems = list[tuple[int, str, str | None, int, int]]
"""Index of the message, what is wrong, and for gaps the key, what was expected and what came."""


class Obvious:
    """One key's sequence, message by message."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.last: int | None = None
        self.last_before_step_back: int | None = None
        self.is_new_connection = False

    def goes_on_from(self, message: Message) -> int | None:
        """The number of the message that must have come before this one; None for any."""
        match self.mode:
            case "dense":
                return int(message["u"]) - 1
            case "ranges":
                return int(message["U"]) - 1
            case _:
                return int(message["pu"]) if int(message["pu"]) >= 0 else None

    def look_at(self, message: Message) -> tuple[str, int, int] | None:
        """What is wrong with the next message."""
        number, before = int(message["u"]), self.goes_on_from(message)
        last, is_new_connection = self.last, self.is_new_connection
        self.last, self.is_new_connection = number, False
        if last is None or before is None:
            self.last_before_step_back = None
            return None
        if (
            self.last_before_step_back is not None
            and before >= self.last_before_step_back >= last
            and not is_new_connection
        ):
            last, self.last_before_step_back = self.last_before_step_back, None
        if before == last:
            return None
        if before > last:
            self.last_before_step_back = None
            offset = 0 if self.mode == "previous" else 1
            return "gap", last + offset, before + offset
        if is_new_connection:
            return None
        highest = max(last, last if self.last_before_step_back is None else self.last_before_step_back)
        self.last_before_step_back = highest if number < highest else None
        if number > last:
            return None
        if number == last or self.mode == "ranges":
            return "repeat", 0, 0
        return "backwards", 0, 0

    def restart(self) -> None:
        self.is_new_connection = True
        self.last_before_step_back = None


NUMBERED_BY = {"dense": {"u"}, "ranges": {"u", "U"}, "previous": {"u", "pu"}}
MODES = st.sampled_from(sorted(NUMBERED_BY))


def tracker_for(mode: str, key: str | None) -> SequenceTracker:
    first, previous = "d.U" if mode == "ranges" else None, "d.pu" if mode == "previous" else None
    return SequenceTracker("d.u", key, first, previous)


def make(message: Message, *, quoted: bool) -> bytes:
    fields = {name: str(value) if quoted and name != "s" else value for name, value in message.items()}
    return json.dumps({"x": [1, {"u": 5}], "d": {"e": "ü", **fields}}, separators=(",", ":")).encode()


def problems_of(findings: Findings) -> tuple[list[tuple[int, Gap]], int, int]:
    return findings.gaps, findings.repeats, findings.backwards


NUMBERS = st.integers(-2, 12) | st.integers(2**63 - 2, 2**63 + 2)
MESSAGES = st.fixed_dictionaries(
    {"u": NUMBERS}, optional={"U": NUMBERS, "pu": NUMBERS, "s": st.sampled_from(["a", "b", 7])}
) | st.fixed_dictionaries({"result": st.none()})
"""Of any numbers."""


@st.composite
def feeds(draw: st.DrawFn) -> list[Message]:
    """Messages that mostly go on from one another, by every way of saying so."""
    messages: list[Message] = []
    last = dict.fromkeys("ab", 0)
    for _ in range(draw(st.integers(0, 30))):
        key = draw(st.sampled_from("ab"))
        before = last[key] + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, 3, -1, -2, -5]))
        last[key] = before + 1 + draw(st.sampled_from([0, 0, 0, 1, 2]))
        messages.append({"u": last[key], "U": before + 1, "pu": before, "s": key})
    return messages


@given(
    st.lists(feeds() | st.lists(MESSAGES, max_size=8), max_size=5),
    MODES,
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_findings_are_those_of_the_obvious_tracker(
    batches: list[list[Message]], mode: str, keyed: bool, quoted: bool, data: st.DataObject
) -> None:
    tracker = tracker_for(mode, "d.s" if keyed else None)
    obvious: dict[object, Obvious] = {}
    seen: set[object] = set()
    for batch in batches:
        if data.draw(st.booleans(), label="restart"):
            seen.clear()
            tracker.restart()
            for sequence in obvious.values():
                sequence.restart()
        gaps: list[tuple[int, Gap]] = []
        counts = {"repeat": 0, "backwards": 0}
        for index, message in enumerate(batch):
            if not message.keys() >= NUMBERED_BY[mode]:
                continue
            key = message.get("s") if keyed else None
            is_first = key not in seen
            seen.add(key)
            match obvious.setdefault(key, Obvious(mode)).look_at(message):
                case "gap", expected, got:
                    gaps.append((index, Gap(None if key is None else str(key), expected, got, is_first)))
                case problem, _, _:
                    counts[problem] += 1
        findings = tracker.track([make(message, quoted=quoted) for message in batch])
        assert problems_of(findings) == (gaps, counts["repeat"], counts["backwards"])


@given(feeds(), MODES, st.data())
def test_it_does_not_matter_how_messages_are_batched(
    messages: list[Message], mode: str, data: st.DataObject
) -> None:
    payloads = [make(message, quoted=False) for message in messages]
    whole = tracker_for(mode, "d.s").track(payloads)
    tracker = tracker_for(mode, "d.s")
    gaps, repeats, backwards, at = [], 0, 0, 0
    while at < len(payloads):
        size = data.draw(st.integers(1, len(payloads)))
        findings = tracker.track(payloads[at : at + size])
        gaps += [(at + index, gap) for index, gap in findings.gaps]
        repeats += findings.repeats
        backwards += findings.backwards
        at += size
    assert problems_of(whole) == (gaps, repeats, backwards)


def numbers(*values: object) -> list[bytes]:
    return [json.dumps({"n": value}).encode() for value in values]


@pytest.mark.parametrize(
    ("values", "gaps", "repeats", "backwards"),
    [
        ((5, 6, 7), [], 0, 0),
        ((5, 8, 9), [(1, 6, 8)], 0, 0),
        ((5, 6, 6, 7), [], 1, 0),
        ((5, 6, 1, 2, 3), [], 0, 1),  # the numbering has started over
        ((5, 6, 1, 2, 4), [(4, 3, 4)], 0, 1),
        ((5, 6, 7, 5, 8), [], 0, 1),  # an old message came late
        ((5, 6, 7, 5, 9), [(4, 8, 9)], 0, 1),
        ((5, 6, 7, 5, 6, 7, 8), [], 0, 1),  # several came again
        ((5, 6, 7, 5, 4, 8), [], 0, 2),
        ((5, 7, 6, 8), [(1, 6, 7)], 0, 1),  # two came in the wrong order
        ((5, 3, 4, 5, 6, 7, 9), [(6, 8, 9)], 0, 1),
        (("5", "06", 7, "08.x", True, None, 8.0), [], 0, 0),
    ],
)
def test_what_is_found_in_dense_numbers(
    values: tuple[object, ...], gaps: list[tuple[int, int, int]], repeats: int, backwards: int
) -> None:
    findings = SequenceTracker("n").track(numbers(*values))
    wanted = [(index, Gap(None, expected, got)) for index, expected, got in gaps]
    assert problems_of(findings) == (wanted, repeats, backwards)


def test_an_overlap_of_ranges_goes_on_and_an_old_range_is_a_repeat() -> None:
    tracker = SequenceTracker("u", first="U")
    ranges = [(1, 5), (4, 8), (2, 3), (9, 9), (12, 14)]
    findings = tracker.track([json.dumps({"U": first, "u": last}).encode() for first, last in ranges])
    assert problems_of(findings) == ([(4, Gap(None, 10, 12))], 1, 0)


def test_previous_numbers_chain_numbers_that_are_not_dense() -> None:
    tracker = SequenceTracker("seqId", key="arg.instId", previous="prevSeqId")
    links = [(-1, 10), (10, 17), (17, 17), (17, 25), (26, 27), (27, 3), (3, 5), (-1, 90), (90, 91)]
    findings = tracker.track(
        [
            json.dumps({"arg": {"instId": "X"}, "prevSeqId": previous, "seqId": number}).encode()
            for previous, number in links
        ]
    )
    assert problems_of(findings) == ([(4, Gap("X", 25, 26))], 0, 0)


@pytest.mark.parametrize(("expected", "got", "missed"), [(6, 8, 2), (25, 26, 1), (5, 3, 1)])
def test_a_gap_says_how_much_is_missing(expected: int, got: int, missed: int) -> None:
    assert Gap(None, expected, got).missed == missed


def test_one_key_never_disturbs_another() -> None:
    tracker = SequenceTracker("n", key="k")
    payloads = [
        json.dumps({"n": n, "k": k}).encode() for k, n in [("a", 1), ("b", 50), ("a", 3), ("b", 51), ("a", 4)]
    ]
    assert problems_of(tracker.track(payloads)) == ([(2, Gap("a", 2, 3))], 0, 0)


def test_a_connection_may_begin_earlier_but_not_later() -> None:
    tracker = SequenceTracker("n")
    tracker.track(numbers(5, 6))
    tracker.restart()
    assert problems_of(tracker.track(numbers(1, 2))) == ([], 0, 0)
    assert problems_of(tracker.track(numbers(1))) == ([], 0, 1)
    tracker.restart()
    tracker.restart()
    assert problems_of(tracker.track(numbers(4))) == ([(0, Gap(None, 2, 4, reconnected=True))], 0, 0)


def test_the_keys_remembered_are_bounded_and_the_oldest_leave_first() -> None:
    tracker = SequenceTracker("n", key="k", max_keys=20)

    def send(key: int, number: int) -> int:
        return len(tracker.track([json.dumps({"n": number, "k": key}).encode()]).gaps)

    for key in range(20):
        send(key, 1)
    tracker.restart()
    for key in range(20, 25):
        assert send(key, 1) == 0
    remembered = [key for key in reversed(range(25)) if send(key, 9)]
    assert 10 <= len(remembered) <= 20
    assert set(range(20, 25)) <= set(remembered) and 0 not in remembered


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data.0.n", {"data": [{"n": "%d"}]}),
        ("2.n", ["EVENT", "id", {"n": "%d"}]),
        ("0", {"0": "%d"}),
        ('we"ird.ü\n', {'we"ird': {"ü\n": "%d"}}),
    ],
)
def test_any_path_can_be_followed(path: str, message: object) -> None:
    tracker = SequenceTracker(path)
    template = json.dumps(message, ensure_ascii=False)
    payloads = [template.replace("%d", str(number)).encode() for number in (1, 2, 5)]
    assert problems_of(tracker.track(payloads)) == ([(2, Gap(None, 3, 5))], 0, 0)


@pytest.mark.parametrize("key", ["d", "d.n", "d.n.x"])
def test_a_key_may_lie_around_or_at_the_number(key: str) -> None:
    tracker = SequenceTracker("d.n", key=key)
    payloads = [json.dumps({"d": {"n": number}}).encode() for number in (1, 2, 2)]
    assert tracker.track(payloads).repeats in (0, 1)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.integers(-9, 9).map(float)
    | st.text(max_size=3) | st.integers().map(str) | st.sampled_from(["1e3", "1.0", "-0", "null", "007", "+1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("nkx"), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(st.lists(JSON_VALUES | st.fixed_dictionaries({"n": JSON_VALUES, "k": JSON_VALUES}), max_size=6))
def test_reading_only_the_fields_finds_what_reading_everything_does(messages: list[object]) -> None:
    """A path that may lead into an array is not read by a decoder of the fields alone."""
    plain = SequenceTracker("n", key="k").track([json.dumps(message).encode() for message in messages])
    renamed = [
        {{"n": "1", "k": "2"}.get(name, name): value for name, value in message.items()}
        if isinstance(message, dict)
        else None
        for message in messages
    ]
    untyped = SequenceTracker("1", key="2").track([json.dumps(message).encode() for message in renamed])
    assert problems_of(plain) == problems_of(untyped)


@given(st.lists(st.binary(max_size=12), max_size=4))
def test_no_bytes_make_it_raise(payloads: list[bytes]) -> None:
    for tracker in (SequenceTracker("n"), SequenceTracker("0.n", key="k")):
        tracker.track([*numbers(1), *payloads, b'{"n":' + b"[" * 100_000, b'{"n":"\\ud800"}', *numbers(2)])
        assert problems_of(tracker.track(numbers(3))) == ([], 0, 0)
