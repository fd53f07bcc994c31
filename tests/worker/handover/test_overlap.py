"""What two connections have in common."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.core.frames import Kind
from scaleout.core.splice import Outcome
from scaleout.worker.handover.overlap import DISTINCT, ENOUGH, Overlap
from scaleout.worker.handover.shadow import Tail


class Two:
    """An overlap, and what it has dropped."""

    def __init__(self, old: Sequence[object], following: Sequence[object]) -> None:
        self.dropped: list[bytes] = []
        self.tail = Tail()
        self.tail.add(payloads(old), 0.0)
        self.overlap = Overlap(self.tail, self.dropped.extend)
        self.overlap.shadow.add(payloads(following), Kind.TEXT, 1, 0.0)

    @property
    def left(self) -> list[bytes]:
        return [payload for payload, _, _ in self.overlap.shadow.messages]


def payloads(names: Sequence[object]) -> list[bytes]:
    return [str(name).encode() for name in names]


def test_what_was_delivered_is_dropped() -> None:
    two = Two(range(40), range(20, 60))
    two.overlap.drop_delivered()
    assert two.overlap.is_known
    assert two.dropped == payloads(range(20, 40))
    assert two.left == payloads(range(40, 60))


def test_a_connection_that_is_behind_brings_nothing_that_is_not_delivered() -> None:
    two = Two(range(60), range(20, 40))
    found = two.overlap.align(ENOUGH)
    assert two.overlap.is_behind(found, ENOUGH)
    two.overlap.drop_delivered()
    assert not two.left
    assert two.overlap.is_known


def test_too_little_in_common_says_nothing() -> None:
    two = Two(range(40), range(40 - ENOUGH + 1, 60))
    assert not two.overlap.is_behind(two.overlap.align(ENOUGH), ENOUGH)
    two.overlap.drop_delivered()
    assert not two.dropped
    assert not two.overlap.is_known


def test_look_alikes_are_no_evidence() -> None:
    few = [0, 1, 2] * 10
    assert len(set(few)) < DISTINCT
    two = Two(["a", *few], [*few, "b"])
    assert two.overlap.align(ENOUGH).outcome is Outcome.AMBIGUOUS


def test_streams_that_are_mixed_differently_are_reconciled() -> None:
    both = list(range(40))
    two = Two(["greeting 1", *both, "old alone"], ["greeting 2", *reversed(both), "next alone"])
    assert two.overlap.reconcile(ENOUGH)
    assert two.overlap.is_mixed
    assert two.overlap.align(ENOUGH).outcome is Outcome.AMBIGUOUS
    assert sorted(two.dropped) == sorted(payloads(["greeting 2", *both]))
    assert two.left == [b"next alone"]
    assert len(two.tail) == 1


def test_what_has_nothing_in_common_is_not_reconciled() -> None:
    two = Two(range(40), range(100, 140))
    assert not two.overlap.reconcile(1)
    assert len(two.left) == 40


def test_single_copies_are_dropped_whatever_that_says() -> None:
    two = Two(range(40), [39, 100, 7])
    two.overlap.drop_copies()
    assert two.dropped == [b"39", b"7"]
    assert two.left == [b"100"]
    assert not two.overlap.is_known


def test_what_is_old_leaves() -> None:
    two = Two(range(5), range(100, 103))
    two.overlap.shadow.add([b"later"], Kind.TEXT, 2, 5.0)
    two.overlap.forget_older(5.0)
    assert two.left == [b"later"]
    assert len(two.tail) == 5
    two.overlap.is_mixed = True
    two.overlap.forget_older(5.0)
    assert len(two.tail) == 0
