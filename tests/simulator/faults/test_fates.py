"""What befalls a connection is decided by the knobs and the seed alone."""

from __future__ import annotations

import random

from scaleout.simulator.faults import End, Fate, Faults, Pending, fates


def test_by_default_nothing_goes_wrong() -> None:
    assert fates(Faults(), 0, random.Random(1)) == []


def test_each_knob_brings_its_fate() -> None:
    faults = Faults(
        disconnect_after=10,
        disconnect_every_s=2.5,
        disconnect="reset",
        invalid_utf8_after=3,
        oversized_after=4,
        silence_after=5,
        silence_after_s=6.5,
        close_at_once=True,
        goodbye_before_s=0.5,
        bad_frame="masked",
        bad_frame_after=7,
    )
    assert fates(faults, 0, random.Random(1)) == [
        Fate(End.RESET, after_s=0.0),
        Fate(End.RESET, after_messages=10),
        Fate(End.GOODBYE, after_s=2.0),
        Fate(End.RESET, after_s=2.5),
        Fate(End.INVALID_UTF8, after_messages=3),
        Fate(End.OVERSIZED, after_messages=4),
        Fate(End.BAD_FRAME, after_messages=7),
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
