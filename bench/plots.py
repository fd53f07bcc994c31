"""Bar charts as SVG, drawn by hand: medians as bars, the extremes as a line over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log10

from msgspec import Struct

WIDTH = 860
LABELS, VALUES = 330, 90
"""Widths of what is to the left and to the right of the bars."""
BAR, GAP = 22, 12
TOP, BOTTOM = 64, 42
OURS, OTHERS, INK, FAINT, PAPER = "#0f766e", "#a8b3c2", "#1f2933", "#e4e8ee", "#ffffff"
SPREAD = "#52606d"
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


class Bar(Struct, frozen=True):
    """One bar, in the chart's unit."""

    label: str
    value: float
    smallest: float
    largest: float
    text: str
    """What is written beside it."""
    is_ours: bool = False


def chart(title: str, unit: str, bars: Sequence[Bar], mark: float | None = None) -> str:
    """Horizontal bars from zero on.

    Args:
        title: what it shows.
        unit: of the axis.
        bars: from top to bottom.
        mark: where to draw a line across all bars.
    """
    step, end = _scale(max([bar.largest for bar in bars] + [mark or 0.0]))
    across = WIDTH - LABELS - VALUES
    height = TOP + len(bars) * (BAR + GAP) + BOTTOM

    def x(value: float) -> float:
        return LABELS + across * value / end

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{escape(title, quote=True)}' {FONT}>",
        f"<rect width='{WIDTH}' height='{height}' rx='8' fill='{PAPER}'/>",
        _text(20, 30, title, size=15, weight=600),
        _text(20, 49, unit, size=12, fill=SPREAD),
    ]
    for number in range(round(end / step) + 1):
        value = number * step
        parts.append(_line(x(value), TOP - 4, x(value), height - BOTTOM + 4, FAINT))
        parts.append(
            _text(x(value), height - BOTTOM + 20, _number(value), size=11, fill=SPREAD, anchor="middle")
        )
    for place, bar in enumerate(bars):
        parts += _bar(bar, TOP + place * (BAR + GAP) + GAP / 2, x)
    if mark is not None:
        parts.append(_line(x(mark), TOP - 4, x(mark), height - BOTTOM + 4, INK, dashes="4 3"))
    return "\n".join([*parts, "</svg>", ""])


def _bar(bar: Bar, y: float, x: Callable[[float], float]) -> list[str]:
    middle = y + BAR / 2
    weight = 600 if bar.is_ours else 400
    return [
        _text(LABELS - 12, middle + 4, bar.label, size=12, anchor="end", weight=weight),
        f"<rect x='{x(0):.1f}' y='{y:.1f}' width='{max(1.0, x(bar.value) - x(0)):.1f}' height='{BAR}' rx='3' "
        f"fill='{OURS if bar.is_ours else OTHERS}'/>",
        _line(x(bar.smallest), middle, x(bar.largest), middle, SPREAD, width=1.5),
        *(
            _line(x(end), middle - 4, x(end), middle + 4, SPREAD, width=1.5)
            for end in (bar.smallest, bar.largest)
        ),
        _text(x(max(bar.value, bar.largest)) + 8, middle + 4, bar.text, size=12, weight=weight),
    ]


def _text(
    x: float, y: float, text: str, *, size: int, fill: str = INK, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' fill='{fill}' "
        f"text-anchor='{anchor}'>{escape(text)}</text>"
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, stroke: str, *, width: float = 1, dashes: str = ""
) -> str:
    dashed = f" stroke-dasharray='{dashes}'" if dashes else ""
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{stroke}' "
        f"stroke-width='{width}'{dashed}/>"
    )


def _scale(largest: float) -> tuple[float, float]:
    """The step of the axis, of some five, and its end."""
    if largest <= 0:
        return 1.0, 1.0
    rough = largest / 5
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return step, step * ceil(largest / step)


def _number(value: float) -> str:
    return f"{value:,.10g}"
