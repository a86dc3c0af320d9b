"""What a propensity score can see of confounding, and what randomisation does about it.

In a simulated trial confounding can be looked at directly: it is the difference between the arms in the risk of
bleeding that the same patients would have without treatment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import norm

from hte_utils.baseline import covariate_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.trial import TrialTruth

SIGNIFICANT: Final = 0.05
BALANCED_WITHIN: Final = 0.5
"""Chance has left the arms alike when their risks without treatment differ by less than this many standard errors of
the trial's result: what is left is then small beside what the trial cannot know anyway."""
_PREFERENCE: Final = 1.0  # log odds ratio of being treated: patients above the median risk, or per SD of what is hidden


@dataclass(frozen=True, slots=True)
class Allocation:
    """How much confounding a way of allotting treatment leaves, over many trials with the same patients."""

    confounding: (
        float  # mean difference of the arms' risks without treatment, treated minus control (percentage points)
    )
    spread: float  # its standard deviation over the trials
    found: float  # share of the trials with a significant (5 %) joint test of the propensity score's covariates
    trials: int


def randomised(trial: pd.DataFrame, truth: TrialTruth, trials: int, rng: np.random.Generator) -> Allocation:
    """Toss a fair coin for every patient, as Listing 1 does."""
    arms = [rng.random(len(trial)) < 0.5 for _ in range(trials)]
    return _summarise(trial, [(arm, truth.baseline_risk) for arm in arms])


def by_risk(trial: pd.DataFrame, truth: TrialTruth, trials: int, rng: np.random.Generator) -> Allocation:
    """Treat patients above the median risk more often: confounding by what has been measured."""
    preference = _PREFERENCE * np.sign(truth.baseline_risk - np.median(truth.baseline_risk))
    arms = [rng.random(len(trial)) < expit(preference) for _ in range(trials)]
    return _summarise(trial, [(arm, truth.baseline_risk) for arm in arms])


def by_hidden_factor(trial: pd.DataFrame, truth: TrialTruth, trials: int, rng: np.random.Generator) -> Allocation:
    """Treat by something that raises the risk and that nobody has measured: confounding that is not in the table."""
    made = []
    for _ in range(trials):
        hidden = rng.standard_normal(len(trial))
        risk = expit(logit(truth.baseline_risk) + hidden)
        made.append((rng.random(len(trial)) < expit(_PREFERENCE * hidden), risk))
    return _summarise(trial, made)


def _summarise(trial: pd.DataFrame, made: list[tuple[NDArray[np.bool_], NDArray[np.float64]]]) -> Allocation:
    differences = [imbalance(risk, treated) for treated, risk in made]
    covariates = covariate_table(trial)
    p_values = [joint_test(covariates, treated) for treated, _ in made]
    return Allocation(
        confounding=float(np.mean(differences)),
        spread=float(np.std(differences, ddof=1)),
        found=float(np.mean(np.array(p_values) < SIGNIFICANT)),
        trials=len(made),
    )


def imbalance(risk: NDArray[np.float64], treated: NDArray[np.bool_]) -> float:
    """Return by how much the treated would bleed more often than the others without treatment, in percentage points."""
    return 100 * float(risk[treated].mean() - risk[~treated].mean())


def error_of_the_difference(risk: NDArray[np.float64], treated: NDArray[np.bool_]) -> float:
    """Return the standard error of the difference between the arms' shares of bleeders, in percentage points."""
    arms = 1 / treated.sum() + 1 / (~treated).sum()
    return float(100 * np.sqrt(risk.mean() * (1 - risk.mean()) * arms))


def is_balanced(risk: NDArray[np.float64], treated: NDArray[np.bool_]) -> bool:
    """Whether what chance has left between the arms is small, see `BALANCED_WITHIN`."""
    return abs(imbalance(risk, treated)) < BALANCED_WITHIN * error_of_the_difference(risk, treated)


def chance_of_imbalance(risk: NDArray[np.float64]) -> float:
    """Return the share of trials of these patients that a fair coin leaves not balanced.

    The difference of the arms is normal with the patients' SD where the trial's error has that of the outcomes.
    """
    spread = np.sqrt(risk.mean() * (1 - risk.mean())) / risk.std(ddof=1)
    return float(2 * norm.sf(BALANCED_WITHIN * spread))


def joint_test(covariates: pd.DataFrame, treated: NDArray[np.bool_]) -> float:
    """Return the p-value of all covariates together in the logistic regression of the arm.

    That of `hte_utils.baseline.propensity`, without its other results.
    """
    design = sm.add_constant(covariates.to_numpy())
    return float(sm.Logit(treated.astype(float), design).fit(disp=False).llr_pvalue)
