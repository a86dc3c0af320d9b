"""Which computation gives the printed Tables 7 and 8: the candidates, all from one posterior.

The paper does not say how its tables were computed. This module computes each column in every way that its name could
mean, so that the printed values can be laid beside them. Two devices make the comparison sharp:

- correlation, RMSE and MAE are functions of four posterior means that Table 4 prints, so `cate_from_means` gives them
  without any draws;
- `match_margins` shifts and stretches draws so that each coefficient has the mean and SD of Table 4, which takes most
  of the Monte Carlo difference between the paper's run and ours out of the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import PointMetrics, point_metrics
from hte_utils.effects.monte_carlo import FloatArray, IntArray
from hte_utils.effects.strata import ntile
from hte_utils.model.spec import Patients, TrialDesign

_N_GROUPS = 5
_BATCHES = 20
_LOWER, _UPPER = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Margin:
    """Posterior mean and SD of one coefficient, as Table 4 prints them."""

    mean: float
    sd: float


def cate_from_means(patients: Patients, treatment: float, interactions: Mapping[str, float]) -> FloatArray:
    """Posterior mean of each patient's CATE (log odds ratio), group effects left out, from coefficients' means alone.

    Parameters
    ----------
    patients
        The trial's design.
    treatment
        Posterior mean of `b_trt`.
    interactions
        Posterior mean of each interaction by modifier label.

    Raises
    ------
    ValueError
        If the labels are not those of the patients' modifiers.
    """
    if sorted(interactions) != sorted(patients.modifier_labels):
        raise ValueError(
            f"interactions must have the labels {list(patients.modifier_labels)}, not {list(interactions)}"
        )
    slopes = np.array([interactions[label] for label in patients.modifier_labels])
    return np.asarray(treatment + patients.modifiers @ slopes)


def match_margins(posterior: xr.DataTree, margins: Mapping[tuple[str, str | None], Margin]) -> xr.DataTree:
    """Shift and stretch draws so that coefficients have given posterior means and SDs; correlations stay.

    Parameters
    ----------
    posterior
        The posterior, as for `cate_draws`.
    margins
        By variable and label, e.g. ``("b_prognostic", "age")``, or ``("b_trt", None)`` for a scalar.

    Raises
    ------
    ValueError
        If the posterior has no such variable or label, or an SD is not positive.
    """
    draws = posterior["posterior"].to_dataset().copy(deep=True)
    for (name, label), margin in margins.items():
        if name not in draws or not margin.sd > 0.0:
            raise ValueError(f"cannot match {name!r} to {margin}: no such variable, or an SD that is not positive")
        variable = draws[name]
        extra = [dim for dim in variable.dims if dim not in ("chain", "draw")]
        if len(extra) != (label is not None) or (extra and label not in variable[extra[0]].to_numpy()):
            raise ValueError(f"posterior variable {name!r} with the dims {variable.dims} has no entry {label!r}")
        where = {extra[0]: label} if extra else {}
        old = variable.loc[where].to_numpy()
        variable.loc[where] = margin.mean + margin.sd * (old - old.mean()) / old.std(ddof=1)
    return xr.DataTree.from_dict({"posterior": draws})


def table_7_candidates(posterior: xr.DataTree, design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Correlation, RMSE, MAE and coverage of Table 7 in every way they could have been computed.

    Returns
    -------
    pandas.DataFrame
        Index (`group_effects`, `estimate`, `interval`); columns `correlation`, `rmse`, `mae`, `coverage`.
    """
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for group_effects in GroupEffects:
        cate = _cate(posterior, design, group_effects)
        ends = {"quantiles": _quantiles(cate), "mean ± 1.96 SD": _wald(cate)}
        for estimate, predicted in {"mean": cate.mean(axis=0), "median": np.median(cate, axis=0)}.items():
            metrics = point_metrics(predicted, truth)
            for interval, (lower, upper) in ends.items():
                coverage = float(((lower <= truth) & (truth <= upper)).mean())
                rows[group_effects.name, estimate, interval] = _row(metrics, coverage)
    index = pd.MultiIndex.from_tuples(rows, names=["group_effects", "estimate", "interval"])
    return pd.DataFrame(list(rows.values()), index=index)


def table_8_candidates(posterior: xr.DataTree, design: TrialDesign) -> pd.DataFrame:
    """Every column of Table 8 in every way its name could be meant.

    Returns
    -------
    pandas.DataFrame
        Index: `column` of Table 8, `effect` and `risk` (whether the group effects are in the CATE and in the risk that
        ranks the patients; members of `GroupEffects`), and the `computation` in words. Columns: the five quintiles
        Q1...Q5 and their Monte Carlo standard errors `mcse_Q1`... (from 20 batches of the draws, patients ranked anew
        in each).
    """
    tables = []
    for effect in GroupEffects:
        cate = _cate(posterior, design, effect)
        for risk in GroupEffects:
            probability = _risk(posterior, design, risk)
            values = _candidates(cate, probability, design.treatment)
            batches = [
                _candidates(cate[rows], probability[rows], design.treatment)
                for rows in np.array_split(np.arange(cate.shape[0]), _BATCHES)
            ]
            mcse = {key: np.std([b[key] for b in batches], axis=0, ddof=1) / math.sqrt(_BATCHES) for key in values}
            tables.append(_as_table(values, mcse, effect, risk))
    return pd.concat(tables).sort_index(level="column", sort_remaining=False)


def _candidates(cate: FloatArray, risk: FloatArray, treatment: FloatArray) -> dict[tuple[str, str], FloatArray]:
    """All candidates from draws (draws, patients) of CATE and baseline risk, keyed by column and computation."""
    logit = np.log(risk / (1.0 - risk))
    rankings = {
        "posterior mean of the probability": risk.mean(axis=0),
        "probability at the posterior mean of the linear predictor": expit(logit.mean(axis=0)),
        "posterior median of the probability": np.median(risk, axis=0),
        "as treated in the trial": expit(logit + cate * treatment).mean(axis=0),
        "if all were treated": expit(logit + cate).mean(axis=0),
    }
    found: dict[tuple[str, str], FloatArray] = {}
    mean = cate.mean(axis=0)
    for name, probability in rankings.items():
        group = ntile(probability, _N_GROUPS)
        found["mean_risk", name] = _by_group(probability, group)
        found["mean_te", f"ranked by: {name}"] = _by_group(mean, group)
    group = ntile(rankings["posterior mean of the probability"], _N_GROUPS)
    members = [cate[:, group == number] for number in range(1, _N_GROUPS + 1)]
    average = np.stack([each.mean(axis=1) for each in members], axis=1)
    sd = cate.std(axis=0, ddof=1)
    found["te_sd", "SD over patients of the posterior mean"] = np.array(
        [mean[group == number].std(ddof=1) for number in range(1, _N_GROUPS + 1)]
    )
    found["te_sd", "posterior SD of the group's average"] = average.std(axis=0, ddof=1)
    found["te_sd", "mean over patients of the posterior SD"] = _by_group(sd, group)
    found["te_sd", "SD over patients and draws"] = np.array([each.std(ddof=1) for each in members])
    ends = {"te_lower": (_LOWER, -1.96), "te_upper": (_UPPER, 1.96)}
    for column, (probability_of_end, z) in ends.items():
        quantile = np.quantile(cate, probability_of_end, axis=0)
        found |= {
            (column, "mean over patients of the quantile"): _by_group(quantile, group),
            (column, "median over patients of the quantile"): _by_group(quantile, group, median=True),
            (column, "mean over patients of mean ± 1.96 SD"): _by_group(mean + z * sd, group),
            (column, "quantile over patients and draws"): np.array(
                [np.quantile(each, probability_of_end) for each in members]
            ),
            (column, "quantile of the group's average"): np.quantile(average, probability_of_end, axis=0),
            (column, "quantile over patients of the posterior mean"): np.array(
                [np.quantile(mean[group == number], probability_of_end) for number in range(1, _N_GROUPS + 1)]
            ),
        }
    return found


def _as_table(
    values: dict[tuple[str, str], FloatArray],
    mcse: dict[tuple[str, str], FloatArray],
    effect: GroupEffects,
    risk: GroupEffects,
) -> pd.DataFrame:
    labels = [f"Q{number}" for number in range(1, _N_GROUPS + 1)]
    keys = [(column, effect.name, risk.name, computation) for column, computation in values]
    index = pd.MultiIndex.from_tuples(keys, names=["column", "effect", "risk", "computation"])
    cells = np.hstack([np.array(list(values.values())), np.array([mcse[key] for key in values])])
    return pd.DataFrame(cells, index=index, columns=[*labels, *(f"mcse_{label}" for label in labels)])


def _cate(posterior: xr.DataTree, design: TrialDesign, group_effects: GroupEffects) -> FloatArray:
    draws = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=group_effects)
    return draws.to_numpy().reshape(-1, design.n_patients)


def _risk(posterior: xr.DataTree, design: TrialDesign, group_effects: GroupEffects) -> FloatArray:
    draws = baseline_risk_draws(posterior, design, group_effects=group_effects)
    return draws.to_numpy().reshape(-1, design.n_patients)


def _quantiles(cate: FloatArray) -> tuple[FloatArray, FloatArray]:
    lower, upper = np.quantile(cate, (_LOWER, _UPPER), axis=0)
    return lower, upper


def _wald(cate: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean, reach = cate.mean(axis=0), 1.96 * cate.std(axis=0, ddof=1)
    return mean - reach, mean + reach


def _row(metrics: PointMetrics, coverage: float) -> dict[str, float]:
    return {"correlation": metrics.correlation, "rmse": metrics.rmse, "mae": metrics.mae, "coverage": coverage}


def _by_group(values: FloatArray, group: IntArray, *, median: bool = False) -> FloatArray:
    summary = np.median if median else np.mean
    return np.array([summary(values[group == number]) for number in range(1, _N_GROUPS + 1)])
