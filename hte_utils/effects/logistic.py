"""Logistic regression: a trial as numbers, terms of models, the fit, errors of what follows, tests of heterogeneity.

Two fits, because two things are asked. `fit_logistic` is statsmodels' generalized linear model, with the covariance,
the likelihood and a test for separation. `fit_replicates` fits three hundred bootstrap replicates at once, which
statsmodels, a model a call, does not do in the time of a chapter.

The event is bleeding, so a positive log odds ratio of treatment is harm, and a positive interaction (a ratio of odds
ratios, on the log scale) more harm for patients with more of the covariate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import chi2, norm

from hte_utils.model.candidates import ALL_MODIFIERS_SPEC
from hte_utils.model.checks import FloatArray, TrialWarning
from hte_utils.model.spec import PAPER_SPEC, Patients, TrialDesign, TrialSpec
from hte_utils.model.threads import one_blas_thread

type Terms = Callable[[FloatArray, float | FloatArray], FloatArray]
"""From covariates, shape (patients, covariates), and arm to a model's terms, shape (patients, terms)."""

Z = float(norm.isf(0.025))
"""Half a 95 % Wald interval, in standard errors."""

COVARIATES = (*(covariate.column for covariate in ALL_MODIFIERS_SPEC.prognostic), ALL_MODIFIERS_SPEC.group)
"""What the frequentist methods know of a patient: the same as the all-modifiers Bayesian model."""

_DEVIANCE_TOLERANCE = 1e-10  # the default, 1e-8, leaves an error in the sixth digit
_SUSPICIOUS_ERROR = 5.0
"""A log odds ratio with a standard error above this (per SD, or yes against no) makes the test for separation run."""
_STEPS, _LARGEST_STEP, _SMALL_STEP = 40, 4.0, 1e-8
_LARGEST_LOG_ODDS = 500.0  # where exp() is still finite
_MOST_PRODUCTS = 2**24  # of patients' terms that are kept (128 MiB); beyond it each replicate is a product of its own


def expit_in_place(log_odds: FloatArray) -> FloatArray:
    """Turn log odds into probabilities, in the array that is given, several times faster than `scipy.special.expit`.

    Log odds below -709 overflow: callers see to it that there are none.
    """
    np.negative(log_odds, out=log_odds)
    np.exp(log_odds, out=log_odds)
    log_odds += 1.0
    return np.reciprocal(log_odds, out=log_odds)


@dataclass(frozen=True, slots=True, eq=False)
class TrialNumbers:
    """What a frequentist method sees of a trial."""

    # (patients, covariates), as `COVARIATES`: numbers in SD from the mean, the others 0 or 1; each group but the first
    covariates: FloatArray
    treatment: FloatArray  # 0/1, (patients,)
    outcome: FloatArray  # 0/1, (patients,)
    design: TrialDesign  # puts other patients on the same scale

    @classmethod
    def of(cls, trial: pd.DataFrame, spec: TrialSpec = ALL_MODIFIERS_SPEC) -> TrialNumbers:
        """Read a trial; errors as for `TrialSpec.design`, so a constant covariate is refused by name."""
        with warnings.catch_warnings():
            # It speaks of priors, which these methods do not have; what an arm without events does to them they say.
            warnings.simplefilter("ignore", TrialWarning)
            design = spec.design(trial)
        # Copies, because some libraries refuse read-only arrays.
        return cls(_matrix(design), design.treatment.copy(), design.outcome.copy(), design)

    def encode(self, patients: pd.DataFrame) -> FloatArray:
        """Covariates of other patients, shape (patients, covariates), on the scale of the trial."""
        return _matrix(self.design.apply(patients))


def _matrix(patients: Patients) -> FloatArray:
    groups = np.eye(len(patients.group_labels))[patients.group]
    return np.hstack([patients.prognostic, groups[:, 1:]])


def main_effect_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model without interactions: 1, T, X."""
    return np.column_stack([np.ones(len(covariates)), np.broadcast_to(arm, len(covariates)), covariates])


def interaction_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model with every treatment-covariate interaction: 1, T, X, T x X."""
    main = main_effect_terms(covariates, arm)
    return np.hstack([main, main[:, 1:2] * covariates])


def listing_2_terms(covariates: FloatArray, arm: float | FloatArray, *, gender: bool) -> FloatArray:
    """Listing 2's terms, from the covariates of `PAPER_SPEC`: 1, T, X, T x modifiers, and with gender G, T x G."""
    modifiers = [*PAPER_SPEC.modifier_index, *([-1] if gender else [])]
    main = main_effect_terms(covariates if gender else covariates[:, :-1], arm)
    return np.hstack([main, main[:, 1:2] * covariates[:, modifiers]])


class LogisticFit(NamedTuple):
    """Coefficients, shape (terms,), and covariance (expected information); notes: ``separation``, ``not_converged``."""

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    notes: Mapping[str, float]


def fit_logistic(terms: FloatArray, outcome: FloatArray, offset: FloatArray | None = None) -> LogisticFit:
    """Fit a logistic regression by maximum likelihood; ValueError if terms are linearly dependent in these patients.

    `terms`: the intercept among them, (patients, terms). `outcome`, 0/1; `offset`, known log odds: (patients,).
    """
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    require_full_rank(terms)
    # Perfect separation, and the log odds that overflow then, are looked for below by an exact test.
    # One thread: for products of this size more cost more than they gain.
    with warnings.catch_warnings(), np.errstate(over="ignore"), one_blas_thread():
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        model = sm.GLM(outcome, terms, family=sm.families.Binomial(), offset=offset)
        fitted = model.fit(maxiter=100, tol=_DEVIANCE_TOLERANCE)
        coefficients, covariance, log_likelihood = fitted.params, fitted.cov_params(), float(fitted.llf)
        suspicious = fitted.bse.max() > _SUSPICIOUS_ERROR
    notes = {} if fitted.converged else {"not_converged": 1.0}
    if offset is None and suspicious and is_separated(terms, outcome):
        notes["separation"] = 1.0
    return LogisticFit(np.asarray(coefficients), np.asarray(covariance), log_likelihood, notes)


def is_separated(terms: FloatArray, outcome: FloatArray) -> bool:
    """Whether some maximum likelihood estimate is infinite: Konis's linear programme, by firthmodels."""
    from firthmodels import detect_separation

    return bool(detect_separation(terms, outcome, fit_intercept=False).separation)


def require_full_rank(terms: FloatArray) -> None:
    """Refuse terms, shape (patients, terms), that are linearly dependent in these patients."""
    rank = int(np.linalg.matrix_rank(terms))
    if rank < terms.shape[1]:
        raise ValueError(
            f"only {rank} of the model's {terms.shape[1]} terms are linearly independent among these {len(terms)} "
            "patients, e.g. because a risk factor occurs in one arm only: such a trial cannot tell its interaction "
            "with treatment. Take a method that shrinks, or fewer covariates"
        )


def risk_model(numbers: TrialNumbers) -> tuple[Callable[[FloatArray], FloatArray], Mapping[str, float]]:
    """Fit the first stage of the PATH statement: the event on the covariates, without knowledge of the arm.

    A function from covariates to predicted log odds less their mean in the trial, shape (patients, 1); the fit's notes.
    """

    def terms(covariates: FloatArray) -> FloatArray:
        return np.column_stack([np.ones(len(covariates)), covariates])

    own = terms(numbers.covariates)
    fitted = fit_logistic(own, numbers.outcome)
    centre = float((own @ fitted.coefficients).mean())
    return lambda x: (terms(x) @ fitted.coefficients - centre)[:, None], fitted.notes


def risks_and_gradients(coefficients: FloatArray, terms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Risks of patients with these terms, shape (patients,), and their derivatives by the coefficients, as `terms`."""
    risk = expit(terms @ coefficients)
    return risk, (risk * (1.0 - risk))[:, None] * terms


def delta_method_errors(gradients: FloatArray, covariance: FloatArray) -> FloatArray:
    """Standard errors of functions of the coefficients (Oehlert 1992), from gradients of shape (..., terms)."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("...i,...i->...", gradients @ covariance, gradients), 0.0)))


def fit_replicates(
    terms: FloatArray,
    outcome: FloatArray,
    *,
    offset: FloatArray | None = None,
    weights: FloatArray | None = None,
    precision: FloatArray | None = None,
) -> FloatArray:
    """Maximum-likelihood coefficients of logistic regressions that share their terms, all at once by Newton's method.

    `terms`: shape (patients, terms), the intercept among them if one is wanted. `outcome`: 0/1 or probabilities, shape
    (patients,), or (replicates, patients) if each replicate has its own. `offset`: known part of the log odds, shape
    (patients,). `weights`: how often each patient counts, shape (replicates, patients). `precision`: ridge penalty, the
    coefficients are posterior modes under Normal(0, 1 / precision) priors, shape (terms,).

    Shape (replicates, terms); NaN where there is no finite maximum (separation) or the terms are collinear.
    """
    weights = np.ones((1, outcome.shape[-1])) if weights is None else weights
    n_replicates = max(weights.shape[0], outcome.shape[0] if outcome.ndim == 2 else 1)
    n_terms = terms.shape[1]
    squares = None
    if terms.size * n_terms <= _MOST_PRODUCTS:
        squares = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), -1)
    start = np.zeros(n_terms)
    if n_replicates > 1:  # they differ little from all data taken once: that fit is where they start
        once = outcome if outcome.ndim == 1 else np.asarray(outcome.mean(axis=0))
        start = np.nan_to_num(fit_replicates(terms, once, offset=offset, precision=precision)[0])
    beta = np.tile(start, (n_replicates, 1))
    known = 0.0 if offset is None else offset
    penalty = np.zeros(n_terms) if precision is None else precision
    settled = np.zeros(n_replicates, dtype=bool)
    for _ in range(_STEPS):
        probability = expit_in_place(np.clip(beta @ terms.T + known, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS))
        gradient = (weights * (outcome - probability)) @ terms - penalty * beta
        spread = weights * probability * (1.0 - probability)
        if squares is not None:
            information = (spread @ squares).reshape(-1, n_terms, n_terms)
        else:
            information = np.stack([(terms.T * each) @ terms for each in spread])
        information += np.diag(penalty)
        step = _newton_steps(information, gradient)
        settled = np.abs(step).max(axis=1) < _SMALL_STEP
        # A long step overshoots where the likelihood is far from quadratic; it is cut, not turned.
        longest = np.abs(step @ terms.T).max(axis=1, initial=0.0)
        step *= np.minimum(1.0, _LARGEST_STEP / np.maximum(longest, _SMALL_STEP))[:, None]
        beta += step
        if settled.all():
            break
    beta[~settled] = np.nan
    return beta


def _newton_steps(information: FloatArray, gradient: FloatArray) -> FloatArray:
    scale = np.sqrt(np.einsum("rtt->rt", information))
    singular = ~(scale > 0.0).all(axis=1)
    scale[singular] = 1.0
    correlation = information / (scale[:, :, None] * scale[:, None, :])
    correlation[singular] = np.eye(gradient.shape[1])
    collinear = np.linalg.cond(correlation) > 1e12
    correlation[collinear] = np.eye(gradient.shape[1])
    step = np.linalg.solve(correlation, (gradient / scale)[:, :, None])[:, :, 0] / scale
    step[singular | collinear] = _LARGEST_STEP  # never small enough to count as settled
    return np.asarray(step)


class LikelihoodRatioTest(NamedTuple):
    """Two nested logistic models compared: twice the difference of log likelihoods, and that of coefficients."""

    statistic: float
    df: int

    @property
    def p_value(self) -> float:
        """Probability of a larger statistic if the smaller model is true (chi-squared)."""
        return float(chi2.sf(self.statistic, self.df))


def interaction_test(numbers: TrialNumbers, terms: Terms, log_likelihood: float | None = None) -> LikelihoodRatioTest:
    """Test `terms` against the same without those of treatment x covariates.

    `log_likelihood`: of the model with all `terms`, where that was fitted already.
    """
    untreated = terms(numbers.covariates, 0.0)
    main = untreated[:, untreated.any(axis=0)]  # what is left without treatment
    if log_likelihood is None:
        log_likelihood = fit_logistic(terms(numbers.covariates, numbers.treatment), numbers.outcome).log_likelihood
    smaller = fit_logistic(np.column_stack([main, numbers.treatment]), numbers.outcome)
    return LikelihoodRatioTest(2.0 * (log_likelihood - smaller.log_likelihood), untreated.shape[1] - main.shape[1] - 1)


def all_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against every treatment-covariate interaction (8 of them)."""
    return interaction_test(TrialNumbers.of(trial), interaction_terms)


def listing_2_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against the four interactions of Listing 2: age, anticoagulant, diabetes, gender."""
    return interaction_test(TrialNumbers.of(trial, PAPER_SPEC), partial(listing_2_terms, gender=True))


def risk_interaction(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against one that depends on the predicted risk (the PATH statement's model)."""
    numbers = TrialNumbers.of(trial)
    predicted, _ = risk_model(numbers)
    return interaction_test(numbers, lambda x, arm: interaction_terms(predicted(x), arm))


def interactions_one_at_a_time(trial: pd.DataFrame) -> pd.DataFrame:
    """Each interaction alone, beside the main effects of all covariates; index `covariate`.

    `interaction`, `lower`, `upper`: change of the log odds ratio for one SD more (age, BMI, blood pressure) or for the
    second category against the first, with its Wald interval; `p_value` of the likelihood-ratio test; `p_holm`: by
    Holm's method for the number of covariates.
    """
    from statsmodels.stats.multitest import multipletests

    numbers = TrialNumbers.of(trial)
    main = main_effect_terms(numbers.covariates, numbers.treatment)
    constant = fit_logistic(main, numbers.outcome)
    rows = []
    for covariate in numbers.covariates.T:
        single = fit_logistic(np.column_stack([main, numbers.treatment * covariate]), numbers.outcome)
        value, reach = single.coefficients[-1], Z * np.sqrt(single.covariance[-1, -1])
        p_value = LikelihoodRatioTest(2.0 * (single.log_likelihood - constant.log_likelihood), 1).p_value
        rows.append({"interaction": value, "lower": value - reach, "upper": value + reach, "p_value": p_value})
    table = pd.DataFrame(rows, index=pd.Index(COVARIATES, name="covariate"))
    return table.assign(p_holm=multipletests(table["p_value"], method="holm")[1])
