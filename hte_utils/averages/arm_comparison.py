"""The two arms compared without and with the covariates, by the methods of any trial report.

`unadjusted_effects` needs the counts alone. `StandardisedLogit` fits a logistic regression by maximum likelihood
(statsmodels) and standardises it: the frequentist twin of `averages.standardisation`. The event is bleeding, so a
risk difference or log odds ratio above 0, or a risk ratio above 1, is **harm**.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning, PerfectSeparationWarning

from hte_utils.averages.standardisation import Measure
from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    from hte_utils.spec import TrialDesign

_INTERVALS = {
    Measure.RISK_DIFFERENCE: ("diff", "newcomb"),
    Measure.RISK_RATIO: ("ratio", "log"),
    Measure.MARGINAL_LOG_ODDS_RATIO: ("odds-ratio", "logit"),
}


def unadjusted_effects(design: TrialDesign, members: pd.DataFrame, *, interval: float = 0.95) -> pd.DataFrame:
    """Compare the event rates of the two arms, without a model.

    Parameters
    ----------
    design, interval
        The trial, and the confidence level.
    members
        Boolean, one row per patient, one column per population.

    Returns
    -------
    pandas.DataFrame
        Index `population`, `measure` (risk difference, risk ratio, marginal log odds ratio by the names of `Measure`);
        columns `estimate`, `lower`, `upper` (Newcombe's interval for the difference, log intervals for the ratios; NaN
        for a ratio of nothing), and `events_control`, `n_control`, `events_treated`, `n_treated`.

    Raises
    ------
    ValueError
        If a population lies in one arm.
    """
    rows = {}
    for name in members.columns:
        arms = {
            "control": members[name] & (design.treatment == 0.0),
            "treated": members[name] & (design.treatment == 1),
        }
        counts = {f"n_{arm}": int(here.sum()) for arm, here in arms.items()}
        for arm in arms:
            if not counts[f"n_{arm}"]:
                raise ValueError(f"population {name!r} has no {arm} patients: it cannot be compared; leave it out")
        counts |= {f"events_{arm}": int(design.outcome[here].sum()) for arm, here in arms.items()}
        for measure in _INTERVALS:
            rows[name, measure.name] = _compare(counts, measure, 1.0 - interval) | counts
    return _table(rows)


def _compare(counts: dict[str, int], measure: Measure, alpha: float) -> dict[str, float]:
    compare, method = _INTERVALS[measure]
    events, n = counts["events_treated"], counts["n_treated"]
    events_control, n_control = counts["events_control"], counts["n_control"]
    treated, control = events / n, events_control / n_control
    if measure is Measure.RISK_DIFFERENCE:
        estimate = treated - control
    elif min(treated, control) == 0.0 or (measure is Measure.MARGINAL_LOG_ODDS_RATIO and max(treated, control) == 1.0):
        return dict.fromkeys(("estimate", "lower", "upper"), math.nan)
    else:
        estimate = treated / control if measure is Measure.RISK_RATIO else float(logit(treated) - logit(control))
    ends = confint_proportions_2indep(events, n, events_control, n_control, compare=compare, method=method, alpha=alpha)
    lower, upper = np.log(ends) if measure is Measure.MARGINAL_LOG_ODDS_RATIO else ends
    return {"estimate": estimate, "lower": float(lower), "upper": float(upper)}


class StandardisedLogit(NamedTuple):
    """A logistic regression by maximum likelihood with the terms of the Bayesian model, ready to be standardised.

    Terms: one intercept and one treatment effect per group, the prognostic covariates, and the interactions of the
    modifiers with treatment. The log-likelihood is that of `hte_utils.model`; there is no prior.

    Attributes
    ----------
    untreated, treated
        Design matrices of all patients if nobody, and if everybody is treated, shape (patients, coefficients).
    coefficients, covariance
        Maximum likelihood estimates, and the inverse of the observed information.
    """

    untreated: FloatArray
    treated: FloatArray
    coefficients: FloatArray
    covariance: FloatArray

    @classmethod
    def fit(cls, design: TrialDesign) -> StandardisedLogit:
        """Fit by Newton's method.

        Raises
        ------
        ValueError
            If the likelihood has no maximum (separation: some combination of covariates decides the outcome).
        """
        with warnings.catch_warnings():
            for trouble in (PerfectSeparationWarning, ConvergenceWarning, HessianInversionWarning, RuntimeWarning):
                warnings.simplefilter("error", trouble)
            try:
                found = Logit(design.outcome, design_matrix(design, design.treatment)).fit(disp=0, maxiter=50)
            except (Warning, np.linalg.LinAlgError) as error:
                raise ValueError(
                    f"the likelihood has no maximum ({error}): events are separated by the covariates. Use fewer "
                    "covariates, a penalty, or a prior"
                ) from error
        untreated, treated = (design_matrix(design, np.full(design.n_patients, arm)) for arm in (0.0, 1.0))
        return cls(untreated, treated, np.asarray(found.params), np.asarray(found.cov_params()))

    def effects(self, members: pd.DataFrame, *, interval: float = 0.95) -> pd.DataFrame:
        """Average effects over populations with delta-method intervals, the patients taken as given.

        Returns
        -------
        pandas.DataFrame
            Index `population`, `measure` (all of `Measure`); columns `estimate`, `se`, `lower`, `upper`. Of the risk
            ratio, `se` is that of its logarithm, from which its interval is made.
        """
        z = float(norm.ppf((1.0 + interval) / 2.0))
        rows = {}
        for name in members.columns:
            for measure, (estimate, gradient) in self._estimates(members[name].to_numpy()).items():
                se = float(np.sqrt(gradient @ self.covariance @ gradient))
                row = np.array([estimate, estimate - z * se, estimate + z * se])
                row = np.exp(row) if measure is Measure.RISK_RATIO else row
                rows[name, measure.name] = dict(zip(("estimate", "lower", "upper"), row, strict=True)) | {"se": se}
        return _table(rows)

    def _estimates(self, inside: FloatArray) -> dict[Measure, tuple[float, FloatArray]]:
        """Each measure (the risk ratio as its logarithm) with its gradient by the coefficients."""
        risk, slope = [], []
        for matrix in (self.untreated[inside], self.treated[inside]):
            probability = expit(matrix @ self.coefficients)
            risk.append(float(probability.mean()))
            slope.append((probability * (1.0 - probability)) @ matrix / len(matrix))
        odds = [slope[arm] / (risk[arm] * (1.0 - risk[arm])) for arm in (0, 1)]
        contrast = (self.treated[inside] - self.untreated[inside]).mean(axis=0)
        return {
            Measure.RISK_DIFFERENCE: (risk[1] - risk[0], slope[1] - slope[0]),
            Measure.RISK_RATIO: (math.log(risk[1] / risk[0]), slope[1] / risk[1] - slope[0] / risk[0]),
            Measure.MARGINAL_LOG_ODDS_RATIO: (float(logit(risk[1]) - logit(risk[0])), odds[1] - odds[0]),
            Measure.MEAN_LOG_ODDS_RATIO: (float(contrast @ self.coefficients), contrast),
        }


def design_matrix(design: TrialDesign, treatment: FloatArray) -> FloatArray:
    """Terms of the Bayesian model under the given treatment, shape (patients, coefficients)."""
    group = np.eye(len(design.group_labels))[design.group]
    treated = treatment[:, None]
    return np.hstack([group, group * treated, design.prognostic, design.modifiers * treated])


def _table(rows: dict[tuple[str, str], dict[str, float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
    return pd.DataFrame(list(rows.values()), index=index)
