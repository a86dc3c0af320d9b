"""Figures on who is harmed: the posterior probability of harm of each patient against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.figures.cate import DIRECTION
from hte_utils.figures.style import BLACK, BLUE, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from hte_utils.monte_carlo import FloatArray

_CLASSES = np.linspace(0.0, 1.0, 21)


def probability_of_harm(probabilities: Mapping[str, FloatArray], true_difference: FloatArray) -> Figure:
    """Distribution over patients of P(harm), divided by what treatment truly does to them, and effects against it.

    `probabilities`: By model: each patient's posterior probability that treatment raises the risk, shape (patients,).
    `true_difference`: True risk differences (probabilities), shape (patients,).
    """
    harmed = true_difference > 0
    with canvas(len(probabilities), 2, height=5.4, sharex=True, sharey=False) as drawn:
        for column, (name, probability) in enumerate(probabilities.items()):
            above, below = drawn.axes[column], drawn.axes[column + len(probabilities)]
            above.hist(
                [probability[~harmed], probability[harmed]],
                bins=_CLASSES.tolist(),
                stacked=True,
                color=[BLUE, VERMILION],
                edgecolor="white",
                linewidth=0.4,
                hatch=["", "///"],
                label=["treatment truly lowers the risk", "treatment truly raises the risk"],
            )
            above.set_title(name)
            for here, colour, marker in ((~harmed, BLUE, "o"), (harmed, VERMILION, "^")):
                below.plot(
                    probability[here], 100 * true_difference[here], marker, color=colour, markersize=2, alpha=0.4
                )
            below.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            below.set(xlabel="Posterior probability of harm", xlim=(0, 1))
        drawn.axes[0].set(ylabel="Patients")
        drawn.axes[len(probabilities)].set(ylabel=f"True risk difference (points)\n{DIRECTION}")
        drawn.figure.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure
