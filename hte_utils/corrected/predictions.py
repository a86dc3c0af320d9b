"""What fitted models predict for single patients, and the patients to hold that against.

The event is bleeding: a positive effect is harm. The predictions of a posterior are its means, patient by patient, so
that ``treated_risk - baseline_risk`` is exactly ``risk_difference``; the log odds ratio is a mean of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtr

from hte_utils.effects.cate import EffectScale, GroupEffects, PatientEffects, over_blocks
from hte_utils.effects.logistic import delta_method_errors, fit_logistic
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.entries import Reproduced
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.spec import PAPER_SPEC, Patients
from hte_utils.trial import P_TREATED, TrialTruth

if TYPE_CHECKING:
    import xarray as xr

_BATCHES = 8


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

    In eight batches of draws, long against their autocorrelation. So that batches are equal and none lies across two
    chains, there must be 1, 2, 4 or 8 chains, and up to seven draws at the end of a chain are left out.
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
    """Fit a logistic regression on treatment, age and their product to `trial`, and predict `patients`.

    The probability of harm is that of the normal approximation to the log odds ratio at the patient's age.
    """
    design = PAPER_SPEC.design(trial)
    column = design.prognostic_labels.index("age")
    age, arm = design.prognostic[:, column], design.treatment
    fit = fit_logistic(np.column_stack([np.ones(age.size), age, arm, arm * age]), design.outcome)
    line = np.column_stack([np.ones(len(patients)), design.apply(patients).prognostic[:, column]])
    log_odds, effect = line @ fit.coefficients[:2], line @ fit.coefficients[2:]
    se = delta_method_errors(line, fit.covariance[2:, 2:])
    risk = expit(log_odds)
    return EffectPredictions(risk, expit(log_odds + effect) - risk, effect, ndtr(effect / se))


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
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
        names = ("outcome", "treatment", "untreated_risk", "risk_difference", "log_odds_ratio")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})
