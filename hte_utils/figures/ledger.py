"""The figure of the front page: verdicts by table of the paper."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hte_utils.figures.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, canvas
from hte_utils.ledger.entries import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from hte_utils.ledger.entries import LedgerEntry

VERDICT_FILL = {
    Verdict.REPRODUCED: (BLUE, ""),
    Verdict.WITHIN_ERROR: (SKY, ".."),
    Verdict.CONSISTENT: (GREEN, "\\\\"),
    Verdict.ONLY_WITH_ERROR: (ORANGE, "//"),
    Verdict.CONTRADICTED: (VERMILION, "xx"),
    Verdict.NOT_CHECKABLE: (GREY, ""),
    Verdict.NO_VALUE: (GREY, "oo"),
}
"""Colour and hatching of each verdict, so that it can be told without colour."""


def verdicts_by_item(entries: Iterable[LedgerEntry]) -> Figure:
    """Draw one bar per table of the paper, divided by verdict."""
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        counts.setdefault(entry.item, Counter())[entry.verdict] += 1
    with canvas(height=2.9) as drawn:
        for item, verdicts in counts.items():
            start = 0
            for verdict, (colour, hatch) in VERDICT_FILL.items():
                width = verdicts[str(verdict)]
                if width:
                    drawn.axis.barh(
                        item, width, left=start, color=colour, hatch=hatch, edgecolor="white", label=str(verdict)
                    )
                start += width
        drawn.axis.invert_yaxis()
        drawn.axis.set(xlabel="Printed numbers")
        handles = dict(zip(*reversed(drawn.axis.get_legend_handles_labels()), strict=True))
        drawn.axis.legend(handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.figure
