from __future__ import annotations

import pytest

from scaleout.worker.rounds import MOST, Rounds


@pytest.mark.parametrize("beats", [1, 3, MOST])
def test_each_endpoint_has_its_turn_once_in_so_many_heartbeats(beats: int) -> None:
    rounds = Rounds(0.5)
    turns = dict.fromkeys(range(2 * beats), 0)
    per_beat = []
    for _ in range(beats):
        rounds.beat(0.0)
        due = rounds.due(dict.fromkeys(turns, beats))
        per_beat.append(len(due))
        for slot in due:
            turns[slot] += 1
    assert set(turns.values()) == {1}
    assert set(per_beat) == {2}


@pytest.mark.parametrize(
    ("time_s", "beats"),
    [(0.0, 1), (0.4, 1), (0.5, 1), (1.4, 2), (5.0, 10), (1e9, MOST), (float("inf"), MOST)],
)
def test_looks_are_never_further_apart_than_asked(time_s: float, beats: int) -> None:
    assert Rounds(0.5).beats_in(min(time_s, 1e12)) == beats


def test_the_lag_is_the_worst_since_the_look_before() -> None:
    rounds = Rounds(0.5)
    for lag_s in (9.0, 0.1, 2.0, 0.3):
        rounds.beat(lag_s)
    assert [rounds.lag_s(beats) for beats in (1, 2, 3, 4, 10)] == [0.3, 2.0, 2.0, 9.0, 9.0]
