"""Doubly robust scores: each patient's outcome under either arm, estimated without bias in a randomised trial.

A patient is seen in one arm. The augmented inverse-probability-weighted score takes the model's prediction for the
other arm and corrects it by the patient's own residual, weighted by the *known* probability of the arm (Robins,
Rotnitzky & Zhao 1994). With predictions that were made without the patient, its mean over any group that was formed
without the outcomes is unbiased, however wrong the model: a good model makes it more precise, that is all.

Whether a ranking finds the patients who benefit: targeting operator characteristic (TOC) and RATE.

Yadlowsky, Fleming, Shah, Brunskill & Wager (2025), Journal of the American Statistical Association 120, 38-51. The
event is bleeding, so **benefit is a negative risk difference**; patients are ranked from most to least predicted
benefit. TOC(q) is the mean benefit of the first share q of the patients minus that of all. The rank-weighted average
treatment effect (RATE) is its weighted area: AUTOC weighs every q alike, QINI by q. Both are 0 on average for a ranking
that has nothing to do with the effects, if the ranking does not know the outcomes: rank one fold at a time
(`hte_utils.corrected.cross_fitting`), never patients of several folds together.

All of these are sums of the scores with weights that depend on the ranks alone. So their standard errors have a closed
form, and no bootstrap is needed. econml has the same measures (`DRTester.evaluate_uplift`), on a grid of percentiles,
with a bootstrap from NumPy's global generator; the tests hold the two together.

What following the predictions would do to patients: the value of a treatment policy.

A policy says who is treated. Its value here is the rate of major bleeds among all patients if it were followed, so
**less is better**. The policies that matter: treat nobody, treat everybody, treat those whose risk the model says
treatment lowers, and the oracle, which knows the true risks. *Regret* is the rate above the oracle's.

The policies of several predictions, laid side by side: what they would truly do, and what one trial can say.

Everything is in bleeds per 1000 patients; less is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.corrected.calibration import Estimate
from hte_utils.effects.strata import tied_ranks
from hte_utils.model.checks import FloatArray, one_per_patient, require_probability, zeros_and_ones

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.corrected.for_benefit import Cohort
    from hte_utils.corrected.predictions import EffectPredictions


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Doubly robust scores, shape (patients,) each: on average the event probability, for one patient far from it.

    `untreated`, `treated`: Scores of the event probability in either arm.
    """

    untreated: FloatArray
    treated: FloatArray

    @property
    def risk_difference(self) -> FloatArray:
        """Treated minus untreated, shape (patients,); positive = harm."""
        return self.treated - self.untreated


def doubly_robust_scores(
    predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike, *, p_treated: float
) -> Scores:
    """Combine predictions and outcomes.

    `predictions`: For the same patients; made without them (cross-fitted, or from another trial).
    `outcome`, `treatment`: 0/1, shape (patients,).
    `p_treated`: The probability with which patients were randomised to treatment. It belongs to the design of the trial
        (`trial.P_TREATED` for Listing 1) and has no default: a wrong one biases every score.
    """
    require_probability("p_treated", p_treated)
    n_patients = predictions.baseline_risk.size
    y, arm = zeros_and_ones("outcome", outcome, n_patients), zeros_and_ones("treatment", treatment, n_patients)
    control, treated = predictions.baseline_risk, predictions.treated_risk
    return Scores(
        untreated=np.asarray(control + (1 - arm) / (1.0 - p_treated) * (y - control)),
        treated=np.asarray(treated + arm / p_treated * (y - treated)),
    )


GRID = np.arange(1, 101) / 100.0
"""Shares of the patients at which curves are drawn."""


def toc(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> FloatArray:
    """Targeting operator characteristic at the shares 1/n, 2/n, ..., 1: shape (patients,).

    `priority`: Who comes first: the larger values. Patients with equal priority share their mean benefit. Shape
        (patients,).
    `benefit`: True benefits, or unbiased scores of them, shape (patients,).
    """
    first = one_per_patient("priority", priority)
    effect = one_per_patient("benefit", benefit, first.size)
    start, end = tied_ranks(-first)
    # Each block of equals, spread over the ranks that it takes up.
    total = np.bincount(start, effect, effect.size)
    ranked = np.empty(effect.size, dtype=np.int64)
    ranked[np.argsort(start, kind="stable")] = np.arange(effect.size)
    shared = np.empty(effect.size)
    shared[ranked] = total[start] / (end - start + 1)
    return np.asarray(np.cumsum(shared) / np.arange(1, effect.size + 1) - effect.mean())


def autoc(curve: FloatArray) -> float:
    """Area under the TOC: its mean over the shares 1/n, ..., 1."""
    return float(curve.mean())


def qini(curve: FloatArray) -> float:
    """Area under q TOC(q)."""
    return float((curve * np.arange(1, curve.size + 1)).sum() / curve.size**2)


def autoc_error(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> float:
    """Standard error of `autoc`; parameters as for `toc`."""
    return float(_spread(_autoc_weights(priority)[None], np.asarray(benefit, dtype=np.float64))[0])


def qini_error(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> float:
    """Standard error of `qini`; parameters as for `toc`."""
    n = np.asarray(priority).size
    by_rank = np.arange(n, 0, -1) / n**2 - (n + 1) / (2.0 * n**2)
    return float(_spread(_weights(by_rank[None], priority), np.asarray(benefit, dtype=np.float64))[0])


def autoc_difference(priority: npt.ArrayLike, other: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[float, float]:
    """How much larger the AUTOC of one ranking is than that of another among the same patients, and its standard error.

    Parameters are those of `toc`.
    """
    difference = _autoc_weights(priority) - _autoc_weights(other)
    effect = np.asarray(benefit, dtype=np.float64)
    return float(difference @ effect), float(_spread(difference[None], effect)[0])


def toc_on_grid(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The curve and its standard error at the shares `GRID`, shape (100,) each; parameters as for `toc`."""
    curve = toc(priority, benefit)
    n = curve.size
    treated = np.maximum(np.rint(GRID * n), 1.0)
    by_rank = (np.arange(n) < treated[:, None]) / treated[:, None] - 1.0 / n
    errors = _spread(_weights(by_rank, priority), np.asarray(benefit, dtype=np.float64))
    return np.interp(GRID, np.arange(1, n + 1) / n, curve), errors


def _autoc_weights(priority: npt.ArrayLike) -> FloatArray:
    n = np.asarray(priority).size
    by_rank = np.cumsum(1.0 / np.arange(n, 0, -1))[::-1] / n - 1.0 / n
    return np.asarray(_weights(by_rank[None], priority)[0])


def _weights(by_rank: FloatArray, priority: npt.ArrayLike) -> FloatArray:
    """Weights by patient from weights by rank, shape (sums, patients): equals share the mean weight of their ranks."""
    start, end = tied_ranks(-np.asarray(priority, dtype=np.float64))
    below = np.pad(np.cumsum(by_rank, axis=1), ((0, 0), (1, 0)))
    return np.asarray((below[:, end + 1] - below[:, start]) / (end - start + 1))


def _spread(weights: FloatArray, effect: FloatArray) -> FloatArray:
    """Standard errors of weighted sums. What the effects vary is little beside the scores' noise: counted as noise."""
    return np.asarray(np.sqrt(np.square(weights) @ np.square(effect - effect.mean()) * effect.size / (effect.size - 1)))


type Policy = npt.NDArray[np.bool_]

PER_THOUSAND = 1000.0


def treat_if_predicted_to_benefit(predictions: EffectPredictions) -> Policy:
    """Treat where the predicted risk difference is below zero, shape (patients,)."""
    return np.asarray(predictions.risk_difference < 0)


def treat_if_harm_is_unlikely(predictions: EffectPredictions, threshold: float) -> Policy:
    """Treat where the posterior probability of harm is below `threshold`, shape (patients,)."""
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must be a probability from 0 to 1, not {threshold!r}")
    return np.asarray(predictions.p_harm < threshold)


class PolicyValue(NamedTuple):
    """The true value of a policy among given patients.

    `event_rate`: Rate of bleeds if the policy is followed (a probability).
    `regret`: That minus the oracle's rate: bleeds that knowing the true risks would avoid.
    `regret_se`: Standard error of `regret` as an estimate for the population the patients were drawn from; for these
        patients themselves the regret is exact.
    `share_treated`: Share of patients it treats.
    `wrong`: Share of patients it treats although treatment harms them, or does not treat although it would help.
    """

    event_rate: float
    regret: float
    regret_se: float
    share_treated: float
    wrong: float


def true_value(policy: npt.ArrayLike, untreated_risk: npt.ArrayLike, risk_difference: npt.ArrayLike) -> PolicyValue:
    """Value of a policy where the true risks are known.

    `policy`: Who is treated, boolean, shape (patients,).
    `untreated_risk`, `risk_difference`: True event probability without treatment, and what treatment adds to it, shape
        (patients,).
    """
    risk, effect = np.asarray(untreated_risk, dtype=np.float64), np.asarray(risk_difference, dtype=np.float64)
    treated = np.asarray(policy)
    avoidable = np.where(treated, np.maximum(effect, 0.0), np.maximum(-effect, 0.0))
    return PolicyValue(
        event_rate=float((risk + treated * effect).mean()),
        regret=float(avoidable.mean()),
        regret_se=float(avoidable.std(ddof=1) / np.sqrt(avoidable.size)),
        share_treated=float(treated.mean()),
        wrong=float((avoidable > 0).mean()),
    )


def estimated_value(policy: npt.ArrayLike, scores: Scores) -> Estimate:
    """Event rate under a policy, estimated from a trial's outcomes.

    `policy`: Who is treated, boolean, shape (patients,); must not have been made from the outcomes in `scores`.
    `scores`: Doubly robust scores of the same patients.
    """
    return mean_estimate(np.where(policy, scores.treated, scores.untreated))


def estimated_difference(policy: Policy, other: Policy, scores: Scores) -> Estimate:
    """Event rate under `policy` minus that under `other`, from the same outcomes; below 0: `policy` is better."""
    return mean_estimate((policy.astype(np.float64) - other) * scores.risk_difference)


def believed_difference(policy: Policy, other: Policy, risk_differences: xr.DataArray) -> FloatArray:
    """Posterior draws of the event rate under `policy` minus that under `other`, among the patients of the draws.

    `policy`, `other`: Boolean, shape (patients,).
    `risk_differences`: Draws of the CATE as risk difference, dims (chain, draw, patient).

    Shape (draws of all chains,): what the *model* believes of its own policy.
    """
    n_patients = risk_differences.sizes["patient"]
    draws = risk_differences.transpose("chain", "draw", "patient").to_numpy().reshape(-1, n_patients)
    return np.asarray(draws @ ((policy.astype(np.float64) - other) / n_patients))


def threshold_curve(
    predictions: EffectPredictions, thresholds: npt.ArrayLike, untreated_risk: FloatArray, risk_difference: FloatArray
) -> pd.DataFrame:
    """True event rate under "treat if the probability of harm is below c", for each c.

    Index `threshold`; columns are the attributes of `PolicyValue`.
    """
    at = [float(each) for each in np.asarray(thresholds, dtype=np.float64)]
    rows = [true_value(treat_if_harm_is_unlikely(predictions, c), untreated_risk, risk_difference) for c in at]
    return pd.DataFrame(rows, index=pd.Index(at, name="threshold"))


def mean_estimate(values: FloatArray) -> Estimate:
    """Mean with its standard error."""
    return Estimate.normal(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


NOBODY, EVERYBODY, ORACLE = "nobody", "everybody", "oracle (true risks known)"


def policies_of(predictions: Mapping[str, EffectPredictions], cohort: Cohort) -> dict[str, Policy]:
    """Treat nobody, everybody, whom each prediction says benefits, and whom the truth says benefits."""
    n_patients = cohort.outcome.size
    return {
        NOBODY: np.zeros(n_patients, dtype=np.bool_),
        EVERYBODY: np.ones(n_patients, dtype=np.bool_),
        **{label: treat_if_predicted_to_benefit(each) for label, each in predictions.items()},
        ORACLE: np.asarray(cohort.risk_difference < 0),
    }


def true_values(policies: Mapping[str, Policy], cohort: Cohort) -> pd.DataFrame:
    """True value of each policy among given patients.

    Index: policy. Per 1000 patients: `bleeds`; `regret`, bleeds above the oracle's, with its standard error
    `regret_se`; `treated`; `wrong`, patients who are treated to their harm or not treated though it would help.
    """
    rows = {name: true_value(each, cohort.untreated_risk, cohort.risk_difference) for name, each in policies.items()}
    table = PER_THOUSAND * pd.DataFrame(list(rows.values()), index=list(rows))
    return table.rename(columns={"event_rate": "bleeds", "share_treated": "treated"})


def regret_difference(policy: Policy, other: Policy, cohort: Cohort) -> Estimate:
    """Bleeds per 1000 under `policy` minus those under `other`, from true risks; below 0: `policy` is better.

    Paired: both policies meet the same patients. The standard error is over populations of this size.
    """
    return mean_estimate(PER_THOUSAND * (policy.astype(np.float64) - other) * cohort.risk_difference)


def differences_from(reference: str, policies: Mapping[str, Policy], cohort: Cohort, scores: Scores) -> pd.DataFrame:
    """Bleeds of each policy minus those of the reference: true, and estimated from the outcomes of the same patients.

    Index: the other policies. Columns `true`; `value`, `se`, `lower`, `upper` (estimate, 95 % interval), and
    `patients_needed`: in a trial of how many patients the true difference would be found (two-sided 5 %, power 80 %),
    at the spread of the scores in this one.
    """
    base = policies[reference]
    rows = {}
    for label, policy in policies.items():
        if label == reference:
            continue
        true = PER_THOUSAND * float(((policy.astype(np.float64) - base) * cohort.risk_difference).mean())
        found = estimated_difference(policy, base, scores)
        shown = [PER_THOUSAND * each for each in (found.value, found.se, found.lower, found.upper)]
        rows[label] = [true, *shown, patients_needed(true, shown[1], cohort.outcome.size)]
    columns = ["true", "value", "se", "lower", "upper", "patients_needed"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def patients_needed(effect: float, se: float, n_patients: int) -> float:
    """Size of a trial that finds `effect` with 80 % power, if one of `n_patients` has the standard error `se`.

    Two-sided test at 5 %: the standard error must be the effect divided by 1.96 + 0.84. Infinite if the effect is 0.
    """
    if effect == 0.0:
        return float("inf")
    power_sum = 1.959963984540054 + 0.8416212335729143
    return n_patients * (power_sum * se / abs(effect)) ** 2


def believed_against(policy: Policy, other: Policy, risk_differences: xr.DataArray, cohort: Cohort) -> pd.Series:
    """What a posterior believes of its own policy, beside the truth: bleeds per 1000, `policy` minus `other`.

    `believed` (posterior mean), `lower`, `upper` (central 95 % credible interval) and `true`, among the patients of the
    draws.
    """
    draws = PER_THOUSAND * believed_difference(policy, other, risk_differences)
    lower, upper = np.quantile(draws, (0.025, 0.975))
    true = PER_THOUSAND * float(((policy.astype(np.float64) - other) * cohort.risk_difference).mean())
    return pd.Series({"believed": draws.mean(), "lower": lower, "upper": upper, "true": true})
