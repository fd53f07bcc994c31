"""Faults are decided by the knobs and the seed alone."""

from __future__ import annotations

import random

import msgspec
import pytest

from scaleout.simulator.faults import End, Fate, Faults, Pending, StreamFaults, fates, is_refused


def test_by_default_nothing_goes_wrong() -> None:
    assert fates(Faults(), 0, random.Random(1)) == []
    assert not is_refused(Faults(), 0, random.Random(1))
    assert not Faults().of_stream


def test_each_knob_brings_its_fate() -> None:
    faults = Faults(
        disconnect_after=10,
        disconnect_every_s=2.5,
        disconnect="reset",
        invalid_utf8_after=3,
        oversized_after=4,
        silence_after=5,
        silence_after_s=6.5,
    )
    assert fates(faults, 0, random.Random(1)) == [
        Fate(End.RESET, after_messages=10),
        Fate(End.RESET, after_s=2.5),
        Fate(End.INVALID_UTF8, after_messages=3),
        Fate(End.OVERSIZED, after_messages=4),
        Fate(End.SILENCE, after_messages=5),
        Fate(End.SILENCE, after_s=6.5),
    ]


def test_fates_befall_a_connection_once_each() -> None:
    close, mute, reset = Fate(End.CLOSE, 10), Fate(End.SILENCE, 4), Fate(End.RESET, after_s=2.0)
    pending = Pending([close, mute, reset])
    assert pending.next_after_messages == 4
    assert (pending.take_at(3), pending.take_at(4), pending.take_at(4)) == ([], [mute], [])
    assert pending.next_after_messages == 10
    assert (pending.take_until(1.9), pending.take_until(2.0), pending.take_until(9.0)) == ([], [reset], [])
    assert pending.take_at(10) == [close]
    assert Pending([reset]).next_after_messages is None


def test_only_the_first_connections_suffer_where_wanted() -> None:
    faults = Faults(disconnect_after=10, first_connections=2)
    suffered = [bool(fates(faults, connection, random.Random(1))) for connection in range(4)]
    assert suffered == [True, True, False, False]


def test_jitter_spreads_disconnects_around_their_limit() -> None:
    faults = Faults(disconnect_every_s=10.0, disconnect_jitter=0.5)
    times = [fates(faults, 0, random.Random(seed))[0].after_s for seed in range(200)]
    assert all(time is not None and 5.0 <= time <= 15.0 for time in times)
    assert len(set(times)) == 200


def test_either_draws_both_ways_of_disconnecting() -> None:
    faults = Faults(disconnect_after=1, disconnect="either")
    assert {fates(faults, 0, random.Random(seed))[0].end for seed in range(20)} == {End.CLOSE, End.RESET}


def test_handshakes_are_refused_first_and_then_at_random() -> None:
    faults = Faults(refuse_first=2, refuse_share=0.25)
    refused = [is_refused(faults, attempt, random.Random(f"{attempt}")) for attempt in range(2000)]
    assert refused[:2] == [True, True]
    assert 0.2 < sum(refused) / len(refused) < 0.3


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
