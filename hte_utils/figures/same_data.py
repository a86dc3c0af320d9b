"""Figures on risk groups that were found with the outcomes they are then used to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from hte_utils.averages.ridge_risk import RiskModel
from hte_utils.averages.same_data import Ranking
from hte_utils.figures.style import BLACK, BLUE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_RANKINGS = {
    Ranking.SAME_DATA: (VERMILION, "o", -0.13, "ranked with the same data"),
    Ranking.CROSS_FITTED: (BLUE, "s", 0.13, "ranked out of fold"),
}
_TWO_SIDED = 1.96


def stratification_errors(summary: pd.DataFrame) -> Figure:
    """Bias of the observed risk difference by quintile, risk model and ranking, in percentage points."""
    models = [RiskModel[name] for name in summary.index.unique("model")]
    with canvas(len(models), width=8.2, height=3.6, sharey=True) as drawn:
        for axis, model in zip(drawn.axes, models, strict=True):
            axis.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            for ranking, (colour, marker, shift, label) in _RANKINGS.items():
                table = cast("pd.DataFrame", summary.loc[(model.name, ranking.name)])
                place = np.arange(len(table))
                centre, reach = 100 * table["stratification"], 100 * _TWO_SIDED * table["stratification_mcse"]
                style = {"fmt": marker, "color": colour, "label": label}
                dots_with_intervals(axis, place + shift, (centre, centre - reach, centre + reach), style)
                axis.set_xticks(place, table.index)
            axis.set_title(model.value.replace(", ", ",\n").replace(" (", "\n("))
            axis.set(xlabel="Quintile of predicted baseline risk")
        drawn.axis.set(ylabel="Observed minus expected risk\ndifference (percentage points)")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure
