"""The two arms compared without and with the covariates, by the methods of any trial report.

`unadjusted_effects` needs the counts alone. `StandardisedLogit` fits a logistic regression by maximum likelihood
(statsmodels) and standardises it: the frequentist twin of `averages.standardisation`. The event is bleeding, so a
risk difference or log odds ratio above 0, or a risk ratio above 1, is **harm**.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning, PerfectSeparationWarning

from hte_utils.averages.standardisation import Measure
from hte_utils.monte_carlo import require_probability
from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    from hte_utils.spec import TrialDesign

_COLUMNS = ["estimate", "lower", "upper"]


def unadjusted_effects(design: TrialDesign, members: pd.DataFrame, *, interval: float = 0.95) -> pd.DataFrame:
    """Compare the event rates of the two arms, without a model.

    Parameters
    ----------
    design
        The trial.
    members
        Boolean, one row per patient, one column per population.
    interval
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        Index `population`, `measure` (risk difference, risk ratio, marginal log odds ratio by the names of `Measure`);
        columns `estimate`, `lower`, `upper` (Newcombe's interval for the difference, log intervals for the ratios),
        and `events_control`, `n_control`, `events_treated`, `n_treated`.

    Raises
    ------
    ValueError
        If an arm of a population is empty, `members` does not fit, or `interval` is not inside (0, 1).
    """
    require_probability(interval)
    if len(members) != design.n_patients:
        raise ValueError(f"members has {len(members)} rows, the trial {design.n_patients} patients: use the same")
    rows = {}
    for name in members.columns:
        inside = members[name].to_numpy()
        arms = {"control": inside & (design.treatment == 0.0), "treated": inside & (design.treatment == 1.0)}
        counts: dict[str, int] = {}
        for arm, here in arms.items():
            if not here.any():
                raise ValueError(
                    f"population {name!r} has no {arm} patients: there is nothing to compare, leave it out"
                )
            counts |= {f"events_{arm}": int(design.outcome[here].sum()), f"n_{arm}": int(here.sum())}
        for measure, (compare, method) in _COMPARISONS.items():
            rows[name, measure.name] = _compare(counts, compare, method, 1.0 - interval) | counts
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
    return table


_COMPARISONS = {
    Measure.RISK_DIFFERENCE: ("diff", "newcomb"),
    Measure.RISK_RATIO: ("ratio", "log"),
    Measure.MARGINAL_LOG_ODDS_RATIO: ("odds-ratio", "logit"),
}


def _compare(counts: dict[str, int], compare: str, method: str, alpha: float) -> dict[str, float]:
    events, n, events_control, n_control = (
        counts[name] for name in ("events_treated", "n_treated", "events_control", "n_control")
    )
    treated, control = events / n, events_control / n_control
    if compare == "diff":
        estimate = treated - control
    elif 0 in (events, events_control) or (compare == "odds-ratio" and (events == n or events_control == n_control)):
        return dict.fromkeys(_COLUMNS, math.nan)  # a ratio of nothing has no interval on the log scale
    else:
        estimate = treated / control
        if compare == "odds-ratio":
            estimate *= (1 - control) / (1 - treated)
    ends = confint_proportions_2indep(events, n, events_control, n_control, compare=compare, method=method, alpha=alpha)
    found = [estimate, *ends]
    if compare == "odds-ratio":
        found = [math.log(each) for each in found]
    return {column: float(each) for column, each in zip(_COLUMNS, found, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class StandardisedLogit:
    """A logistic regression by maximum likelihood with the terms of the Bayesian model, ready to be standardised.

    Terms: one intercept and one treatment effect per group, the prognostic covariates, and the interactions of the
    modifiers with treatment. The log-likelihood is that of `hte_utils.model`; there is no prior.

    Attributes
    ----------
    untreated, treated
        Design matrices of all patients if nobody, and if everybody is treated, shape (patients, coefficients).
    coefficients
        Maximum likelihood estimates, shape (coefficients,).
    covariance
        Inverse of the observed information, shape (coefficients, coefficients).
    """

    untreated: FloatArray
    treated: FloatArray
    coefficients: FloatArray
    covariance: FloatArray

    @classmethod
    def fit(cls, design: TrialDesign) -> Self:
        """Fit by Newton's method.

        Raises
        ------
        ValueError
            If the likelihood has no maximum (separation: some combination of covariates decides the outcome).
        """
        untreated, treated = (_design_matrix(design, arm * np.ones(design.n_patients)) for arm in (0.0, 1.0))
        with warnings.catch_warnings():
            for trouble in (PerfectSeparationWarning, ConvergenceWarning, HessianInversionWarning, RuntimeWarning):
                warnings.simplefilter("error", trouble)
            try:
                found = Logit(design.outcome, _design_matrix(design, design.treatment)).fit(disp=0, maxiter=50)
            except (Warning, np.linalg.LinAlgError) as error:
                raise ValueError(
                    f"the likelihood has no maximum ({error}): events are separated by the covariates. Use fewer "
                    "covariates, a penalty, or a prior"
                ) from error
        return cls(untreated, treated, np.asarray(found.params), np.asarray(found.cov_params()))

    def effects(self, members: pd.DataFrame, *, interval: float = 0.95) -> pd.DataFrame:
        """Average effects over populations with delta-method intervals, the patients taken as given.

        Returns
        -------
        pandas.DataFrame
            Index `population`, `measure` (all of `Measure`); columns `estimate`, `se`, `lower`, `upper`. Of the risk
            ratio, `se` is that of its logarithm, from which its interval is made.

        Raises
        ------
        ValueError
            If `members` does not fit, or `interval` is not inside (0, 1).
        """
        require_probability(interval)
        if len(members) != len(self.untreated):
            raise ValueError(f"members has {len(members)} rows, the trial {len(self.untreated)} patients: use the same")
        z = float(norm.ppf((1.0 + interval) / 2.0))
        rows = {}
        for name in members.columns:
            for measure, (estimate, gradient) in self._estimates(members[name].to_numpy()).items():
                se = float(np.sqrt(gradient @ self.covariance @ gradient))
                row = np.array([estimate, estimate - z * se, estimate + z * se])
                if measure is Measure.RISK_RATIO:
                    row = np.exp(row)
                rows[name, measure.name] = dict(zip(_COLUMNS, row.tolist(), strict=True)) | {"se": se}
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
        return table

    def _estimates(self, inside: FloatArray) -> dict[Measure, tuple[float, FloatArray]]:
        """Each measure (the risk ratio as its logarithm) with its gradient by the coefficients."""
        risk, slope = [], []
        for matrix in (self.untreated[inside], self.treated[inside]):
            probability = expit(matrix @ self.coefficients)
            risk.append(float(probability.mean()))
            slope.append((probability * (1.0 - probability)) @ matrix / len(matrix))
        odds = [slope[arm] / (risk[arm] * (1.0 - risk[arm])) for arm in (0, 1)]
        log_odds = [math.log(each) - math.log1p(-each) for each in risk]
        contrast = (self.treated[inside] - self.untreated[inside]).mean(axis=0)
        return {
            Measure.RISK_DIFFERENCE: (risk[1] - risk[0], slope[1] - slope[0]),
            Measure.RISK_RATIO: (math.log(risk[1] / risk[0]), slope[1] / risk[1] - slope[0] / risk[0]),
            Measure.MARGINAL_LOG_ODDS_RATIO: (log_odds[1] - log_odds[0], odds[1] - odds[0]),
            Measure.MEAN_LOG_ODDS_RATIO: (float(contrast @ self.coefficients), contrast),
        }


def _design_matrix(design: TrialDesign, treatment: FloatArray) -> FloatArray:
    group = np.eye(len(design.group_labels))[design.group]
    treated = treatment[:, None]
    return np.hstack([group, group * treated, design.prognostic, design.modifiers * treated])
