"""Charts, as far as a program can see them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.plots import Bar, chart

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar("ours & others", 100.0, 80.0, 120.0, "100", is_ours=True),
    Bar("peer", 50.0, 50.0, 50.0, "50  (2 x)"),
]


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(chart("a <title>", "unit", BARS))
    paper, *bars = [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect")]
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.2)
    assert max(bars) < paper


def test_what_is_written_is_escaped_and_all_there() -> None:
    texts = [
        each.text for each in ElementTree.fromstring(chart("a <title>", "unit", BARS)).iter(f"{SVG}text")
    ]
    assert {"a <title>", "unit", "ours & others", "peer", "100", "50  (2 x)"} <= set(texts)
    assert {"0", "25", "50", "75", "100", "125"} <= set(texts)


@pytest.mark.parametrize("value", [0.0, 0.003, 1.0, 7_654_321.0])
def test_any_scale_does(value: float) -> None:
    ElementTree.fromstring(chart("", "", [Bar("", value, value, value, "")], mark=1.0))
