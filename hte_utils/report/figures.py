"""Pictures of a report: inline SVG for its page, and a figure for the book.

The page's are drawn by hand, so that no label is ever parsed: matplotlib would read ``$`` in a reader's label as
mathematics, and turn letters into outlines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hte_utils.style import BLUE, GREY, VERMILION, canvas, dots_with_intervals

_WIDTH, _HEIGHT = 260, 22


def hundred_patients(percent: float, colour: str, label: str) -> str:
    """A hundred circles, of which as many are filled as have the event."""
    filled = round(percent)
    circles = [
        f'<circle cx="{7 + 13 * (place % 10)}" cy="{7 + 13 * (place // 10)}" r="5" '
        + (f'fill="{colour}"/>' if place < filled else 'fill="none" stroke="#b5b5b5"/>')
        for place in range(100)
    ]
    words = escape(f"{label}: {filled} of 100", quote=True)
    return f'<svg class="icons" viewBox="0 0 131 131" role="img" aria-label="{words}">{"".join(circles)}</svg>'


def arm_pictures(control: float, treated: float, labels: tuple[str, str]) -> str:
    """A hundred patients under each treatment, side by side; event rates are probabilities."""
    parts = []
    for rate, colour, label in zip((control, treated), (BLUE, VERMILION), labels, strict=True):
        picture = hundred_patients(100.0 * rate, colour, label)
        parts.append(f"<figure>{picture}<figcaption>{escape(label)}<br><b>{100 * rate:.1f} %</b></figcaption></figure>")
    return f'<div class="arms">{"".join(parts)}</div>'


class Scale:
    """A common horizontal scale of intervals, in the unit that is shown; 0 (or `nothing`) is always on it."""

    def __init__(self, values: Sequence[float], nothing: float = 0.0) -> None:
        known = [value for value in values if math.isfinite(value)] or [nothing]
        low, high = min(*known, nothing), max(*known, nothing)
        margin = 0.06 * (high - low) or 1.0
        self.low, self.high, self.nothing = low - margin, high + margin, nothing

    def at(self, value: float) -> float:
        """Horizontal place of a value."""
        return 4 + (_WIDTH - 8) * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """At most six round numbers."""
        raw = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * each for each in (1, 2, 5, 10) if unit * each >= raw)
        first = math.ceil(self.low / step)
        return [step * number for number in range(first, math.floor(self.high / step) + 1)]

    def axis(self) -> str:
        """The row below the intervals."""
        marks = [
            f'<text x="{self.at(tick):.1f}" y="14" text-anchor="middle">{tick:g}</text>'.replace(">-", ">−")
            for tick in np.round(self.ticks(), 9)
        ]
        return f'<svg class="interval" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">{"".join(marks)}</svg>'

    def interval(self, *rows: tuple[float, float, float, str]) -> str:
        """Estimates with intervals (estimate, lower, upper, colour) above each other, and the line of no effect."""
        zero = self.at(self.nothing)
        drawn = [
            f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{_HEIGHT}" stroke="{GREY}" stroke-dasharray="2 2"/>'
        ]
        for place, (estimate, lower, upper, colour) in enumerate(rows):
            if not math.isfinite(estimate):
                continue
            y = _HEIGHT * (place + 1) / (len(rows) + 1)
            drawn.append(
                f'<line x1="{self.at(lower):.1f}" x2="{self.at(upper):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{colour}" stroke-width="2"/>'
                f'<circle cx="{self.at(estimate):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
            )
        return f'<svg class="interval" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">{"".join(drawn)}</svg>'


def effects_by_risk(quintiles: pd.DataFrame, average: float) -> Figure:
    """Risk differences (points) of the risk groups over their predicted risk, and the average effect as a line."""
    risk, *interval = (100.0 * quintiles[name].to_numpy() for name in ("risk", "estimate", "lower", "upper"))
    with canvas(width=6.4, height=3.4) as drawn:
        axis = drawn.axis
        axis.axhline(0.0, color=GREY, linewidth=0.8)
        axis.axhline(100.0 * average, color=BLUE, linewidth=1.0, linestyle="--", label="average effect")
        dots_with_intervals(axis, risk, interval, {"color": BLUE, "label": "fifth of cross-fitted risk"})
        axis.set_xlabel("mean predicted risk without treatment (%)")
        axis.set_ylabel("Risk difference (percentage points)\n← fewer events | more events →")
        axis.legend(loc="best")
    return drawn.figure
