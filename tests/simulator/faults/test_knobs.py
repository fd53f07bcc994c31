"""Knobs that can't be are said; some hold for one endpoint alone."""

from __future__ import annotations

import pytest

from scaleout.simulator.faults import Faults


def test_by_default_nothing_is_wrong() -> None:
    assert Faults().problems() == []
    assert not Faults().of_stream


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("disconnect_after", -1),
        ("handshake_delay_s", -0.5),
        ("retry_after_s", -1),
        ("garbage_share", 1.5),
        ("disconnect_jitter", 2.0),
        ("disconnect_code", 1005),
        ("disconnect_code", 5000),
        ("goodbye_before_s", 1.0),
        ("skip_every", 1),
        ("fragment_bytes", 0),
        ("oversized_bytes", 3),
    ],
)
def test_a_knob_that_cannot_be_is_said(name: str, value: float) -> None:
    assert [key for key, _ in Faults(**{name: value}).problems()] == [name]  # type: ignore[arg-type]


def test_faults_may_be_of_one_endpoint_alone() -> None:
    faults = Faults(only_endpoint=2, skip_every=5, certificate="expired")
    assert faults.at_endpoint(2) is faults
    assert faults.at_endpoint(1) == faults.at_endpoint(None) == Faults(certificate="expired")
    assert Faults(skip_every=5).at_endpoint(None) == Faults(skip_every=5)
