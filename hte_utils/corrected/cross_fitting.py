"""What models predict for single patients, and for patients they have not seen (cross-fitting); the truth beside it.

The event is bleeding: a positive effect is harm. The predictions of a posterior are its means, patient by patient, so
that ``treated_risk - baseline_risk`` is exactly ``risk_difference``; the log odds ratio is a mean of its own.

Whoever ranks patients by a risk model fitted to their own outcomes uses these outcomes twice, and group effects are
biased by it (endogenous stratification; Abadie, Chingos & West 2018). The remedy: cut the patients into folds, take
each fold's risks from a model fitted to the others (Stone 1974; Chernozhukov et al. 2018, Definition 3.1), and rank
patients *within* their fold. Given the other folds, a fold's groups do not depend on its outcomes, so a comparison of
arms within them is unbiased.

That does not give intervals: every fold helps to predict the others, and statistics of all folds together exclude
"nothing" far too often. For these, fold k is predicted from folds 1 to k-1 alone, and the statistic computed in it.
Given the earlier folds its t-value is nearly standard normal if there is nothing to find, and so is the sum of all
t-values over the root of their number (Wager 2024, arXiv 2405.05534). How the folds are dealt is chance. So it is done
for several deals, and estimates and standard errors are averaged: the average varies no more than a single deal, and
the interval errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtr
from sklearn.model_selection import StratifiedKFold

from hte_utils.effects.cate import EffectScale, GroupEffects, PatientEffects, over_blocks
from hte_utils.effects.logistic import delta_method_errors, fit_logistic
from hte_utils.effects.strata import quantile_groups
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.entries import Reproduced
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.model.spec import PAPER_SPEC, Patients
from hte_utils.trial import P_TREATED, TrialTruth

if TYPE_CHECKING:
    import xarray as xr

_BATCHES = 8
N_FOLDS, N_DEALS = 5, 3

IMPLIED, COMPUTED = "Listing 2, as implied", "Listing 2, as computed"
ALL_MODIFIERS, AGE = "all-modifiers model", "age alone"
MODELS: Final[tuple[tuple[CandidateModel, Mapping[str, GroupEffects]], ...]] = (
    (PAPER_MODEL, {IMPLIED: GroupEffects.INCLUDED, COMPUTED: GroupEffects.LEFT_OUT}),
    (ALL_MODIFIERS_MODEL, {ALL_MODIFIERS: GroupEffects.INCLUDED}),
)
"""The Bayesian models of chapter 10 and, by label, what becomes of the group effects in their predictions."""


class EffectPredictions(NamedTuple):
    """Predictions for the patients of one table, in its order. All arrays have shape (patients,).

    `baseline_risk` is the probability of the event without treatment; `risk_difference` (treated minus untreated) and
    `log_odds_ratio` are the effect of treatment, positive = harm; `p_harm` is the posterior probability of harm.
    `batches` are the same from each of several parts of the draws; none if there is no Monte Carlo error.
    """

    baseline_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray
    p_harm: FloatArray
    batches: tuple[EffectPredictions, ...] = ()

    @property
    def treated_risk(self) -> FloatArray:
        """Probability of the event with treatment, shape (patients,)."""
        return self.baseline_risk + self.risk_difference

    def risk_under(self, treatment: npt.ArrayLike) -> FloatArray:
        """Probability of the event under the given treatment (1 = treated), shape (patients,)."""
        return np.where(np.asarray(treatment) == 1, self.treated_risk, self.baseline_risk)

    def number(self, compute: Callable[[EffectPredictions], float]) -> Reproduced:
        """A number computed from the predictions, for the ledger: its Monte Carlo error is that of batch means."""
        value = float(compute(self))
        if not self.batches:
            return Reproduced(value)
        spread = float(np.std([compute(batch) for batch in self.batches], ddof=1))
        return Reproduced(value, spread / sqrt(len(self.batches)))

    @classmethod
    def scattered(cls, parts: Sequence[EffectPredictions], rows: Sequence[IntArray]) -> EffectPredictions:
        """Put predictions of several sets of patients back into one table; `rows` says where each part belongs."""
        place = np.argsort(np.concatenate(rows), kind="stable")
        risk, difference, ratio, p_harm = (
            np.concatenate(values)[place] for values in zip(*(part[:4] for part in parts), strict=True)
        )
        # Batch k of one part has nothing to do with batch k of another: together they are one run of all parts.
        batches = zip(*(part.batches for part in parts), strict=True)
        return cls(risk, difference, ratio, p_harm, tuple(cls.scattered(batch, rows) for batch in batches))


def predict_effects(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> EffectPredictions:
    """Posterior means of every patient's risk and effect, and the probability of harm; arguments as `cate_draws`.

    In eight batches of draws. So that they are equal and none lies across two chains, there must be 1, 2, 4 or 8
    chains, and up to seven draws at the end of a chain are left out.
    """
    sizes = posterior["posterior"].sizes
    per_chain = _BATCHES // sizes["chain"]
    kept = posterior.isel(draw=slice(0, per_chain * (sizes["draw"] // per_chain)))
    effects = PatientEffects.of(kept, patients, group_effects)

    def block(rows: slice) -> FloatArray:
        """Shape (predictions, patients, batches)."""
        untreated, treated, ratio = effects.risks(rows)
        means = [each.reshape(len(each), _BATCHES, -1).mean(axis=2) for each in (untreated, treated, ratio, ratio > 0)]
        return np.stack([means[0], means[1] - means[0], *means[2:]])

    found = np.concatenate(list(over_blocks(block, effects)), axis=1)
    risk, difference, ratio, p_harm = found.mean(axis=2)
    batches = tuple(EffectPredictions(*found[..., batch]) for batch in range(_BATCHES))
    return EffectPredictions(risk, difference, ratio, p_harm, batches)


def predict_by_age(trial: pd.DataFrame, patients: pd.DataFrame) -> EffectPredictions:
    """Predict by a logistic regression on treatment, age and their product; P(harm) by the normal approximation."""
    design = PAPER_SPEC.design(trial)
    column = design.prognostic_labels.index("age")
    age, arm = design.prognostic[:, column], design.treatment
    fit = fit_logistic(np.column_stack([np.ones(age.size), age, arm, arm * age]), design.outcome)
    line = np.column_stack([np.ones(len(patients)), design.apply(patients).prognostic[:, column]])
    log_odds, effect = line @ fit.coefficients[:2], line @ fit.coefficients[2:]
    se = delta_method_errors(line, fit.covariance[2:, 2:])
    risk = expit(log_odds)
    return EffectPredictions(risk, expit(log_odds + effect) - risk, effect, ndtr(effect / se))


class Cohort(NamedTuple):
    """Randomised patients with outcomes and with the truth. All arrays have shape (patients,).

    `outcome` and `treatment` are 0/1, the others true risks and effects (positive = harm). `p_treated` is the
    probability with which each was randomised to treatment: the design's, not the share that came out.
    """

    outcome: IntArray
    treatment: IntArray
    untreated_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray
    p_treated: float

    @classmethod
    def of(cls, truth: TrialTruth) -> Self:
        """Take what is needed from a trial of Listing 1."""
        outcome, treatment = truth.event.astype(np.int64), truth.treatment.astype(np.int64)
        log_odds_ratio = true_cate(truth, EffectScale.LOG_ODDS_RATIO)
        return cls(outcome, treatment, truth.baseline_risk, truth.risk_difference, log_odds_ratio, P_TREATED)

    @property
    def treated_risk(self) -> FloatArray:
        """True probability of the event with treatment."""
        return self.untreated_risk + self.risk_difference

    @property
    def factual_risk(self) -> FloatArray:
        """True probability of the event under the treatment the patient had."""
        return np.where(self.treatment == 1, self.treated_risk, self.untreated_risk)

    def rows(self, rows: IntArray) -> Self:
        """Some of the patients."""
        names = [name for name in self._fields if name != "p_treated"]
        return self._replace(**{name: getattr(self, name)[rows] for name in names})


type Predictor = Callable[[pd.DataFrame, pd.DataFrame, np.random.SeedSequence], dict[str, EffectPredictions]]
"""Fit to the first table, predict the patients of the second, by label; what is random comes from the third."""


def arm_balanced_folds(treatment: npt.ArrayLike, n_folds: int, seed: int) -> IntArray:
    """Deal patients at random to folds, numbered from 0, with the same share of treated (1, not 0) in each.

    The outcome has no say in it, on purpose: folds that were balanced by outcome would depend on it.
    """
    fold = np.empty(np.size(treatment), dtype=np.int64)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(fold, treatment)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def groups_within_folds(risk: npt.ArrayLike, fold: npt.ArrayLike, n_groups: int) -> IntArray:
    """Rank patients within their fold and cut each fold into groups of equal size, 1 = lowest risk."""
    return pd.Series(risk).groupby(np.asarray(fold)).transform(quantile_groups, n_groups).to_numpy()


def group_members(group: npt.ArrayLike) -> pd.DataFrame:
    """Membership table (boolean, a column per group: Q1, Q2, ...) of groups that are numbered from 1."""
    groups = np.asarray(group)
    return pd.DataFrame({f"Q{number}": groups == number for number in range(1, int(groups.max()) + 1)})


def bayesian(model: CandidateModel, versions: Mapping[str, GroupEffects], *, draws: int) -> Predictor:
    """Predict by a Bayesian model, under each label with the group effects in or out; `draws` are effective draws."""

    def predict(
        earlier: pd.DataFrame, following: pd.DataFrame, seed: np.random.SeedSequence
    ) -> dict[str, EffectPredictions]:
        design = model.design(earlier)
        posterior = quick_posterior(design, priors=model.priors, draws=draws, seed=seed).tree()
        patients = design.apply(following)
        return {label: predict_effects(posterior, patients, group_effects=each) for label, each in versions.items()}

    return predict


def by_age(earlier: pd.DataFrame, following: pd.DataFrame, _: np.random.SeedSequence) -> dict[str, EffectPredictions]:
    """Predict by treatment, age and their product alone."""
    return {AGE: predict_by_age(earlier, following)}


def predictors() -> tuple[Predictor, ...]:
    """All that predicts effects in chapter 10, for `predict_sequentially`."""
    return (*(bayesian(model, versions, draws=500) for model, versions in MODELS), by_age)


def cross_fit(
    trial: pd.DataFrame, treatment: IntArray, predictor: Predictor, *, n_folds: int = N_FOLDS, seed: int = 1
) -> dict[str, EffectPredictions]:
    """Predict every patient by a model, standardisation included, that has not seen the patient's fold; by label."""
    fold = arm_balanced_folds(treatment, n_folds, seed)
    parts = [
        predictor(trial.loc[fold != number], trial.loc[fold == number], np.random.SeedSequence((seed, number)))
        for number in range(n_folds)
    ]
    rows = [np.flatnonzero(fold == number) for number in range(n_folds)]
    return {label: EffectPredictions.scattered([part[label] for part in parts], rows) for label in parts[0]}


class NextFold(NamedTuple):
    """The patients of one fold, `rows` of the trial's table, predicted from the folds before it."""

    predictions: EffectPredictions
    rows: IntArray


def predict_sequentially(
    trial: pd.DataFrame, treatment: IntArray, predictor: Predictor, *, n_deals: int = N_DEALS, seed: int = 1
) -> dict[str, list[list[NextFold]]]:
    """Predict each fold from the second on from the folds before it, for several deals of the folds; by label."""
    found: dict[str, list[list[NextFold]]] = {}
    for deal in range(n_deals):
        fold = arm_balanced_folds(treatment, N_FOLDS, seed * n_deals + deal)
        for number in range(1, N_FOLDS):
            rows = np.flatnonzero(fold == number)
            own_seed = np.random.SeedSequence((seed, deal, number))
            for label, predictions in predictor(trial.loc[fold < number], trial.iloc[rows], own_seed).items():
                deals = found.setdefault(label, [[] for _ in range(n_deals)])
                deals[deal].append(NextFold(predictions, rows))
    return found


def combine_folds(values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates whose ratio to their standard error is the sum of the folds' t-values over the root of their number.

    Folds run along the first axis; those without an estimate (NaN) are left out. Estimates, averaged with weights 1 /
    standard error; their standard errors; and the weights, of the shape of `values`. NaN where no fold has an estimate.
    """
    known = np.isfinite(values) & np.isfinite(errors) & (errors > 0.0)
    precision = np.where(known, 1.0 / np.where(known, errors, 1.0), 0.0)
    total = np.where(known.any(axis=0), precision.sum(axis=0), np.nan)
    weights = precision / total
    return (weights * np.where(known, values, 0.0)).sum(axis=0), np.sqrt(known.sum(axis=0)) / total, weights
