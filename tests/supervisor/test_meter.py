"""Rates between looks at the counts."""

from __future__ import annotations

from scaleout.supervisor.meter import WINDOW, Meter


def test_a_rate_takes_two_looks() -> None:
    meter = Meter()
    assert meter.rate(0) == 0.0
    meter.look(10.0, {0: 100})
    assert meter.rate(0) == 0.0
    meter.look(12.0, {0: 150, 1: 8})
    assert (meter.rate(0), meter.rate(1), meter.rate(2)) == (25.0, 4.0, 0.0)


def test_what_is_long_ago_does_not_count() -> None:
    meter = Meter()
    for second in range(20):
        meter.look(float(second), {0: 1_000 if second else 0})
    assert meter.rate(0) == 0.0
    for second in range(20, 20 + WINDOW):
        meter.look(float(second), {0: 1_000 + 10 * (second - 19)})
    assert meter.rate(0) == 10.0


def test_two_looks_at_one_time() -> None:
    meter = Meter()
    meter.look(1.0, {0: 1})
    meter.look(1.0, {0: 2})
    assert meter.rate(0) == 0.0
