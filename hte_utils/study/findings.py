"""What the stored results say, as the tables behind the book's figures.

The event is bleeding: a positive effect is harm. Numbers are in the units of `hte_utils.study.performance`; log odds
ratios are as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hte_utils.ledger.entries import Reproduced
from hte_utils.methods import METHODS
from hte_utils.methods.measures import POINTS
from hte_utils.model.checks import FloatArray
from hte_utils.paper import printed_number
from hte_utils.study.performance import (
    REGRETS,
    Z,
    average_effect_performance,
    common_trials,
    failures,
    fixed_rules,
    mean_and_error,
    of_trial,
    performance,
    share_error,
)
from hte_utils.study.plan import METHOD_GROUPS, planned_replicates
from hte_utils.study.replicate import FLAGS, POPULATION, TRIAL
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS

TABLE_7: Final = {"correlation": "lor_correlation", "rmse": "lor_rmse", "mae": "lor_mae", "coverage": "lor_coverage"}
"""The paper's metrics (their ids end so in `hte_utils.paper`), and the study's measures of them."""

BEST_FIXED_RULE: Final = "treat all or none, whichever is better"
ALL_THERE_IS: Final = "all there is to gain"

INTERACTION_TESTS: Final = {
    "interactions_ml": "all interactions",
    "listing_2_ml": "Listing 2's interactions",
    "listing_2_ml_no_gender": "the same without gender",
    "path": "predicted risk",
}
"""Methods with a likelihood-ratio test of their interactions, and what it tests."""
_LEVEL: Final = 0.05

_COLUMNS: Final = {
    "rd_correlation": ("correlation", 2),
    "rd_rmse": ("RMSE", 2),
    "rd_bias": ("bias", 2),
    "rd_slope": ("slope", 2),
    "rd_coverage": ("coverage", 1),
    "regret": ("regret", 2),
}
_INTERVAL_COLUMNS: Final = {
    "bias": ("bias", 2),
    "relative_se_error": ("relative SE error", 1),
    "coverage": ("coverage", 1),
    "bias_eliminated_coverage": ("bias-eliminated", 1),
}


def paper_among_trials(results: pd.DataFrame, method: str) -> pd.DataFrame:
    """Where Table 7 lies among the trials of the paper's own design, evaluated in each trial's own patients.

    Returns
    -------
    pandas.DataFrame
        Index: the metrics of Table 7. Columns: `paper` (printed), `mean`, `mcse` (of the mean), `sd`, `lower` and
        `upper` (2.5 % and 97.5 % quantiles over trials), `percentile` (per cent of the trials with a smaller value) and
        `percentile_mcse` (points, sqrt(p(1 - p) / n)), `n` (trials).
    """
    trials = of_trial(results, PAPER_DESIGN, method, TRIAL)
    rows = {}
    for metric, measure in TABLE_7.items():
        values, printed = trials[measure].to_numpy(np.float64), printed_number(f"table7.{metric}")
        below, (mean, mcse) = float((values < printed).mean()), mean_and_error(values)
        lower, upper = np.quantile(values, (0.025, 0.975)).tolist()
        rows[metric] = {
            "paper": printed,
            "mean": mean,
            "mcse": mcse,
            "sd": values.std(ddof=1),
            "lower": lower,
            "upper": upper,
            "percentile": POINTS * below,
            "percentile_mcse": POINTS * share_error(below, values.size),
            "n": values.size,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="metric").astype({"n": int})


def rows_at(table: pd.DataFrame, level: str, value: str) -> pd.DataFrame:
    """Rows with this value in a level of the index, the level dropped; none if there are none."""
    return table[table.index.get_level_values(level) == value].droplevel(level)


def with_fixed_rules(table: pd.DataFrame) -> pd.DataFrame:
    """Add the better of the two fixed rules to the regrets of `performance`, as if it were a method."""
    names = list(dict.fromkeys(table.index.get_level_values("scenario")))
    best = fixed_rules(names).min(axis=1)
    keys = pd.MultiIndex.from_tuples(
        [(name, BEST_FIXED_RULE, POPULATION, "regret") for name in names], names=table.index.names
    )
    return pd.concat([table, pd.DataFrame({"mean": best.to_numpy(), "mcse": 0.0, "n": 0}, index=keys)])


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """What a rule for each patient buys: bleeds avoided per 1000 new patients against the better rule for all.

    `table` is from `performance.performance`. Index ``scenario, method, measure`` (the measure is "gain"); columns as
    there. Negative: the method's rule causes bleeds that one rule for all would have avoided. The "method"
    `ALL_THERE_IS` treats exactly those whom treatment protects.
    """
    regret = rows_at(rows_at(table, "population", POPULATION), "measure", "regret")
    scenarios = regret.index.get_level_values("scenario").astype(str)
    best = fixed_rules(list(dict.fromkeys(scenarios))).min(axis=1)
    found = regret.assign(mean=best.loc[scenarios].to_numpy() - regret["mean"])
    keys = pd.MultiIndex.from_tuples([(name, ALL_THERE_IS) for name in best.index], names=found.index.names)
    perfect = pd.DataFrame({"mean": best.to_numpy(), "mcse": 0.0, "n": 0}, index=keys)
    return pd.concat([found, perfect]).assign(measure="gain").set_index("measure", append=True)


def regret_by_worth(results: pd.DataFrame, methods: Sequence[str], scenario: str = PAPER_DESIGN) -> pd.DataFrame:
    """Regret in new patients by what a benefit of treatment elsewhere is worth, bleeds per 1000 patients.

    On the trials that all methods have met. Index: the two fixed rules, then the methods' labels; a column for each of
    `REGRETS`: "mean (SE)".
    """
    common = common_trials(results[results["scenario"] == scenario], methods)
    here = rows_at(
        rows_at(performance(common, tuple(REGRETS.values())), "population", POPULATION), "scenario", scenario
    )
    of_rules = {worth: fixed_rules([scenario], worth).loc[scenario] for worth in REGRETS}
    rows = {
        str(rule): {worth: f"{regrets[rule]:.2f}" for worth, regrets in of_rules.items()} for rule in of_rules[0].index
    }
    for method in methods:
        own = rows_at(here, "method", method)
        rows[METHODS[method].label] = {worth: _cell(own, measure, 2) for worth, measure in REGRETS.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="rule", columns="worth (bleeds per 1000)")


def interaction_tests(results: pd.DataFrame, scenarios: Sequence[str]) -> pd.DataFrame:
    """How often tests of effect modification reject, at the level of 5 %.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method``; columns ``rate`` and ``mcse`` (per cent) and ``n`` (trials).
    """
    rows = {}
    for scenario in scenarios:
        for method in INTERACTION_TESTS:
            p_values = of_trial(results, scenario, method, TRIAL)["interaction_p"].dropna()
            rate = float((p_values < _LEVEL).mean())
            error = POINTS * share_error(rate, p_values.size)
            rows[scenario, method] = {"rate": POINTS * rate, "mcse": error, "n": p_values.size}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["scenario", "method"]).astype({"n": int})


def interaction_tests_table(table: pd.DataFrame) -> pd.DataFrame:
    """`interaction_tests` for reading: scenarios by tests, "rate ± MCSE"."""
    cells = (table["rate"].map("{:.1f}".format) + table["mcse"].map(" ± {:.1f}".format)).rename("cell").reset_index()
    shown = cells.pivot_table(index="scenario", columns="method", values="cell", aggfunc="first", sort=False)
    labels = {name: SCENARIOS[name].label for name in shown.index}
    return shown[list(INTERACTION_TESTS)].rename(index=labels, columns=INTERACTION_TESTS).rename_axis(columns="test of")


def flagged(results: pd.DataFrame) -> pd.DataFrame:
    """Count what went wrong or needs to be known: `failures`, and the number of fits with each of `FLAGS`."""
    once = results[results["population"] == TRIAL]
    flags = once["flags"].str.get_dummies(";").reindex(columns=list(FLAGS), fill_value=0)
    cells = [once["scenario"], once["method"]]
    return failures(results).join(flags.groupby(cells, observed=True, sort=False).sum())


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
        Index ``effect, method``; columns ``bias``, ``relative SE error`` (below 0: the intervals are too narrow for the
        spread of the estimates), ``coverage`` and ``bias-eliminated``, each as "value ± MCSE"; what they are
        `average_effect_performance` says.
    """
    wanted = results["method"].isin(list(methods)) & results["population"].isin(list(places))
    found = average_effect_performance(results[wanted & (results["scenario"] == PAPER_DESIGN)])
    rows = {}
    for place in places:
        for method in methods:
            own = found.xs((PAPER_DESIGN, method, place))
            effect = "average" if place == TRIAL else place.removeprefix("profile-")
            rows[effect, METHODS[method].label] = {
                label: f"{own['value'].loc[name]:.{digits}f} ± {own['mcse'].loc[name]:.{digits}f}"
                for name, (label, digits) in _INTERVAL_COLUMNS.items()
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["effect", "method"])


def performance_table(table: pd.DataFrame, scenario: str, place: str = POPULATION) -> pd.DataFrame:
    """Lay out `performance` for reading, methods by measures: "mean (SE)", "–" where a method has no such thing."""
    here = rows_at(rows_at(table, "scenario", scenario), "population", place)
    rows = {}
    for name, method in METHODS.items():
        own = rows_at(here, "method", name)
        if len(own):
            cells = {label: _cell(own, measure, digits) for measure, (label, digits) in _COLUMNS.items()}
            rows[method.label] = {"n": str(int(own["n"].max())), **cells}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")


def by_scenario(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Lay out one measure of `performance` in new patients, methods by scenarios: "mean (SE)"."""
    here = rows_at(rows_at(table, "population", POPULATION), "measure", measure)
    names = [name for name in SCENARIOS if name in here.index.get_level_values("scenario")]
    rows = {
        method.label: {SCENARIOS[scenario].label: _cell(own, scenario, _COLUMNS[measure][1]) for scenario in names}
        for name, method in METHODS.items()
        if len(own := rows_at(here, "method", name))
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")


def _cell(own: pd.DataFrame, row: str, digits: int) -> str:
    if row not in own.index:
        return "–"
    mean, error = (float(own[column].loc[row]) for column in ("mean", "mcse"))
    return f"{mean:.{digits}f} ({error:.{digits}f})".replace("-", "−")


class ZipPlot(NamedTuple):
    """Intervals of one effect, trial by trial, sorted by how far their estimates are from the truth: a zip plot.

    Figure 7 of Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102. Each of shape (trials,): `lower`
    and `upper` ends minus the truth (percentage points); `centile` (per cent) of the error in standard errors (half the
    interval's width over 1.96) without its sign; whether each interval `covers` the truth.
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
    table = performance(results[results["scenario"] == PAPER_DESIGN], ["rd_rmse", "rd_correlation", "regret"])
    here = rows_at(rows_at(table, "scenario", PAPER_DESIGN), "population", POPULATION)
    return found | {
        f"study.{method}.{measure}.mean": Reproduced(float(here.loc[(method, measure), "mean"]))
        for method in METHODS
        for measure in here.loc[method].index
    }
