"""Average and group effects laid out for a page: absolute beside relative, events beside effects, truth beside both.

What CONSORT 2025 (item 26) and the PATH statement (Kent et al. 2020) ask for. Risk differences are shown in percentage
points; positive ones, log odds ratios above 0 and risk ratios above 1 mean more bleeding: **harm**.

The number needed to harm (NNH) or to benefit (NNB) is the reciprocal of a risk difference. When the interval of the
difference contains 0, the reciprocals of its ends do not enclose anything: the number needed runs from a harm through
infinity to a benefit, and is written so (Altman DG, 1998. Confidence intervals for the number needed to treat. BMJ
317:1309-1312).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.averages import Measure, effect_measures
from hte_utils.ledger.entries import Reproduced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POINTS = 100.0
_INFINITE = "∞"
_SHOWN = {
    Measure.RISK_DIFFERENCE: ("risk difference (points)", "+.1f", _POINTS),
    Measure.RISK_RATIO: ("risk ratio", ".2f", 1.0),
    Measure.MARGINAL_LOG_ODDS_RATIO: ("log odds ratio, marginal", "+.2f", 1.0),
    Measure.MEAN_LOG_ODDS_RATIO: ("log odds ratio, mean of patients", "+.2f", 1.0),
}


def number_needed(difference: float, lower: float, upper: float) -> str:
    """The number needed by a risk difference (treated minus untreated) and its interval: ``NNH 34 (NNH 20 to NNH 99)``.

    Through infinity if both harm and benefit are possible: ``NNH 83 (NNB 500 to ∞ to NNH 40)``.
    """
    ends = [number_needed_text(end) for end in (lower, upper)]
    if lower > 0.0:
        ends.reverse()  # the end nearer to zero is the larger number; the smaller number is written first
    elif upper >= 0.0:
        ends = list(dict.fromkeys([ends[0], _INFINITE, ends[1]]))
    return f"{number_needed_text(difference)} ({' to '.join(ends)})"


def number_needed_text(risk_difference: float) -> str:
    """Say how many patients are treated for one more bleed (``NNH 83``) or one fewer (``NNB 120``).

    Rounded up to the next whole patient, as Altman (1998) does; ``∞`` for no difference at all.
    """
    if risk_difference == 0.0:
        return _INFINITE
    # Rounding first undoes noise in the last bits: 1 / 0.02 must give 50 patients and not 51.
    count = math.ceil(round(1.0 / abs(risk_difference), 9))
    return f"{'NNH' if risk_difference > 0.0 else 'NNB'} {count}"


def true_table(risks: xr.Dataset) -> pd.DataFrame:
    """True effects (`true_risks`) in the form of a method's: index `population`, `measure`; column `estimate`."""
    effects = effect_measures(risks).to_array("measure").transpose("population", "measure")
    return effects.to_series().to_frame("estimate")


def average_effects_table(sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Average effect on every scale, one row per source.

    Parameters
    ----------
    sources
        By the name of the method (or truth): a table with the index `population`, `measure`, of which the first
        population is shown; columns `estimate` (or `mean`), and `lower`, `upper` if there is an interval.

    Returns
    -------
    pandas.DataFrame
        Text: risk difference in points, risk ratio, the two log odds ratios, and the number needed to harm or benefit;
        intervals in brackets; a dash where a method has no such number.
    """
    rows = {}
    for name, table in sources.items():
        population = str(table.index.get_level_values("population")[0])
        row = {label: _cell(table, population, measure) for measure, (label, _, _) in _SHOWN.items()}
        rows[name] = row | {"number needed": _number_needed(_row(table, population, Measure.RISK_DIFFERENCE))}
    return pd.DataFrame.from_dict(rows, orient="index")


def group_effects_table(
    posterior: pd.DataFrame, unadjusted: pd.DataFrame, true: pd.DataFrame, populations: Sequence[str]
) -> pd.DataFrame:
    """Events by arm, and effects on the absolute and the relative scale, one row per population.

    The tables are those of `summarise_effects`, `unadjusted_effects` and `true_table`.
    """
    difference, ratio = Measure.RISK_DIFFERENCE, Measure.RISK_RATIO
    rows = {}
    for name in populations:
        counts, model = _row(unadjusted, name, difference), _row(posterior, name, difference)
        rows[name] = {
            "treated": _events(counts, "treated"),
            "control": _events(counts, "control"),
            "observed (points)": _cell(unadjusted, name, difference),
            "model (points)": _cell(posterior, name, difference),
            "model, risk ratio": _cell(posterior, name, ratio),
            "number needed": _number_needed(model),
            "P(harm)": f"{model['p_harm']:.2f}",
            "true (points)": _cell(true, name, difference),
            "true risk ratio": _cell(true, name, ratio),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def guarded_effects(prefix: str, posterior: pd.DataFrame, true: pd.DataFrame) -> dict[str, Reproduced]:
    """Name every mean, interval end and truth of some populations for the ledger, with Monte Carlo errors."""
    numbers: dict[str, Reproduced] = {}
    for population, measure in posterior.index:
        row = _row(posterior, population, Measure[measure])
        name = f"{prefix}.{population}.{measure.lower()}".replace(": ", "_").replace(" ", "_")
        for column in ("mean", "lower", "upper"):
            numbers[f"{name}.{column}"] = Reproduced(row[column], row[f"mcse_{column}"])
        numbers[f"{name}.true"] = Reproduced(_row(true, population, Measure[measure])["estimate"])
    return numbers


def signed(value: float, pattern: str = "+.1f") -> str:
    """Format a number with a typographic minus sign; what rounds to zero has no sign."""
    text = f"{value:{pattern}}"
    return text.lstrip("+-") if float(text) == 0.0 else text.replace("-", "−")


def _row(table: pd.DataFrame, population: str, measure: Measure) -> dict[str, float]:
    found = cast("pd.Series[float]", table.loc[(population, measure.name)])
    row = {str(column): float(value) for column, value in found.items()}
    return row if "estimate" in row else row | {"estimate": row["mean"]}


def _cell(table: pd.DataFrame, population: str, measure: Measure) -> str:
    if (population, measure.name) not in table.index:
        return "–"
    row, (_, pattern, factor) = _row(table, population, measure), _SHOWN[measure]
    if not np.isfinite(row["estimate"]):
        return "–"
    text = signed(factor * row["estimate"], pattern)
    if "lower" not in row:
        return text
    return f"{text} ({signed(factor * row['lower'], pattern)} to {signed(factor * row['upper'], pattern)})"


def _number_needed(row: Mapping[str, float]) -> str:
    if "lower" not in row:
        return number_needed_text(row["estimate"])
    return number_needed(row["estimate"], row["lower"], row["upper"])


def _events(counts: Mapping[str, float], arm: str) -> str:
    events, n = int(counts[f"events_{arm}"]), int(counts[f"n_{arm}"])
    return f"{events}/{n} ({_POINTS * events / n:.1f} %)"
