"""Risk groups of patients and the treatment effect within them: Table 8.

Patients are ranked by their predicted baseline risk and cut into groups of equal size, equal predictions into the same
(`quantile_groups`); R's `ntile`, which breaks ties by position, is here for the paper's own computation of Table 8.
Effects are on the scale of the draws that are handed in (the paper: log odds ratios; positive = harm).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.stats import rankdata
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean, jackknife_summaries, standard_multipliers
from hte_utils.model.checks import FloatArray, IntArray, one_per_patient, require_probability
from hte_utils.model.spec import Patients, TrialDesign

_REPLICATES = 200
_DRAWS_FOR_MEMBERS = 2000
# Predictions that differ by less, relative to the largest, are equal: blocks of a matrix product change last bits.
_SAME = 1e-12


class RiskStrata(NamedTuple):
    """Patients grouped by predicted baseline risk, and the effect in each group.

    Attributes
    ----------
    table
        By `risk_group`, lowest risk first (Q1, Q2, ...); NaN where ties leave a group empty. The columns of Table 8, by
        the computation that gives the printed numbers: `n`; `mean_risk` and `mean_te`, mean over patients of the
        posterior means of risk and CATE; `te_sd`, SD (n-1) over patients of the latter (spread, not uncertainty);
        `te_lower`, `te_upper`, mean over patients of the ends of their own credible intervals, which is **not** an
        interval for `mean_te`. Then `average_sd`, `average_lower`, `average_upper`: posterior SD and equal-tailed
        credible interval of the group's average CATE, whose mean is `mean_te`.
    mcse
        Monte Carlo standard errors, same rows and columns. That draws decide who belongs where is part of them.
    group
        Each patient's group, shape (patients,), 1 = lowest risk.
    """

    table: pd.DataFrame
    mcse: pd.DataFrame
    group: IntArray


def quantile_groups(values: npt.ArrayLike, n_groups: int) -> IntArray:
    """Cut patients into groups of equal size by rank, from 1 (smallest `values`, shape (patients,)) to `n_groups`.

    A block of equal values belongs where its middle rank falls, whatever the order of the rows: so sizes are equal only
    as far as ties let them, and a group may be empty. Without ties equal groups are those of `ntile`.
    """
    found = one_per_patient("values", values)
    if not 1 <= n_groups <= found.size:
        raise ValueError(f"n_groups must be from 1 to the {found.size} patients, not {n_groups!r}")
    return _groups_of_equals(found, n_groups) + 1


def tied_ranks(values: FloatArray) -> tuple[IntArray, IntArray]:
    """Ranks from 0 of the first and of the last patient with each patient's value, along the last axis."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    same = _SAME * np.abs(values).max(axis=-1, keepdims=True)
    starts = np.diff(ordered, axis=-1, prepend=-np.inf) > same
    equal = np.empty_like(ordered)  # nearly equal values, made equal
    np.put_along_axis(equal, order, np.maximum.accumulate(np.where(starts, ordered, -np.inf), axis=-1), axis=-1)
    first, last = (rankdata(equal, method=method, axis=-1).astype(np.int64) - 1 for method in ("min", "max"))
    return first, last


def ntile(values: npt.ArrayLike, n_groups: int) -> IntArray:
    """Cut patients into groups of equal size by rank, as R's ``dplyr::ntile`` does: for the paper's own computation.

    Ties are broken by position, so a sorted table gives other groups than a shuffled one: take `quantile_groups`.
    """
    groups = np.empty(np.size(values), dtype=np.int64)
    for number, members in enumerate(np.array_split(np.argsort(values, kind="stable"), n_groups), start=1):
        groups[members] = number
    return groups


def _groups_of_equals(values: FloatArray, n_groups: int) -> IntArray:
    """0-based groups along the last axis, by the middle rank of those with the same value."""
    first, last = tied_ranks(values)
    return np.asarray((first + last + 1) * n_groups // (2 * values.shape[-1]))


def risk_strata(
    posterior: xr.DataTree,
    patients: Patients,
    *,
    n_groups: int = 5,
    scale: EffectScale = EffectScale.LOG_ODDS_RATIO,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
    interval: float = 0.95,
) -> RiskStrata:
    """Group patients by the baseline risk that a posterior predicts, and summarise the effect within each group.

    Parameters are those of `cate.cate_draws` and `stratify_by_risk`.

    Examples
    --------
    >>> import hte_utils as hte
    >>> design = hte.PAPER_SPEC.design(hte.simulate_trial(500, seed=1))
    >>> strata = hte.risk_strata(hte.fit(design), design)
    >>> strata.table["n"].tolist()
    [100, 100, 100, 100, 100]
    """
    risk = baseline_risk_draws(posterior, patients, group_effects=group_effects)
    effect = cate_draws(posterior, patients, scale=scale, group_effects=group_effects)
    return stratify_by_risk(risk, effect, n_groups=n_groups, interval=interval)


def stratify_by_risk(
    risk: xr.DataArray,
    effect: xr.DataArray,
    *,
    n_groups: int = 5,
    interval: float = 0.95,
    n_replicates: int = _REPLICATES,
    seed: int = 1,
) -> RiskStrata:
    """Group patients by predicted baseline risk and summarise the effect within each group, as in Table 8.

    `risk`, `effect`: draws with dims (chain, draw, patient) of the same patients from the same posterior. `interval`:
    probability of the credible intervals. `n_replicates` and `seed` decide the Monte Carlo errors and nothing else.
    """
    require_probability("interval", interval)
    for dim in ("chain", "draw", "patient"):
        if not risk[dim].equals(effect[dim]):
            raise ValueError(
                f"risk and effect differ in their {dim} labels ({risk.sizes[dim]} and {effect.sizes[dim]}): "
                "compute both from the same posterior and the same patients"
            )
    risks, edges = draws_matrix(risk)
    effects, _ = draws_matrix(effect)
    jackknifed_risk = jackknife_mean(risks, edges)
    group = quantile_groups(jackknifed_risk.estimate, n_groups)
    multipliers = standard_multipliers(edges, n_replicates, seed)
    risk_replicates = jackknifed_risk.replicates(multipliers)
    members = _membership(risk_replicates, n_groups)
    columns = {"mean_risk": _group_means(risk_replicates, members)}
    columns |= _patient_columns(effects, edges, multipliers, members, interval)
    columns |= _average_columns(effects, edges, multipliers, members, interval)

    sizes = {"n": np.bincount(group, minlength=n_groups + 1)[1:]}
    table = pd.DataFrame(sizes | {name: each[0] for name, each in columns.items()}, index=_labels(n_groups))
    spread = {name: each[1:].std(axis=0, ddof=1) for name, each in columns.items()}
    mcse = pd.DataFrame({"n": np.zeros(n_groups)} | spread, index=_labels(n_groups))
    return RiskStrata(table, mcse, group)


def error_of_group_means(risk: xr.DataArray, values: FloatArray, n_groups: int = 5) -> pd.Series:
    """Monte Carlo standard error, by `risk_group`, of group means of `values` without one of their own (what is true).

    It comes from who belongs to which group: patients are ranked by posterior means of `risk` (as `stratify_by_risk`).
    """
    risks, edges = draws_matrix(risk)
    replicates = jackknife_mean(risks, edges).replicates(standard_multipliers(edges, _REPLICATES, seed=1))
    means = _group_means(np.broadcast_to(values, replicates.shape), _membership(replicates, n_groups))
    return pd.Series(means[1:].std(axis=0, ddof=1), index=_labels(n_groups))


def observed_by_stratum(design: TrialDesign, strata: RiskStrata) -> pd.DataFrame:
    """What happened in each `risk_group`: events by arm, and their difference, beside Table 8's `mean_risk`.

    For each arm (`control`, `treated`) `n_`, `events_` and `rate_`; `rate_difference` = treated minus control (a
    probability), with Newcombe's 95 % interval, `difference_lower` and `difference_upper`. NaN where an arm is empty.
    """
    table = strata.table[["mean_risk"]].copy()
    for arm, value in (("control", 0.0), ("treated", 1.0)):
        here = design.treatment == value
        n = np.bincount(strata.group[here] - 1, minlength=len(table))
        events = np.bincount(strata.group[here] - 1, design.outcome[here], minlength=len(table)).astype(np.int64)
        rate = np.where(n > 0, events / np.maximum(n, 1), np.nan)
        table = table.assign(**{f"n_{arm}": n, f"events_{arm}": events, f"rate_{arm}": rate})
    counts = table[["events_treated", "n_treated", "events_control", "n_control"]].to_numpy(np.int64).tolist()
    ends = [
        confint_proportions_2indep(*row, method="newcomb", compare="diff") if row[1] and row[3] else (np.nan, np.nan)
        for row in counts
    ]
    difference = table["rate_treated"] - table["rate_control"]
    lower, upper = np.transpose(ends)
    return table.assign(rate_difference=difference, difference_lower=lower, difference_upper=upper)


def _patient_columns(
    effects: FloatArray, edges: IntArray, multipliers: FloatArray, members: FloatArray, interval: float
) -> dict[str, FloatArray]:
    """`mean_te`, `te_sd`, `te_lower`, `te_upper`, each of shape (replicates, groups)."""
    summaries = jackknife_summaries(effects, interval, edges)
    mean, lower, upper = (summaries[name].replicates(multipliers) for name in ("mean", "lower", "upper"))
    group_mean = _group_means(mean, members)
    # The total of squares about the group's mean, for the SD over patients; a group of one has none (NaN).
    own_mean = np.einsum("rgp,rg->rp", members, np.nan_to_num(group_mean))
    squares = np.einsum("rgp,rp->rg", members, np.square(mean - own_mean))
    sizes = members.sum(axis=2)
    sd = np.sqrt(np.where(sizes > 1.0, squares / np.maximum(sizes - 1.0, 1.0), np.nan))
    ends = {"te_lower": _group_means(lower, members), "te_upper": _group_means(upper, members)}
    return {"mean_te": group_mean, "te_sd": sd, **ends}


def _average_columns(
    effects: FloatArray, edges: IntArray, multipliers: FloatArray, members: FloatArray, interval: float
) -> dict[str, FloatArray]:
    """`average_sd`, `average_lower`, `average_upper`, each of shape (replicates, groups).

    Two things move a group's average from run to run: the draws, whose effect is found from the influence of the
    batches on the group as it stands; and its members: the same draws are averaged over each replicate's.
    """
    now = effects @ _weights(members[0]).T
    summaries = jackknife_summaries(now, interval, edges)
    # The SD's influence is that of the mean of squares (delta method).
    sd = now.std(axis=0, ddof=1)
    square = jackknife_mean(np.square(now - now.mean(axis=0)), edges)
    by_sd = square._replace(estimate=sd, influence=square.influence / (2.0 * np.where(sd > 0.0, sd, 1.0)))
    from_draws = [by_sd, summaries["lower"], summaries["upper"]]
    # How other members move a summary is much the same in a part of the draws, and far quicker found.
    some = effects[:: math.ceil(effects.shape[0] / _DRAWS_FOR_MEMBERS)]
    n_replicates, n_groups, n_patients = members.shape
    weights = _weights(members).reshape(-1, n_patients)
    averages = (some @ weights.T).reshape(-1, n_replicates, n_groups)
    tails = [(1.0 - interval) / 2.0, (1.0 + interval) / 2.0]
    from_members = [averages.std(axis=0, ddof=1), *np.quantile(averages, tails, axis=0)]
    return {
        name: by_draws.replicates(multipliers) + by_members - by_members[0]
        for name, by_draws, by_members in zip(
            ("average_sd", "average_lower", "average_upper"), from_draws, from_members, strict=True
        )
    }


def _labels(n_groups: int) -> pd.Index:
    return pd.Index([f"Q{number}" for number in range(1, n_groups + 1)], name="risk_group")


def _membership(risk: FloatArray, n_groups: int) -> FloatArray:
    """Membership 0/1 of shape (replicates, groups, patients), from risks of shape (replicates, patients)."""
    group = _groups_of_equals(risk, n_groups)
    return np.equal(group[:, None, :], np.arange(n_groups)[:, None]).astype(np.float64)


def _group_means(values: FloatArray, members: FloatArray) -> FloatArray:
    return np.asarray(np.matmul(_weights(members), values[:, :, None])[:, :, 0])


def _weights(members: FloatArray) -> FloatArray:
    """Averaging weights of each group; NaN where ties leave a group empty."""
    sizes = members.sum(axis=-1, keepdims=True)
    return np.asarray(members / np.where(sizes > 0.0, sizes, np.nan))
