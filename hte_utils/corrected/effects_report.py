"""Average and group effects laid out for a page: absolute beside relative, events beside effects, truth beside both.

What CONSORT 2025 (item 26) and the PATH statement (Kent et al. 2020) ask for. Risk differences are shown in percentage
points; positive ones, log odds ratios above 0 and risk ratios above 1 mean more bleeding: **harm**.

Tables of effects have the index `population`, `measure` (names of `Measure`) and the columns `estimate` or `mean`, and
`lower` and `upper` if there is an interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from hte_utils.effects.averages import EVERYBODY, Measure, effect_measures, true_risks
from hte_utils.ledger.entries import Reproduced
from hte_utils.trial import TrialTruth

_INFINITE = "∞"
_SHOWN = {
    Measure.RISK_DIFFERENCE: ("risk difference (points)", "+.1f", 100.0),
    Measure.RISK_RATIO: ("risk ratio", ".2f", 1.0),
    Measure.MARGINAL_LOG_ODDS_RATIO: ("log odds ratio, marginal", "+.2f", 1.0),
    Measure.MEAN_LOG_ODDS_RATIO: ("log odds ratio, mean of patients", "+.2f", 1.0),
}


def rate_with_error(rate: float, mcse: float, trials: float) -> str:
    """A share of simulated trials, per cent ± its Monte Carlo standard error; a dash if it is not known.

    A share of 0 or 1 has no estimated error, but is not certain: it has its 95 % limit instead, by the rule of three.
    """
    if not math.isfinite(rate):
        return "–"
    if mcse == 0.0 and rate in (0.0, 1.0):
        limit = 100 * min(1.0, 3.0 / trials)
        return f"0.0 % (at most {limit:.1f})" if rate == 0.0 else f"100.0 % (at least {100 - limit:.1f})"
    return f"{100 * rate:.1f} ± {100 * mcse:.1f} %"


def true_effects(truth: TrialTruth, members: pd.DataFrame) -> pd.DataFrame:
    """True average effects of populations of the trial's patients, as a table of effects with the column `estimate`."""
    effects = effect_measures(true_risks(truth, members)).to_array("measure").transpose("population", "measure")
    return effects.to_series().to_frame("estimate")


def average_effects_table(sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Average effect on every scale, one row per source: the first population of its table of effects.

    Text: risk difference in points, risk ratio, the two log odds ratios, and the number needed to harm or benefit;
    intervals in brackets; a dash where a method has no such number.
    """
    rows = {}
    for name, table in sources.items():
        population = str(table.index.get_level_values("population")[0])
        row = {label: _cell(table, population, measure) for measure, (label, _, _) in _SHOWN.items()}
        rows[name] = row | {"number needed": number_needed(**_row(table, population))}
    return pd.DataFrame.from_dict(rows, orient="index")


def group_effects_table(
    posterior: pd.DataFrame, unadjusted: pd.DataFrame, true: pd.DataFrame, populations: Sequence[str]
) -> pd.DataFrame:
    """Events by arm, and effects on the absolute and the relative scale as text, one row per population.

    The tables are those of `summarise_effects`, `unadjusted_effects` and `true_effects`.
    """
    difference, ratio = Measure.RISK_DIFFERENCE, Measure.RISK_RATIO
    rows = {}
    for name in populations:
        counts = _all_of(unadjusted, name, difference)
        events = {arm: (int(counts[f"events_{arm}"]), int(counts[f"n_{arm}"])) for arm in ("treated", "control")}
        rows[name] = {arm: f"{some}/{n} ({100 * some / n:.1f} %)" for arm, (some, n) in events.items()} | {
            "observed (points)": _cell(unadjusted, name, difference),
            "model (points)": _cell(posterior, name, difference),
            "model, risk ratio": _cell(posterior, name, ratio),
            "number needed": number_needed(**_row(posterior, name)),
            "P(harm)": f"{_all_of(posterior, name, difference)['p_harm']:.2f}",
            "true (points)": _cell(true, name, difference),
            "true risk ratio": _cell(true, name, ratio),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def guarded_effects(prefix: str, posterior: pd.DataFrame, true: pd.DataFrame) -> dict[str, Reproduced]:
    """Name every mean, interval end and truth of some populations for the ledger, with Monte Carlo errors."""
    numbers: dict[str, Reproduced] = {}
    for population, measure in posterior.index:
        row, known = (_all_of(table, population, Measure[measure]) for table in (posterior, true))
        name = f"{prefix}.{population}.{measure.lower()}".replace(": ", "_").replace(" ", "_")
        for column in ("mean", "lower", "upper"):
            numbers[f"{name}.{column}"] = Reproduced(row[column], row[f"mcse_{column}"])
        numbers[f"{name}.true"] = Reproduced(known["estimate"])
    return numbers


def shown_value(table: pd.DataFrame, population: str = EVERYBODY, measure: str = "RISK_DIFFERENCE") -> str:
    """One estimate of a table of effects as the text shows it (risk differences in points): ``+1.2``."""
    _, pattern, factor = _SHOWN[Measure[measure]]
    return signed(factor * _row(table, population, Measure[measure])["estimate"], pattern)


def shown_interval(table: pd.DataFrame, population: str = EVERYBODY, measure: str = "RISK_DIFFERENCE") -> str:
    """The interval of that estimate: ``−0.8 to +3.2``."""
    _, pattern, factor = _SHOWN[Measure[measure]]
    row = _row(table, population, Measure[measure])
    return f"{signed(factor * row['lower'], pattern)} to {signed(factor * row['upper'], pattern)}"


def _cell(table: pd.DataFrame, population: str, measure: Measure) -> str:
    if (population, measure.name) not in table.index or not np.isfinite(_row(table, population, measure)["estimate"]):
        return "–"
    value = shown_value(table, population, measure.name)
    return f"{value} ({shown_interval(table, population, measure.name)})" if "lower" in table else value


def _row(table: pd.DataFrame, population: str, measure: Measure = Measure.RISK_DIFFERENCE) -> dict[str, float]:
    """`estimate` (a posterior's `mean`), and `lower` and `upper` if the table has them."""
    found = _all_of(table, population, measure).rename({"mean": "estimate"})
    return {name: float(found[name]) for name in ("estimate", "lower", "upper") if name in found}


def _all_of(table: pd.DataFrame, population: str, measure: Measure) -> pd.Series[float]:
    return cast("pd.Series[float]", table.loc[(population, measure.name)])


def number_needed(estimate: float, lower: float | None = None, upper: float | None = None) -> str:
    """The number needed by a risk difference (treated minus untreated) and its interval: ``NNH 34 (NNH 20 to NNH 99)``.

    The reciprocal of the difference, rounded up to whole patients treated for one more bleed (NNH, harm) or one fewer
    (NNB, benefit). If the interval contains 0 the reciprocals of its ends enclose nothing: the number needed runs from
    harm through infinity to benefit, and is written so, ``NNH 83 (NNB 500 to ∞ to NNH 40)`` (Altman DG, 1998.
    Confidence intervals for the number needed to treat. BMJ 317:1309-1312).
    """
    if lower is None or upper is None:
        if estimate == 0.0:
            return _INFINITE
        # Rounding first undoes noise in the last bits: 1 / 0.02 must give 50 patients and not 51.
        return f"{'NNH' if estimate > 0.0 else 'NNB'} {math.ceil(round(1.0 / abs(estimate), 9))}"
    ends = [number_needed(end) for end in (lower, upper)]
    if lower > 0.0:
        ends.reverse()  # the end nearer to zero is the larger number; the smaller number is written first
    elif upper >= 0.0:
        ends = list(dict.fromkeys([ends[0], _INFINITE, ends[1]]))
    return f"{number_needed(estimate)} ({' to '.join(ends)})"


def signed(value: float, pattern: str = "+.1f") -> str:
    """Format a number with a typographic minus sign; what rounds to zero has no sign."""
    text = f"{value:{pattern}}"
    return text.lstrip("+-") if float(text) == 0.0 else text.replace("-", "−")


def with_error(value: float, mcse: float, pattern: str = "+.3f") -> str:
    """Format a number with its Monte Carlo standard error: ``−0.012 ± 0.003``."""
    return f"{signed(value, pattern)} ± {mcse:{pattern.lstrip('+')}}"


def told_apart(value: float, mcse: float, above: str, below: str, neither: str = "not told apart") -> str:
    """Choose the word for a number that is beyond twice its Monte Carlo error above zero, below it, or neither."""
    return above if value > 2.0 * mcse else below if value < -2.0 * mcse else neither
