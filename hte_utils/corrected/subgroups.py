"""Subgroups of patients, the effects within them and between them, and who is harmed with which probability.

Effects within subgroups come from `hte_utils.effects.averages`; whether they *differ* is a question about their
difference and is answered here (a test within each subgroup does not answer it). The event is bleeding: positive
risk differences are **harm**.

The two arms compared without and with the covariates, by the methods of any trial report.

`unadjusted_effects` needs the counts alone. `StandardisedLogit` fits a logistic regression by maximum likelihood
(statsmodels) and standardises it: the frequentist twin of `averages.standardisation`. The event is bleeding, so a
risk difference or log odds ratio above 0, or a risk ratio above 1, is **harm**.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from scipy.stats import norm
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning, PerfectSeparationWarning

from hte_utils.effects.averages import Measure, draws_of, effect_measures, everybody
from hte_utils.effects.logistic import delta_method_errors, risks_and_gradients
from hte_utils.effects.monte_carlo import batch_edges, jackknife_mean, jackknife_quantile
from hte_utils.model.checks import FloatArray, complete_column, one_per_patient, read_covariate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from hte_utils.model.spec import TrialDesign


HARM_CLASSES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class ByCategory:
    """Subgroups by the categories of a column that occur; `label` names the variable in tables ("gender")."""

    column: str
    label: str

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, one per category, in their order."""
        values = complete_column(trial, self.column)
        if not isinstance(values.dtype, pd.CategoricalDtype):
            raise TypeError(f"column {self.column!r} must be categorical, not {values.dtype}: use ByThresholds")
        values = values.cat.remove_unused_categories()
        return pd.DataFrame({f"{self.label}: {level}": (values == level).to_numpy() for level in values.cat.categories})


@dataclass(frozen=True, slots=True)
class ByThresholds:
    """Subgroups of a number cut at increasing thresholds; a value equal to a threshold belongs to the lower group."""

    column: str
    label: str
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.thresholds or any(not low < high for low, high in pairwise(self.thresholds)):
            raise ValueError(f"thresholds must be at least one number, in increasing order, not {self.thresholds!r}")

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, lowest values first."""
        place = np.searchsorted(self.thresholds, read_covariate(trial, self.column), side="left")
        between = [f"above {low:g} to {high:g}" for low, high in pairwise(self.thresholds)]
        labels = [f"{self.thresholds[0]:g} or less", *between, f"above {self.thresholds[-1]:g}"]
        return pd.DataFrame({f"{self.label}: {label}": place == number for number, label in enumerate(labels)})


def memberships(trial: pd.DataFrame, subgroups: Sequence[ByCategory | ByThresholds]) -> pd.DataFrame:
    """Who belongs to which population: all patients first, then each subgroup.

    Boolean, one row per patient (numbered from 0), columns named ``"variable: level"``.
    """
    return pd.concat([everybody(len(trial)), *(each.members(trial) for each in subgroups)], axis=1)


def subgroup_contrasts(risks: xr.Dataset, pairs: Sequence[tuple[str, str]], *, interval: float = 0.95) -> pd.DataFrame:
    """How much the average effect of one population exceeds that of another (interaction), on every scale.

    Parameters
    ----------
    risks
        From `hte_utils.effects.averages.standardised_risks`.
    pairs
        Populations (first, second); the contrast is second minus first (of risk ratios: their ratio).
    interval
        Probability of the equal-tailed credible interval.

    Returns
    -------
    pandas.DataFrame
        Index `contrast` ("second minus first"), `measure`; columns `mean`, `lower`, `upper`, `p_more_harm` (posterior
        probability that the second population is harmed more), `mcse_mean`. The mean of a ratio of risk ratios is
        taken on the log scale.
    """
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    measures = effect_measures(risks)
    rows = {}
    for first, second in pairs:
        for measure in Measure:
            draws = draws_of(measures[measure.name].sel(population=[first, second]))
            is_ratio = measure is Measure.RISK_RATIO
            difference = np.diff(np.log(draws) if is_ratio else draws, axis=1)
            mean = jackknife_mean(difference, edges)
            ends = [jackknife_quantile(difference, p, edges) for p in ((1 - interval) / 2, (1 + interval) / 2)]
            found = [float(np.exp(each.estimate[0]) if is_ratio else each.estimate[0]) for each in (mean, *ends)]
            row = dict(zip(("mean", "lower", "upper"), found, strict=True))
            row |= {"p_more_harm": float((difference > 0).mean()), "mcse_mean": float(mean.mcse()[0])}
            rows[f"{second} minus {first}", measure.name] = row
    return pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["contrast", "measure"]))


def harm_by_probability(
    p_harm: npt.ArrayLike, true_difference: npt.ArrayLike, edges: Sequence[float] = HARM_CLASSES
) -> pd.DataFrame:
    """Hold posterior probabilities of harm against the truth.

    Parameters
    ----------
    p_harm, true_difference
        Each patient's posterior probability that treatment raises the risk, and true risk difference (positive = harm).
    edges
        Bounds of the classes of `p_harm`, from 0 to 1; a value on a bound belongs to the upper class.

    Returns
    -------
    pandas.DataFrame
        Index: the class. `patients`; `expected_harmed`, the mean of `p_harm`; `truly_harmed`, the share whose true risk
        difference is positive; `true_difference`, its mean (a probability). NaN where a class is empty.
    """
    probability, difference = one_per_patient("p_harm", p_harm), np.asarray(true_difference)
    if probability.min() < 0.0 or probability.max() > 1.0:
        raise ValueError("p_harm must hold probabilities from 0 to 1: hand over cate(...)['p_harm']")
    labels = pd.Index([f"{low:g} to {high:g}" for low, high in pairwise(edges)], name="P(harm)")
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(labels) - 1)
    patients = pd.DataFrame(
        {"expected_harmed": probability, "truly_harmed": difference > 0, "true_difference": difference}
    )
    by_class = patients.groupby(labels[place])
    means = by_class.mean().reindex(labels)
    means.insert(0, "patients", by_class.size().reindex(labels, fill_value=0))
    return means


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
    modifiers with treatment. The log-likelihood is that of `hte_utils.model.listing_2`; there is no prior.

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
                se = float(delta_method_errors(gradient, self.covariance))
                row = np.array([estimate, estimate - z * se, estimate + z * se])
                row = np.exp(row) if measure is Measure.RISK_RATIO else row
                rows[name, measure.name] = dict(zip(("estimate", "lower", "upper"), row, strict=True)) | {"se": se}
        return _table(rows)

    def _estimates(self, inside: FloatArray) -> dict[Measure, tuple[float, FloatArray]]:
        """Each measure (the risk ratio as its logarithm) with its gradient by the coefficients."""
        arms = [risks_and_gradients(self.coefficients, terms[inside]) for terms in (self.untreated, self.treated)]
        risk, slope = [float(risks.mean()) for risks, _ in arms], [gradients.mean(axis=0) for _, gradients in arms]
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
