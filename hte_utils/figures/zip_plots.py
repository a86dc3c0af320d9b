"""Zip plots: every interval of a study, sorted by how far its estimate is from the truth.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102, figure 7.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Final

import numpy as np

from hte_utils.figures.style import BLACK, SKY, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from hte_utils.study.zip_intervals import ZipPlot

_NOMINAL: Final = 95.0
_SHOWN_INTERVALS: Final = 300


def zip_plots(plots: Mapping[str, ZipPlot], reaches: Sequence[float], xlabel: str) -> Figure:
    """Draw zip plots in panels.

    Parameters
    ----------
    plots
        By the panel's title, row by row. Of many trials every k-th in order is drawn; coverage is of all.
    reaches
        For each column of panels: errors up to so many percentage points are drawn, in both directions.
    """
    columns = len(reaches)
    rows = -(-len(plots) // columns)
    with canvas(columns, rows, width=9.2, height=2.7 * rows + 0.3, sharex="col", sharey=True) as drawn:
        for axis, (title, plot), reach in zip(drawn.axes, plots.items(), cycle(reaches), strict=False):
            step = max(1, plot.centile.size // _SHOWN_INTERVALS)
            some = np.arange(0, plot.centile.size, step)
            for covers, colour in ((True, SKY), (False, VERMILION)):
                rows_here = some[plot.covers[some] == covers]
                label = "holds the truth" if covers else "misses it"
                axis.hlines(
                    plot.centile[rows_here],
                    plot.lower[rows_here].clip(-reach, reach),
                    plot.upper[rows_here].clip(-reach, reach),
                    color=colour,
                    linewidth=0.7,
                    label=label,
                )
            axis.axvline(0.0, color=BLACK, linewidth=0.8)
            axis.axhline(_NOMINAL, color=BLACK, linewidth=0.8, linestyle=":")
            axis.set_title(f"{title}\n{plot.coverage:.1f} % ± {plot.mcse:.1f}", fontsize=8)
            axis.set(xlim=(-reach, reach), ylim=(0, 100))
        for axis in drawn.axes[len(plots) :]:
            axis.set_visible(False)
        drawn.figure.supxlabel(xlabel, fontsize=9)
        drawn.figure.supylabel("Centile of the distance from the truth", fontsize=9)
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return drawn.figure
