"""What following the predictions would do to patients: the value of a treatment policy.

A policy says who is treated. Its value here is the rate of major bleeds among all patients if it were followed, so
**less is better**. The policies that matter: treat nobody, treat everybody, treat those whose risk the model says
treatment lowers, and the oracle, which knows the true risks. *Regret* is the rate above the oracle's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.decisions.doubly_robust import Scores
    from hte_utils.predictions.effect_predictions import EffectPredictions

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
