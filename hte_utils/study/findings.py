"""What the stored results say, as the tables behind the book's figures.

The event is bleeding: a positive effect is harm. Risk differences and regrets are percentage points and bleeds per 1000
patients here, as tables and figures show them; log odds ratios are as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from hte_utils.ledger.entries import Reproduced
from hte_utils.methods import METHODS
from hte_utils.paper import printed_number
from hte_utils.study.generate import population
from hte_utils.study.performance import (
    Z,
    average_effect_performance,
    failures,
    mean_and_error,
    mean_measures,
    paired_differences,
    share_error,
)
from hte_utils.study.plan import (
    FORESTS,
    LEARNERS,
    PAPER_METHODS,
    PENALISED,
    RUNGS,
    planned_replicates,
)
from hte_utils.study.protocol import POINTS
from hte_utils.study.replicate import FLAGS, POPULATION, TRIAL
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hte_utils.model.checks import FloatArray

PER_THOUSAND: Final = 1000.0
TABLE_7: Final = {"correlation": "lor_correlation", "rmse": "lor_rmse", "mae": "lor_mae", "coverage": "lor_coverage"}
"""The paper's metrics (their ids end so in `hte_utils.paper`), and the study's measures of them."""

SHOWN: Final = {
    "rd_correlation": 1.0,
    "rd_rmse": POINTS,
    "rd_bias": POINTS,
    "rd_slope": 1.0,
    "rd_coverage": POINTS,
    "regret": PER_THOUSAND,
}
"""Measures that are compared between methods, and what they are multiplied by to be shown."""

COLUMN_LABELS: Final = {
    "rd_correlation": "correlation",
    "rd_rmse": "RMSE",
    "rd_bias": "bias",
    "rd_slope": "slope",
    "rd_coverage": "coverage",
    "regret": "regret",
}


def of_trial(results: pd.DataFrame, scenario: str, method: str, where: str = TRIAL) -> pd.DataFrame:
    """Results of one scenario, method and population, successful replicates alone, by number of the replicate."""
    wanted = (results["scenario"] == scenario) & (results["method"] == method) & (results["population"] == where)
    found = results[wanted & (results["error"] == "")].set_index("replicate").sort_index()
    if found.empty:
        raise ValueError(f"no results of method {method!r} in scenario {scenario!r}, population {where!r}")
    return found


def paper_among_trials(results: pd.DataFrame, method: str) -> pd.DataFrame:
    """Where Table 7 lies among the trials of the paper's own design, evaluated in each trial's own patients.

    Returns
    -------
    pandas.DataFrame
        Index: the metrics of Table 7. Columns: `paper` (printed), `mean`, `mcse` (of the mean), `sd`, `lower` and
        `upper` (2.5 % and 97.5 % quantiles over trials), `percentile` (per cent of the trials with a smaller value) and
        `percentile_mcse` (points, sqrt(p(1 - p) / n)), `n` (trials).
    """
    trials = of_trial(results, PAPER_DESIGN, method)
    rows = {}
    for metric, measure in TABLE_7.items():
        values, printed = trials[measure].to_numpy(np.float64), printed_number(f"table7.{metric}")
        below, n = float((values < printed).mean()), values.size
        lower, upper = np.quantile(values, (0.025, 0.975)).tolist()
        mean, mcse = mean_and_error(values)
        spread = {
            "paper": printed,
            "mean": mean,
            "mcse": mcse,
            "sd": values.std(ddof=1),
            "lower": lower,
            "upper": upper,
        }
        rows[metric] = spread | {
            "percentile": POINTS * below,
            "percentile_mcse": POINTS * share_error(below, n),
            "n": n,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="metric").astype({"n": int})


def performance(results: pd.DataFrame, scenarios: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean of each of the `SHOWN` measures, as `mean_measures` gives them, in the units of the figures."""
    found = mean_measures(_large(results, scenarios), list(SHOWN))
    return _in_shown_units(found, ["mean", "mcse"])[["mean", "mcse", "n"]]


def against(results: pd.DataFrame, reference: str, scenarios: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare every method with a reference on the same trials: `paired_differences` of the `SHOWN` measures."""
    found = paired_differences(_large(results, scenarios), reference, list(SHOWN))
    return _in_shown_units(found, ["difference", "mcse"])


def rows_at(table: pd.DataFrame, level: str, value: str) -> pd.DataFrame:
    """Rows with this value in a level of the index, the level dropped; none if there are none."""
    return table[table.index.get_level_values(level) == value].droplevel(level)


def _large(results: pd.DataFrame, scenarios: Sequence[str] | None) -> pd.DataFrame:
    wanted = results["population"].isin([TRIAL, POPULATION])
    if scenarios is not None:
        wanted &= results["scenario"].isin(list(scenarios))
    return results[wanted]


def _in_shown_units(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    factor = table.index.get_level_values("measure").map(SHOWN).to_numpy(np.float64)
    return table.assign(**{name: table[name] * factor for name in columns})


def fixed_rules(scenarios: Sequence[str]) -> pd.DataFrame:
    """Regret of "treat all" and "treat none" in each scenario's large population (bleeds per 1000; no random error)."""
    rows = {}
    for name in scenarios:
        effect = population(SCENARIOS[name]).truth.risk_difference
        best = np.minimum(effect, 0.0).mean()
        rows[name] = {
            "treat all": PER_THOUSAND * float(effect.mean() - best),
            "treat none": PER_THOUSAND * abs(float(best)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="scenario")


BEST_FIXED_RULE: Final = "treat all or none, whichever is better"


def with_fixed_rules(table: pd.DataFrame) -> pd.DataFrame:
    """Add the better of the two fixed rules to the regrets of `performance`, as if it were a method."""
    names = list(dict.fromkeys(table.index.get_level_values("scenario")))
    best = fixed_rules(names).min(axis=1)
    keys = pd.MultiIndex.from_tuples(
        [(name, BEST_FIXED_RULE, POPULATION, "regret") for name in names], names=table.index.names
    )
    return pd.concat([table, pd.DataFrame({"mean": best.to_numpy(), "mcse": 0.0, "n": 0}, index=keys)])


def flagged(results: pd.DataFrame) -> pd.DataFrame:
    """Count what went wrong or needs to be known: `failures`, and the number of fits with each of `FLAGS`."""
    once = results[results["population"] == TRIAL]
    flags = once["flags"].str.get_dummies(";").reindex(columns=list(FLAGS), fill_value=0)
    cells = [once["scenario"], once["method"]]
    return failures(results).join(flags.groupby(cells, observed=True, sort=False).sum())


METHOD_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "regressions": ("constant", "path", "interactions_ml", "interactions_firth"),
    "Listing 2's terms": RUNGS,
    "hierarchical models": (*PAPER_METHODS, "all_modifiers"),
    "ridge and lasso": PENALISED,
    "S-, T-, X-learner": LEARNERS,
    "causal forests": FORESTS,
}
"""Methods that are planned and run together."""


def runs(results: pd.DataFrame) -> pd.DataFrame:
    """Lay out what was planned, what was run and what failed: scenarios by `METHOD_GROUPS`.

    Cells: "run / planned" trials of each method of the group (the least, if they differ), and the number that failed
    where any did; "–" where nothing was planned.
    """
    found, planned = failures(results), planned_replicates()
    rows = {}
    for scenario in SCENARIOS.values():
        cells = {}
        for group, methods in METHOD_GROUPS.items():
            keys = [(scenario.name, method) for method in methods]
            met = found.reindex(keys)[["replicates", "failed"]].fillna(0).astype(int)
            wanted = min(planned.get(key, 0) for key in keys)
            failed = f", {met['failed'].sum()} failed" if met["failed"].any() else ""
            cells[group] = f"{met['replicates'].min()} / {wanted}{failed}" if wanted else "–"
        rows[scenario.label] = cells
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="scenario")


def effect_intervals(results: pd.DataFrame, methods: Sequence[str], places: Sequence[str]) -> pd.DataFrame:
    """Lay out how the intervals of single effects keep their promise over the trials of the paper's design.

    `places` are populations: the trial (average effect), profile patients (their own effect).

    Returns
    -------
    pandas.DataFrame
        Index ``effect, method``; columns ``bias`` (percentage points), ``relative SE error`` (per cent; below 0: the
        intervals are too narrow for the spread of the estimates), ``coverage`` and ``bias-eliminated`` (coverage of the
        mean estimate in place of the truth, per cent), each as "value ± MCSE".
    """
    wanted = results["method"].isin(list(methods)) & results["population"].isin(list(places))
    found = average_effect_performance(results[wanted & (results["scenario"] == PAPER_DESIGN)])
    wide = found.xs(PAPER_DESIGN, level="scenario").unstack("measure")  # noqa: PD010
    value, mcse = wide["value"], wide["mcse"]
    rows = {}
    for place in places:
        for method in methods:
            effect = "average" if place == TRIAL else place.removeprefix("profile-")
            mean, error = (table.xs((method, place)) for table in (value, mcse))
            rows[effect, METHODS[method].label] = {
                label: f"{factor * mean[name]:.{digits}f} ± {factor * error[name]:.{digits}f}"
                for label, (name, factor, digits) in _INTERVAL_COLUMNS.items()
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["effect", "method"])


_INTERVAL_COLUMNS: Final = {
    "bias": ("bias", POINTS, 2),
    "relative SE error": ("relative_error_of_model_se", 1.0, 1),
    "coverage": ("coverage", POINTS, 1),
    "bias-eliminated": ("bias_eliminated_coverage", POINTS, 1),
}


def performance_table(table: pd.DataFrame, scenario: str, place: str = POPULATION) -> pd.DataFrame:
    """Lay out `performance` for reading, methods by measures: "mean (SE)", "–" where a method has no such thing."""
    here = rows_at(rows_at(table, "scenario", scenario), "population", place)
    rows = {}
    for name, method in METHODS.items():
        own = rows_at(here, "method", name)
        if len(own):
            cells = {label: _cell(own, measure) for measure, label in COLUMN_LABELS.items()}
            rows[method.label] = {"n": str(int(own["n"].max())), **cells}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")


def _cell(own: pd.DataFrame, measure: str) -> str:
    if measure not in own.index:
        return "–"
    mean, error = (float(own[column].loc[measure]) for column in ("mean", "mcse"))
    digits = 1 if measure == "rd_coverage" else 2
    return f"{mean:.{digits}f} ({error:.{digits}f})".replace("-", "−")


class ZipPlot(NamedTuple):
    """Intervals of one effect, trial by trial, sorted by how far their estimates are from the truth: a zip plot.

    Figure 7 of Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102.

    Attributes
    ----------
    lower, upper
        Ends minus the truth (percentage points), shape (trials,).
    centile
        Of the error in standard errors (half the interval's width over 1.96) among the trials, without its sign, per
        cent, shape (trials,).
    covers
        Whether each interval holds the truth, shape (trials,).
    """

    lower: FloatArray
    upper: FloatArray
    centile: FloatArray
    covers: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Share of the intervals that hold the truth, per cent."""
        return POINTS * float(self.covers.mean())

    @property
    def mcse(self) -> float:
        """Its Monte Carlo standard error, percentage points."""
        return POINTS * share_error(float(self.covers.mean()), self.covers.size)


def zip_plot(results: pd.DataFrame, method: str, where: str, scenario: str = PAPER_DESIGN) -> ZipPlot:
    """Sort the intervals of a population's average effect; a profile patient's average effect is its own.

    Raises
    ------
    ValueError
        If there are no results, or the method has no intervals.
    """
    trials = of_trial(results, scenario, method, where)
    lower, estimate, upper = (
        POINTS * (trials[f"ate_{name}"] - trials["ate_truth"]).to_numpy(np.float64)
        for name in ("lower", "estimate", "upper")
    )
    if not np.isfinite(upper - lower).all():
        raise ValueError(f"{method!r} does not give every trial an interval for the average effect of {where!r}")
    order = np.argsort(np.abs(estimate) / ((upper - lower) / (2.0 * Z)), kind="stable")
    centile = POINTS * (np.arange(order.size) + 0.5) / order.size
    return ZipPlot(lower[order], upper[order], centile, ((lower <= 0.0) & (upper >= 0.0))[order])


def guarded(results: pd.DataFrame) -> dict[str, Reproduced]:
    """The study's key numbers for `hte_utils.ledger.guard`: functions of the stored results, so without random error.

    ``study.paper_way.correlation.percentile`` and so on: the paper's place among the trials of its design, its two
    ways; ``study.<method>.rd_rmse.mean`` and so on: performance in that design, in new patients.
    """
    found = {}
    for method in ("paper_way", "paper_corrected"):
        for metric, row in paper_among_trials(results, method).iterrows():
            for name in ("mean", "percentile"):
                found[f"study.{method}.{metric}.{name}"] = Reproduced(float(row[name]))
    here = rows_at(rows_at(performance(results, [PAPER_DESIGN]), "scenario", PAPER_DESIGN), "population", POPULATION)
    for method in METHODS:
        own = rows_at(here, "method", method)
        for measure in ("rd_rmse", "rd_correlation", "regret"):
            if measure in own.index:
                found[f"study.{method}.{measure}.mean"] = Reproduced(float(own["mean"].loc[measure]))
    return found
