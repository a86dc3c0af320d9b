"""Patients with known risks, and predictions of any quality, for the tests of calibration and decisions."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from hte_utils.corrected.cross_fitting import Cohort, EffectPredictions


def made_trial(n: int = 4000, seed: int = 1) -> tuple[Cohort, EffectPredictions]:
    """Randomised patients with their outcomes and the truth, and predictions that are right."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    untreated = expit(-1.5 + 0.6 * x[:, 0])
    treated = expit(logit(untreated) + 0.1 + 0.8 * x[:, 1])
    treatment = rng.integers(0, 2, n)
    risk = np.where(treatment == 1, treated, untreated)
    truth = predictions(untreated, treated)
    outcome = (rng.random(n) < risk).astype(int)
    return Cohort(outcome, treatment, untreated, truth.risk_difference, truth.log_odds_ratio, 0.5), truth


def predictions(untreated: np.ndarray, treated: np.ndarray) -> EffectPredictions:
    return EffectPredictions(
        untreated, treated - untreated, logit(treated) - logit(untreated), (treated > untreated).astype(float)
    )


def stretched(truth: EffectPredictions, factor: float) -> EffectPredictions:
    """Log odds ratios multiplied by `factor`: predicted too far apart if it is above 1."""
    log_odds = logit(truth.baseline_risk)
    return predictions(truth.baseline_risk, expit(log_odds + factor * truth.log_odds_ratio))


def some(truth: EffectPredictions, rows: np.ndarray) -> EffectPredictions:
    """The predictions for some of the patients."""
    return EffectPredictions(*(values[rows] for values in truth[:4]))
