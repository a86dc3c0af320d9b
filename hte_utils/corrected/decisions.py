"""Acting on predicted effects: whom a ranking finds, and what following a policy would do to patients.

*Rankings* (Yadlowsky, Fleming, Shah, Brunskill & Wager 2025, JASA 120, 38-51). The event is bleeding, so **benefit is a
negative risk difference**; patients are ranked from most to least predicted benefit. The targeting operator
characteristic TOC(q) is the mean benefit of the first share q of the patients minus that of all. The rank-weighted
average treatment effect (RATE) is its weighted area: AUTOC weighs every q alike, QINI by q. Both are 0 on average for a
ranking that has nothing to do with the effects, if it does not know the outcomes: rank one fold at a time. All are sums
of the benefits with weights that depend on the ranks alone, so their standard errors have a closed form. econml has the
same measures, with a bootstrap from NumPy's global generator; the tests hold the two together.

*Policies* say who is treated. Their value here is the rate of major bleeds among all patients if they were followed, so
**less is better**; *regret* is the rate above that of the oracle, which knows the true risks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from hte_utils.corrected.calibration import Estimate
from hte_utils.corrected.cross_fitting import Cohort, EffectPredictions
from hte_utils.effects.logistic import Z
from hte_utils.effects.strata import tied_ranks
from hte_utils.model.checks import FloatArray, one_per_patient, require_probability, zeros_and_ones

if TYPE_CHECKING:
    import xarray as xr

type Policy = npt.NDArray[np.bool_]
"""Who is treated, shape (patients,)."""

GRID = np.arange(1, 101) / 100.0
"""Shares of the patients at which curves are drawn."""
PER_THOUSAND = 1000.0
NOBODY, EVERYBODY, ORACLE = "nobody", "everybody", "oracle (true risks known)"


def doubly_robust_scores(
    predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike, *, p_treated: float
) -> FloatArray:
    """Scores of the risk difference, shape (patients,): right on average, for one patient far from it.

    A patient is seen in one arm. The score takes the model's prediction for the other arm and corrects it by the
    patient's own residual, weighted by the *known* probability of the arm (Robins, Rotnitzky & Zhao 1994). Its mean
    over any group that was formed without the outcomes is unbiased, however wrong the model.

    `predictions` are made without these patients (cross-fitted, or from another trial); `outcome` and `treatment` are
    0/1, shape (patients,). `p_treated`, the probability with which the design randomises to treatment, has no default:
    a wrong one biases every score.
    """
    require_probability("p_treated", p_treated)
    control, treated = predictions.baseline_risk, predictions.treated_risk
    y, arm = (zeros_and_ones(*each, control.size) for each in (("outcome", outcome), ("treatment", treatment)))
    untreated_score = control + (1 - arm) / (1.0 - p_treated) * (y - control)
    return np.asarray(treated + arm / p_treated * (y - treated) - untreated_score)


def toc(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Targeting operator characteristic and its standard error at the shares `GRID`, shape (100,) each.

    Larger values of `priority`, shape (patients,), come first; equals share their mean benefit. `benefit`: true
    benefits, or unbiased scores of them.
    """
    n = np.size(benefit)
    treated = np.maximum(np.rint(GRID * n), 1.0)[:, None]
    return _weighted_sum(_by_patient((np.arange(n) < treated) / treated - 1.0 / n, priority), benefit)


def autoc(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> Estimate:
    """Area under the TOC: its mean over the shares 1/n, 2/n, ..., 1; parameters as for `toc`."""
    return Estimate.normal(*_weighted_sum(_by_patient(_autoc_weights(np.size(benefit)), priority), benefit))


def qini(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> Estimate:
    """Area under q TOC(q); parameters as for `toc`."""
    n = np.size(benefit)
    by_rank = np.arange(n, 0, -1) / n**2 - (n + 1) / (2.0 * n**2)
    return Estimate.normal(*_weighted_sum(_by_patient(by_rank, priority), benefit))


def autoc_difference(priority: npt.ArrayLike, other: npt.ArrayLike, benefit: npt.ArrayLike) -> Estimate:
    """How much larger the AUTOC of one ranking is than that of another among the same patients; as for `toc`."""
    by_rank = _autoc_weights(np.size(benefit))
    return Estimate.normal(*_weighted_sum(_by_patient(by_rank, priority) - _by_patient(by_rank, other), benefit))


def _autoc_weights(n: int) -> FloatArray:
    return np.asarray(np.cumsum(1.0 / np.arange(n, 0, -1))[::-1] / n - 1.0 / n)


def _by_patient(by_rank: FloatArray, priority: npt.ArrayLike) -> FloatArray:
    """Weights by patient from weights by rank, shape (..., patients): equals share the mean weight of their ranks."""
    start, end = tied_ranks(-one_per_patient("priority", priority, by_rank.shape[-1]))
    below = np.concatenate([np.zeros_like(by_rank[..., :1]), np.cumsum(by_rank, axis=-1)], axis=-1)
    return np.asarray((below[..., end + 1] - below[..., start]) / (end - start + 1))


def _weighted_sum(weights: FloatArray, benefit: npt.ArrayLike) -> tuple[Any, Any]:
    """Sums over patients and their standard errors: what the benefits vary is little beside the scores' noise."""
    values = one_per_patient("benefit", benefit)
    variance = np.square(weights) @ np.square(values - values.mean()) * values.size / (values.size - 1)
    return weights @ values, np.sqrt(variance)


def policies_of(predictions: Mapping[str, EffectPredictions], cohort: Cohort) -> dict[str, Policy]:
    """Treat nobody, everybody, whom each prediction says benefits, and whom the truth says benefits."""
    return {
        NOBODY: np.zeros(cohort.outcome.size, dtype=np.bool_),
        EVERYBODY: np.ones(cohort.outcome.size, dtype=np.bool_),
        **{label: each.risk_difference < 0 for label, each in predictions.items()},
        ORACLE: cohort.risk_difference < 0,
    }


def policy_difference(policy: Policy, other: Policy, effects: FloatArray) -> Estimate:
    """Event rate under `policy` minus that under `other`, in the same patients; below 0: `policy` is better.

    `effects`: true risk differences, or scores of them, on any scale. The error is over populations of this size.
    """
    values = (policy.astype(np.float64) - other) * effects
    return Estimate.normal(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


def policy_values[Label](policies: Mapping[Label, Policy], cohort: Cohort) -> pd.DataFrame:
    """True value of each policy, per 1000 of the given patients.

    `bleeds`; `regret`, bleeds above the oracle's, exact for these patients and with its standard error `regret_se` for
    the population they were drawn from; `treated`; `wrong`: treated to their harm, or untreated though it would help.
    """
    effect = cohort.risk_difference
    rows = {}
    for label, policy in policies.items():
        regret = policy_difference(policy, effect < 0, effect)
        rate = (cohort.untreated_risk + policy * effect).mean()
        wrong = ((policy & (effect > 0)) | (~policy & (effect < 0))).mean()
        rows[label] = [rate, regret.value, regret.se, policy.mean(), wrong]
    columns = ["bleeds", "regret", "regret_se", "treated", "wrong"]
    return PER_THOUSAND * pd.DataFrame(list(rows.values()), index=list(rows), columns=columns)


def threshold_curve(predictions: EffectPredictions, thresholds: Iterable[float], cohort: Cohort) -> pd.DataFrame:
    """`policy_values` of "treat if the posterior probability of harm is below c", for each c."""
    at = [float(each) for each in thresholds]
    if not all(0.0 <= each <= 1.0 for each in at):
        raise ValueError(f"every threshold must be a probability from 0 to 1, not {at!r}")
    return policy_values({threshold: predictions.p_harm < threshold for threshold in at}, cohort)


def differences_from(
    reference: str, policies: Mapping[str, Policy], cohort: Cohort, scores: FloatArray
) -> pd.DataFrame:
    """Bleeds per 1000 of each other policy minus those of the reference, in the same patients.

    `true`; `value`, `se`, `lower`, `upper` (estimate, 95 % interval); and `patients_needed` to find the true
    difference, at the spread of the scores in this trial.
    """
    rows = {}
    for label, policy in policies.items():
        if label != reference:
            true = policy_difference(policy, policies[reference], PER_THOUSAND * cohort.risk_difference).value
            found = policy_difference(policy, policies[reference], PER_THOUSAND * scores)
            needed = patients_needed(true, found.se, cohort.outcome.size)
            rows[label] = [true, found.value, found.se, found.lower, found.upper, needed]
    columns = ["true", "value", "se", "lower", "upper", "patients_needed"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def patients_needed(effect: float, se: float, n_patients: int) -> float:
    """Size of a trial that finds `effect` (two-sided 5 %, power 80 %), if one of `n_patients` has the given error."""
    if effect == 0.0:
        return float("inf")
    return n_patients * ((Z + float(norm.ppf(0.8))) * se / abs(effect)) ** 2


def believed_difference(policy: Policy, other: Policy, risk_differences: xr.DataArray, cohort: Cohort) -> pd.Series:
    """What a posterior believes of its own policy, beside the truth: bleeds per 1000, `policy` minus `other`.

    From CATE draws (risk differences; chain, draw, patient): mean `believed`, central 95 % `lower`, `upper`; `true`.
    """
    draws = risk_differences.transpose("chain", "draw", "patient").to_numpy().reshape(-1, policy.size)
    believed = PER_THOUSAND * draws @ ((policy.astype(np.float64) - other) / policy.size)
    lower, upper = np.quantile(believed, (0.025, 0.975))
    true = policy_difference(policy, other, PER_THOUSAND * cohort.risk_difference).value
    return pd.Series({"believed": believed.mean(), "lower": lower, "upper": upper, "true": true})
