"""Suggestions for unknown words."""

from __future__ import annotations

from scaleout.hints import did_you_mean


def test_the_nearest_word_is_suggested() -> None:
    assert did_you_mean("wrokers", ("sink", "workers", "work")) == "; did you mean workers?"


def test_a_suggestion_is_written_as_asked() -> None:
    assert did_you_mean("on_trad", iter(["on_trade"]), repr) == "; did you mean 'on_trade'?"


def test_nothing_near_is_no_suggestion() -> None:
    assert did_you_mean("x", ("sink", "workers")) == ""
