"""What befalls messages is decided by the knobs, the seed and their numbers alone."""

from __future__ import annotations

import msgspec
import pytest

from scaleout.simulator.faults import Faults, StreamFaults, numbers_sent


def test_garbage_and_pings_come_after_every_nth_message() -> None:
    faults = StreamFaults(Faults(garbage_every=3, ping_every=4), seed=1, stream=0)
    assert [n for n in range(12) if faults.has_garbage_after(n)] == [2, 5, 8, 11]
    assert [n for n in range(12) if faults.has_ping(n)] == [3, 7, 11]


def test_every_nth_message_is_cut_in_two_to_four_pieces() -> None:
    faults = StreamFaults(Faults(fragment_every=5), seed=1, stream=0)
    pieces = [faults.pieces(n) for n in range(100)]
    assert [n for n, count in enumerate(pieces) if count > 1] == list(range(4, 100, 5))
    assert set(pieces) == {1, 2, 3, 4}


def test_random_garbage_depends_on_seed_stream_and_number_alone() -> None:
    def places(seed: int, stream: int, order: list[int]) -> set[int]:
        faults = StreamFaults(Faults(garbage_share=0.05), seed, stream)
        return {n for n in order if faults.has_garbage_after(n)}

    forth, back = list(range(5000)), list(range(4999, -1, -1))
    assert places(1, 0, forth) == places(1, 0, back)
    assert places(1, 0, forth) != places(2, 0, forth)
    assert places(1, 0, forth) != places(1, 1, forth)
    assert 0.035 < len(places(1, 0, forth)) / 5000 < 0.065


def test_garbage_is_text_but_not_json_and_never_repeated() -> None:
    faults = StreamFaults(Faults(garbage_every=1), seed=1, stream=0)
    garbage = [faults.garbage(n) for n in range(100)]
    assert len(set(garbage)) == 100
    for message in garbage:
        message.decode("utf-8")
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(message)


def test_messages_are_left_out_repeated_and_followed_by_earlier_ones() -> None:
    assert numbers_sent(Faults(skip_every=3), 0, 8) == [0, 1, 3, 4, 6, 7]
    assert numbers_sent(Faults(repeat_every=3), 0, 5) == [0, 1, 2, 2, 3, 4, 5, 5]
    assert numbers_sent(Faults(step_back_every=3), 0, 6) == [0, 1, 2, 3, 4, 5, 2, 6]
    assert numbers_sent(Faults(skip_every=4, repeat_every=2), 10, 13) == [10, 12, 13, 13]
    assert numbers_sent(Faults(skip_every=3), None, None) == []


def test_what_befalls_messages_is_known_to_be_of_the_stream() -> None:
    assert not Faults(disconnect_after=3, refuse_first=1).of_stream
    for knob in ("garbage_every", "garbage_share", "fragment_every", "ping_every"):
        assert msgspec.structs.replace(Faults(), **{knob: 1}).of_stream
    for knob in ("skip_every", "repeat_every", "step_back_every"):
        assert msgspec.structs.replace(Faults(), **{knob: 2}).of_stream
