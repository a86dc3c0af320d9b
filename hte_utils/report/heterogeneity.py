"""Risk models of a reader's trial: cross-fitted risks, risk quintiles, and heterogeneity with its null rate.

*Quintiles.* A logistic regression without interactions, fitted to the other folds, predicts each patient's risk without
treatment; patients are ranked within their fold (`hte_utils.corrected.cross_fitting`), so that the comparison of arms
within quintiles is unbiased.

*Null rates.* Tests and intervals on heterogeneity err more often than they say. So outcomes are simulated from the
fitted model without interactions, which keeps patients, allocation and average effect, and the same procedure is
applied to each simulated trial. The share of them in which it finds something at a nominal 5 % is its null rate; the
p-value that counts is the rank of the trial's own statistic among theirs. (Permuting arms would also take the average
effect away.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import chi2, norm
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.corrected.cross_fitting import N_FOLDS, arm_balanced_folds, groups_within_folds
from hte_utils.effects.logistic import fit_replicates
from hte_utils.model.checks import FloatArray, IntArray

if TYPE_CHECKING:
    from hte_utils.report.columns import OwnTrial

N_GROUPS = 5
LEVEL = 0.05
MEAN, ANY = "mean of these", "at least one of these"
_SLOPE_PRECISION = 1.0  # Normal(0, 1) for every covariate (in SD, or yes against no) and every group, as Listing 2
_FAINT_PRECISION = 0.01  # Normal(0, 10): felt only where an arm has no event, and the likelihood no maximum
_AT_ONCE = 2**22  # numbers in an array of simulated outcomes (32 MiB)
_SCORING_STEPS, _SMALL_STEP = 60, 0.01  # standard errors


class RiskModel(NamedTuple):
    """Terms 1, T, X, group, and the ridge penalty, which is next to none on 1 and T."""

    terms: FloatArray
    precision: FloatArray

    @classmethod
    def of(cls, trial: OwnTrial, number: int = 0) -> RiskModel:
        """Of one imputed version of the covariates."""
        one = np.ones((trial.n, 1))
        slopes = np.hstack([trial.matrix(number), trial.group_dummies()])
        precision = np.append(np.full(2, _FAINT_PRECISION), np.full(slopes.shape[1], _SLOPE_PRECISION))
        return cls(np.hstack([one, trial.treatment[:, None], slopes]), precision)

    def log_odds(self, coefficients: FloatArray, arm: float | None = None) -> FloatArray:
        """Log odds of the event, shape (..., patients): as treated, or with everybody in one arm."""
        found = coefficients @ self.terms.T
        if arm is not None:
            found += coefficients[..., 1:2] * (arm - self.terms[:, 1])
        return np.asarray(found)


class Quintiles(NamedTuple):
    """Patients by cross-fitted risk: each one's `group` (1 = lowest risk) and predicted `risk` without treatment."""

    group: IntArray
    risk: FloatArray
    fold: IntArray

    def members(self) -> pd.DataFrame:
        """Boolean, a column for each group: Q1, Q2, ..."""
        return pd.DataFrame({f"Q{number}": self.group == number for number in range(1, N_GROUPS + 1)})


def risk_quintiles(trial: OwnTrial) -> Quintiles:
    """Rank all patients by their risk without treatment, as models predict it that have not seen their fold."""
    fold = arm_balanced_folds(trial.treatment, N_FOLDS, trial.question.seed)
    others = (fold != np.arange(N_FOLDS)[:, None]).astype(np.float64)
    log_odds = np.zeros(trial.n)
    for number in range(len(trial.imputed)):
        model = RiskModel.of(trial, number)
        fits = fit_replicates(model.terms, trial.outcome, weights=others, precision=model.precision)
        log_odds += _of_own_fold(model, fits, fold) / len(trial.imputed)
    return Quintiles(groups_within_folds(log_odds, fold, N_GROUPS), expit(log_odds), fold)


def _of_own_fold(model: RiskModel, fits: FloatArray, fold: IntArray) -> FloatArray:
    """Untreated log odds, each patient's by the fit that has not seen the fold (or the mean fit, where that failed)."""
    usable = np.where(np.isfinite(fits), fits, np.nanmean(fits, axis=0) if np.isfinite(fits).any() else 0.0)
    untreated = model.terms.copy()
    untreated[:, 1] = 0.0
    return np.asarray(np.einsum("ij,ij->i", untreated, np.nan_to_num(usable)[fold]))


class Statistics(NamedTuple):
    """What the tests of heterogeneity look at, shape (trials,).

    `risk`: likelihood ratio of treatment x predicted risk. `all`: score statistic of treatment x all modifiers.
    `largest`: the largest |z| of a single modifier. `z`: of each, shape (trials, modifiers).
    """

    risk: FloatArray
    all: FloatArray
    largest: FloatArray
    z: FloatArray


class NullModel(NamedTuple):
    """The trial without heterogeneity: one odds ratio for all patients."""

    model: RiskModel
    coefficients: FloatArray
    modifiers: FloatArray

    @classmethod
    def of(cls, trial: OwnTrial, modifiers: FloatArray) -> NullModel:
        """Fit to the trial; `modifiers`: columns that may modify the effect, shape (patients, modifiers)."""
        model = RiskModel.of(trial)
        return cls(model, fit_replicates(model.terms, trial.outcome, precision=model.precision)[0], modifiers)

    def risks(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Probability of the event as treated, if untreated, and if treated, shape (patients,) each."""
        as_treated, untreated, treated = (self.model.log_odds(self.coefficients, arm) for arm in (None, 0.0, 1.0))
        return expit(as_treated), expit(untreated), expit(treated)

    def effects(self) -> FloatArray:
        """Each patient's true risk difference."""
        _, untreated, treated = self.risks()
        return np.asarray(treated - untreated)

    def outcomes(self, trial: OwnTrial) -> Iterator[FloatArray]:
        """Simulate outcomes, in blocks of shape (trials, patients); always the same."""
        rng, wanted = np.random.default_rng((trial.question.seed, 11)), trial.question.simulations
        size, risk = max(1, _AT_ONCE // trial.n), self.risks()[0]
        for first in range(0, wanted, size):
            yield (rng.random((min(size, wanted - first), trial.n)) < risk).astype(np.float64)

    def trials(self, trial: OwnTrial) -> Iterator[OwnTrial]:
        """The same outcomes, one trial after another, with the first of the imputed versions of the covariates."""
        for block in self.outcomes(trial):
            for outcome in block:
                yield replace(trial, outcome=outcome, imputed=trial.imputed[:1])

    def refits(self, outcomes: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """Coefficients for simulated outcomes, shape (replicates, terms).

        Fisher scoring with the information of the null model, whose coefficients are the truth of these outcomes: a few
        products for all replicates. What has not settled after that is fitted by Newton's method.
        """
        terms, precision = self.model
        p = self.risks()[0]
        weight = np.ones(p.size) if weights is None else weights
        information = (terms.T * (weight * p * (1.0 - p))) @ terms + np.diag(precision)
        inverse, scale = np.linalg.inv(information), np.sqrt(np.diag(information))
        beta = np.tile(self.coefficients, (len(outcomes), 1))
        open_ = np.arange(len(outcomes))
        for _ in range(_SCORING_STEPS):
            gradient = (weight * (outcomes[open_] - expit(beta[open_] @ terms.T))) @ terms - precision * beta[open_]
            step = gradient @ inverse
            beta[open_] += step
            open_ = open_[~(np.abs(step * scale).max(axis=1) < _SMALL_STEP)]
            if not open_.size:
                return beta
        rows = None if weights is None else np.tile(weights, (open_.size, 1))
        beta[open_] = fit_replicates(terms, outcomes[open_], weights=rows, precision=precision)
        return beta

    def statistics(self, outcomes: FloatArray, fits: FloatArray) -> Statistics:
        """Of outcomes of shape (trials, patients), from their fits without interactions."""
        terms, _ = self.model
        arm = terms[:, 1]
        p = expit(fits @ terms.T)
        spread = self.risks()[0] * (1.0 - self.risks()[0])
        products = arm[:, None] * self.modifiers
        projected = np.linalg.solve(
            (terms.T * spread) @ terms + 1e-9 * np.eye(terms.shape[1]), (terms.T * spread) @ products
        )
        residual = products - terms @ projected
        variance = (residual.T * spread) @ residual
        score = (outcomes - p) @ residual
        z = score / np.sqrt(np.maximum(np.diag(variance), 1e-12))
        everything = np.einsum("ij,ij->i", score @ np.linalg.pinv(variance, hermitian=True), score)
        ratio = np.array([self._risk_ratio(y, fit) for y, fit in zip(outcomes, fits, strict=True)])
        largest = np.abs(z).max(axis=1, initial=0.0)
        return Statistics(ratio, everything, largest, z)

    def _risk_ratio(self, outcome: FloatArray, fit: FloatArray) -> float:
        """Twice the log likelihood that treatment x predicted risk adds to 1, T and predicted risk."""
        if not np.isfinite(fit).all():
            return np.nan
        arm = self.model.terms[:, 1]
        risk = self.model.terms[:, 2:] @ fit[2:]
        risk -= risk.mean()
        small = np.column_stack([np.ones(arm.size), arm, risk])
        large = np.column_stack([small, arm * risk])
        likelihoods = []
        for terms in (small, large):
            faint = np.full(terms.shape[1], _FAINT_PRECISION)
            log_odds = terms @ fit_replicates(terms, outcome, precision=faint)[0]
            if not np.isfinite(log_odds).all():
                return np.nan
            likelihoods.append(float(outcome @ log_odds - np.logaddexp(0.0, log_odds).sum()))
        return 2.0 * (likelihoods[1] - likelihoods[0])


class Heterogeneity(NamedTuple):
    """Tests and intervals with their null rates.

    `tests`: index test; `statistic`, `df`, `nominal_p`, `p` (calibrated), `null_rate` (share of simulated trials with a
    nominal p below 5 %), the last two with their Monte Carlo standard errors `p_mcse` and `null_rate_mcse`. `single`:
    index modifier; `z` (positive: more events with treatment for more of the modifier), `nominal_p`, `p` (calibrated
    and corrected for their number). `fifths`: of the fifths' 95 % intervals, as `null_rates`. `simulated`: trials that
    could be analysed.
    """

    tests: pd.DataFrame
    single: pd.DataFrame
    fifths: pd.DataFrame
    simulated: int

    @property
    def coverage(self) -> float:
        """Share of the fifths' intervals that held the simulated truth."""
        return 1.0 - float(cast("float", self.fifths.loc[MEAN, "null_rate"]))


def heterogeneity(
    trial: OwnTrial, quintiles: Quintiles, modifiers: FloatArray, names: list[str], progress: Callable[[str], None]
) -> Heterogeneity:
    """Test for heterogeneity; `modifiers`, shape (patients, modifiers), are columns of the first imputed version."""
    null = NullModel.of(trial, modifiers)
    own = null.statistics(trial.outcome[None], null.coefficients[None])
    parts, missed = [], []
    done, wanted = 0, trial.question.simulations
    for outcomes in null.outcomes(trial):
        fits = null.refits(outcomes)
        parts.append(null.statistics(outcomes, fits))
        missed.append(_missed(null, outcomes, quintiles.fold))
        done += len(outcomes)
        progress(f"simulated {done} of {wanted} trials without heterogeneity")
    simulated = Statistics(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return calibrated(own, simulated, np.concatenate(missed), names)


def calibrated(own: Statistics, simulated: Statistics, missed: FloatArray, names: list[str]) -> Heterogeneity:
    """Hold the trial's statistics against those of trials without heterogeneity; `missed` by fifth, as `null_rates`."""
    known = np.isfinite(simulated.risk)
    n_modifiers = max(1, len(names))
    tails: dict[str, Callable[[FloatArray], FloatArray]] = {
        "risk": lambda x: chi2.sf(x, 1),
        "all": lambda x: chi2.sf(x, n_modifiers),
        "largest": lambda x: np.minimum(1.0, 2.0 * n_modifiers * norm.sf(x)),
    }
    words = {
        "risk": "treatment × predicted risk (likelihood ratio)",
        "all": f"treatment × all {n_modifiers} modifiers (score test)",
        "largest": "the strongest single modifier (Bonferroni)",
    }
    rows = {}
    for field, tail in tails.items():
        if field != "risk" and not names:
            continue
        value, others = float(getattr(own, field)[0]), getattr(simulated, field)[known]
        p, rate = _rank(value, others), float((tail(others) < LEVEL).mean()) if others.size else np.nan
        rows[words[field]] = {
            "statistic": value,
            "df": 1 if field != "all" else n_modifiers,
            "nominal_p": float(tail(np.array(value))),
            "p": p,
            "p_mcse": _share_error(p, others.size),
            "null_rate": rate,
            "null_rate_mcse": _share_error(rate, others.size),
            "simulated": others.size,
        }
    z = own.z[0]
    single = pd.DataFrame(
        {
            "z": z,
            "nominal_p": 2.0 * norm.sf(np.abs(z)),
            "p": [_rank(abs(each), simulated.largest[known]) for each in z],
        },
        index=pd.Index(names, name="modifier"),
    )
    fifths = null_rates(missed, [f"Q{number}" for number in range(1, N_GROUPS + 1)])
    return Heterogeneity(pd.DataFrame.from_dict(rows, orient="index"), single, fifths, int(known.sum()))


def null_rates(missed: FloatArray, names: list[str]) -> pd.DataFrame:
    """How often intervals miss the true effect in trials without heterogeneity: 5 % would be nominal.

    `missed`, shape (trials, intervals): 1 if the interval missed, 0 if it held, NaN where there was none. Index
    `names`, then `MEAN` (of the intervals) and `ANY` (at least one of a trial's missed); columns `null_rate`, its Monte
    Carlo standard error `null_rate_mcse` (trials, not intervals, are independent), and `simulated` trials.
    """
    table = pd.DataFrame(missed, columns=pd.Index(names))
    by_trial = table.assign(**{MEAN: table.mean(axis=1), ANY: table.max(axis=1)})
    return pd.DataFrame(
        {
            "null_rate": by_trial.mean(),
            "null_rate_mcse": by_trial.std(ddof=0) / np.sqrt(by_trial.count()),
            "simulated": by_trial.count(),
        }
    )


def _share_error(share: float, n: int) -> float:
    """Monte Carlo standard error of a share of n simulated trials."""
    return float(np.sqrt(share * (1.0 - share) / n)) if n else np.nan


def _rank(value: float, others: FloatArray) -> float:
    """Calibrated p-value; a simulated statistic that differs in the last bits alone counts as equal."""
    if not (np.isfinite(value) and others.size):
        return float("nan")
    return float((1 + (others >= value - 1e-9).sum()) / (1 + others.size))


def _missed(null: NullModel, outcomes: FloatArray, fold: IntArray) -> FloatArray:
    """Whether each quintile's interval misses its true effect, shape (trials, groups)."""
    effects, arm = null.effects(), null.model.terms[:, 1]
    fits = np.stack([null.refits(outcomes, (fold != number).astype(np.float64)) for number in range(N_FOLDS)], axis=1)
    found = np.full((len(outcomes), N_GROUPS), np.nan)
    for place, (y, fit) in enumerate(zip(outcomes, fits, strict=True)):
        if not np.isfinite(fit).all():
            continue
        group = groups_within_folds(_of_own_fold(null.model, fit, fold), fold, N_GROUPS) - 1
        events, n = (
            np.bincount(group + N_GROUPS * (arm == 1.0), each, 2 * N_GROUPS).reshape(2, N_GROUPS)
            for each in (y, np.ones_like(y))
        )
        if not n.all():
            continue
        truth = np.bincount(group, effects, N_GROUPS) / n.sum(axis=0)
        ends = confint_proportions_2indep(
            events[1], n[1], events[0], n[0], method="newcomb", compare="diff", alpha=LEVEL
        )
        found[place] = (truth < ends[0]) | (ends[1] < truth)
    return found
