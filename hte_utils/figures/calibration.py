"""Figures on calibration: predicted against observed and true risks and effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.figures.cate import DIRECTION
from hte_utils.figures.style import BLUE, GREY, ORANGE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.calibration.effect_calibration import TrueEffectCalibration
    from hte_utils.calibration.risk_calibration import RiskCalibration, TrueRiskCalibration
    from hte_utils.monte_carlo import FloatArray

_POINTS = 100.0


def risk_curves(found: Mapping[str, RiskCalibration], true: Mapping[str, TrueRiskCalibration]) -> Figure:
    """Smooth calibration curves of the predicted risk, one panel a prediction.

    `found`: From the trial's outcomes (drawn with its 95 % band), by prediction.
    `true`: What the curve is among new patients whose risks are known, by prediction.
    """
    with canvas(2, (len(found) + 1) // 2, height=5.4) as drawn:
        for axis, (label, calibration) in zip(drawn.axes, found.items(), strict=False):
            curve, known = _POINTS * calibration.curve, _POINTS * true[label].curve
            _diagonal(axis, curve["predicted"], curve["observed"])
            axis.fill_between(curve["predicted"], curve["lower"], curve["upper"], color=BLUE, alpha=0.2, linewidth=0)
            axis.plot(curve["predicted"], curve["observed"], color=BLUE, label="observed in the trial, 95 % band")
            axis.plot(known["predicted"], known["observed"], color=VERMILION, linestyle="--", label="true")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk of a bleed (%)", ylabel="Risk of a bleed (%)", ylim=(0, None))
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def effects_by_group(found: Mapping[str, pd.DataFrame], true: Mapping[str, FloatArray]) -> Figure:
    """Risk difference in groups of patients with similar predictions: observed with its interval, and true.

    `true`: Mean true risk difference in the same groups, shape (groups,), by prediction.
    """
    with canvas(len(found), height=3.4, width=9.2, sharey=True) as drawn:
        for axis, (label, table) in zip(drawn.axes, found.items(), strict=True):
            table = _POINTS * table[["predicted", "observed", "lower", "upper"]]
            _diagonal(axis, table["predicted"], table["predicted"])
            columns = [table[name] for name in ("observed", "lower", "upper")]
            dots_with_intervals(axis, table["predicted"], columns, {"color": BLUE, "label": "observed, 95 % interval"})
            axis.plot(table["predicted"], _POINTS * true[label], "D", color=VERMILION, markersize=5, label="true")
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk difference (points)")
        drawn.axis.set(ylabel=f"Risk difference (points)\n{DIRECTION}")
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def effects_against_truth(
    predicted: Mapping[str, FloatArray], true: FloatArray, found: Mapping[str, TrueEffectCalibration]
) -> Figure:
    """True against predicted risk differences of single patients, with the smooth curve.

    `predicted`: Predicted risk differences (probabilities) of new patients, by prediction.
    `true`: Their true risk differences.
    `found`: Calibration against the truth, by prediction.
    """
    some = slice(None, None, max(1, true.size // 1500))  # more dots would only cover each other
    with canvas(len(predicted), height=3.2, width=9.2, sharey=True) as drawn:
        for axis, (label, values) in zip(drawn.axes, predicted.items(), strict=True):
            axis.plot(_POINTS * values[some], _POINTS * true[some], ".", color=GREY, markersize=2, alpha=0.5)
            curve = _POINTS * found[label].curve
            _diagonal(axis, curve["predicted"], curve["predicted"])
            axis.plot(curve["predicted"], curve["true"], color=ORANGE, linewidth=2, label="mean true effect")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk difference (points)")
        drawn.axis.set(ylabel=f"True risk difference (points)\n{DIRECTION}")
        drawn.axis.set_ylim(*(_POINTS * np.quantile(true, (0.001, 0.999))))
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def _diagonal(axis: Axes, *values: pd.Series) -> None:
    ends = [min(each.min() for each in values), max(each.max() for each in values)]
    axis.plot(ends, ends, color="black", linewidth=0.8, linestyle=":")
