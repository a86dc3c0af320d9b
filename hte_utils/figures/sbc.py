"""Figure of simulation-based calibration: differences of empirical distribution functions, with their envelope.

The plot and its simultaneous envelope are those of Säilynoja, Bürkner & Vehtari (2022); the envelope is ArviZ's.
"""

from __future__ import annotations

from importlib import import_module
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from hte_utils.figures.style import BLUE, GREY, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.bayesian_checks.sbc import Calibration
    from hte_utils.trial_checks import FloatArray

_SIMULATIONS, _SEED = 1000, 214
_GRID = 201
_TITLE_WIDTH, _LABEL_WIDTH, _LEAST_REACH = 28, 30, 0.12
_LINES = ("-", "--", "-.", ":")


def ecdf_differences(
    calibrations: Mapping[str, Calibration], faults: Mapping[str, Sequence[str]], *, probability: float = 0.95
) -> Figure:
    """ECDF of the PIT values minus the uniform one, for every quantity, in one panel a calibration.

    `calibrations`: By label; all with the same number of trials.
    `faults`: By the same labels: quantities to be drawn thick and named, since a fault was built into them.
    `probability`: With which a uniform sample stays inside the envelope everywhere.
    """
    trials = next(iter(calibrations.values())).ranks.sizes["trial"]
    points, lower, upper = _envelope(trials, probability)
    with canvas(len(calibrations), height=3.8, width=8.6) as drawn:
        for axis, (label, calibration) in zip(drawn.axes, calibrations.items(), strict=True):
            axis.fill_between(points, lower - points, upper - points, color=GREY, alpha=0.3, linewidth=0)
            axis.axhline(0, color="black", linewidth=0.6)
            _curves(axis, calibration, faults[label])
            axis.set_title(fill(label, _TITLE_WIDTH))
            axis.set(xlabel="PIT value of the truth")
        drawn.axis.set(ylabel="ECDF − uniform")
    return drawn.figure


def _curves(axis: Axes, calibration: Calibration, faulty: Sequence[str]) -> None:
    pit = calibration.pit()
    for name in pit.data_vars:
        values = np.sort(pit[name].to_numpy())
        grid = np.linspace(0.0, 1.0, _GRID)
        difference = np.searchsorted(values, grid, side="right") / values.size - grid
        if name in faulty:
            line = _LINES[list(faulty).index(str(name)) % len(_LINES)]
            axis.plot(
                grid, difference, color=VERMILION, linestyle=line, linewidth=1.6, label=fill(str(name), _LABEL_WIDTH)
            )
        else:
            axis.plot(grid, difference, color=BLUE, linewidth=0.6, alpha=0.7)
    if faulty:
        axis.legend(loc="upper right", fontsize=7)
    low, high = axis.get_ylim()
    # No panel magnifies what is inside the envelope; the legend gets room above the curves.
    axis.set_ylim(min(low, -_LEAST_REACH), 1.35 * max(high, _LEAST_REACH))


def _envelope(trials: int, probability: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    ecdf_utils: Any = import_module("arviz_stats.ecdf_utils")  # imported when used: it takes seconds
    uniform = np.arange(1, trials + 1) / trials
    rng = np.random.default_rng(_SEED)
    points, _, lower, upper = ecdf_utils.ecdf_pit(uniform, probability, _SIMULATIONS, rng=rng)
    return points, lower, upper
