"""What the audit finds out by doing: other trials, laws, ways of allotting treatment, and rules of whom to treat.

A positive effect is harm: more bleeding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, xlogy
from scipy.stats import chi2, norm

from hte_utils.effects.logistic import fit_replicates
from hte_utils.ledger.entries import Reproduced, Verdict, judge, z_threshold
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.model.store import fit_or_load
from hte_utils.reproduction.table_1 import covariate_table, table_one, table_one_values
from hte_utils.reproduction.table_3 import agreement_by_variant
from hte_utils.reproduction.table_4 import table_4_beside_the_paper
from hte_utils.trial import (
    AGE_LIMITS,
    BLOOD_PRESSURE_COVARIANCE,
    BLOOD_PRESSURE_MEAN,
    BMI_LIMITS,
    Covariates,
    TrialTruth,
    TrialVariant,
    simulate_trial,
    simulate_truth,
)
from hte_utils.trial.as_described import FEMALE_PROBABILITY, simulate_truth_as_described
from hte_utils.trial.r_stream import RRandom

if TYPE_CHECKING:
    import xarray as xr

    type BoolArray = NDArray[np.bool_]

TABLE_1, TABLE_3, TABLE_4 = "Table 1 (of 90)", "Table 3 (of 60)", "means of Table 4 (of 12)"
"""Columns of `tables_by_variant`."""
_SMALL_FIT: Final = IndependenceSettings(draws=1000, chains=4, seed=20241101)  # its error is part of each comparison


def tables_by_variant() -> pd.DataFrame:
    """Count the printed numbers that each variant of Listing 1 gives.

    Index: `TrialVariant`. Columns: numbers of Table 1 (exact), cells of Table 3 (exact), and posterior means of
    Table 4 that agree within the ledger's tolerance of the Monte Carlo errors.
    """
    cells = agreement_by_variant()["cells"]
    found = {}
    for variant in TrialVariant:
        trial = simulate_trial(variant=variant)
        numbers = table_one_values(table_one(trial)).items()
        verdicts = [judge(entry_id, Reproduced(value)).verdict for entry_id, value in numbers]
        posterior = fit_or_load(PAPER_SPEC.design(trial), settings=_SMALL_FIT)
        found[str(variant)] = {
            TABLE_1: verdicts.count(Verdict.REPRODUCED),
            TABLE_3: int(cells[str(variant)]),
            TABLE_4: _agreeing_means(posterior),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _agreeing_means(posterior: xr.DataTree) -> int:
    gaps = table_4_beside_the_paper(posterior)["difference / error"].astype(float)
    return int((gaps.abs() <= z_threshold()).sum())


def drawn_by_table_2(n_subjects: int = 2000, seed: int = 123) -> dict[str, FloatArray]:
    """Draw the columns of Table 2 from R's stream by the printed laws, without any limits.

    Each column takes the random numbers that it takes in Listing 1, so a column whose law is the listing's comes out
    the same for every patient.
    """
    random = RRandom(seed)
    age = random.rnorm(n_subjects, mean=55.0, sd=12.0)
    gender = random.rbinom(n_subjects, 1, FEMALE_PROBABILITY)
    sbp, dbp = random.mvrnorm(n_subjects, BLOOD_PRESSURE_MEAN, BLOOD_PRESSURE_COVARIANCE).T
    bmi = random.rnorm(n_subjects, mean=28.0, sd=5.0)
    columns = {
        "age": age,
        "gender": gender,
        "sbp": sbp,
        "dbp": dbp,
        "bmi": bmi,
        "hypertension": (sbp >= 140) | (dbp >= 90),
        "diabetes": random.rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30)),
        "smoking": random.rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65)),
        "anticoagulant": random.rbinom(n_subjects, 1, 0.3),
        "prior_bleeding": random.rbinom(n_subjects, 1, 0.1),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}


def laws_of_table_2(patients: Covariates, seed: int = 123) -> pd.DataFrame:
    """Count the patients whose value is what the law of Table 2 gives with the same random numbers.

    Index: column of the trial. `same`: patients who agree; `other`: those who do not; `at_limit`: patients exactly
    on a limit that Table 2 names (a law truncated there puts nobody on it); `lowest`, `highest`: of the trial.
    """
    limits = {"age": AGE_LIMITS, "bmi": BMI_LIMITS}
    found = {}
    for name, drawn in drawn_by_table_2(patients.age.size, seed).items():
        values = np.asarray(getattr(patients, name), dtype=np.float64)
        same = int(np.sum(values == drawn))
        at_limit = int(np.isin(values, limits.get(name, ())).sum())
        found[name] = {"same": same, "other": values.size - same, "at_limit": at_limit}
        found[name] |= {"lowest": values.min(), "highest": values.max()}
    return pd.DataFrame.from_dict(found, orient="index")


def described_beside_run() -> pd.DataFrame:
    """Simulate the trial as the text describes it and as Listing 1 runs it, and compare what can be told apart.

    Index: the property. Columns: `as described`, `as run`.
    """
    described, run = simulate_truth_as_described(2000, 123), simulate_truth(2000, 123)
    return pd.DataFrame({"as described": _properties(described), "as run": _properties(run)})


def _properties(truth: TrialTruth) -> pd.Series:
    x, difference = truth.covariates, 100 * truth.risk_difference
    at_limit = np.isin(x.age, AGE_LIMITS) | np.isin(x.bmi, BMI_LIMITS)
    return pd.Series(
        {
            "patients exactly on a limit of age or BMI": at_limit.sum(),
            "women (%)": 100 * x.gender.mean(),
            "patients who bleed (%)": 100 * truth.event.mean(),
            "patients whose risk treatment raises (%)": 100 * np.mean(difference > 0),
            "mean risk difference (points)": difference.mean(),
            "the same, age above 65": difference[x.age > 65].mean(),
            "the same, age up to 65": difference[x.age <= 65].mean(),
            "the same, BMI above 30": difference[x.bmi > 30].mean(),
            "the same, BMI up to 30": difference[x.bmi <= 30].mean(),
        }
    )


BY_COIN, BY_RISK, BY_HIDDEN_FACTOR = "by a coin", "by measured risk", "by a hidden factor"
CONFOUNDING, SPREAD, SEEN = "confounding (points)", "SD over trials", "seen by the propensity score (%)"
BALANCED_WITHIN: Final = 0.5
"""Chance has left the arms alike when their risks without treatment differ by less than this many standard errors of
the trial's result: what is left is then small beside what the trial cannot know anyway."""
_SIGNIFICANT: Final = 0.05
_PREFERENCE: Final = 1.0  # log odds ratio of being treated: patients above the median risk, or per SD of what is hidden


def confounding_by_allocation(
    trial: pd.DataFrame, truth: TrialTruth, *, trials: int = 20, seed: int = 20241123
) -> pd.DataFrame:
    """Allot treatment to the same patients in three ways, many times: what confounding is left, and what is seen of it.

    In a simulation confounding can be looked at: it is the difference between the arms in the risk of bleeding that
    the same patients have without treatment.

    Index: the way (a fair coin, as in Listing 1; patients above the median risk more often; by something that raises
    the risk and that nobody has measured). Columns: confounding, treated minus control, in percentage points (mean and
    SD over the trials), and the share of trials (%) in which the propensity score's covariates are jointly significant.
    """
    rng, risk = np.random.default_rng(seed), truth.baseline_risk
    repeated = [risk] * trials
    treat_high = expit(_PREFERENCE * np.sign(risk - np.median(risk)))
    allotted = {
        BY_COIN: [(each, rng.random(risk.size) < 0.5) for each in repeated],
        BY_RISK: [(each, rng.random(risk.size) < treat_high) for each in repeated],
        BY_HIDDEN_FACTOR: [_by_hidden_factor(each, rng) for each in repeated],
    }
    covariates, found = covariate_table(trial), {}
    for way, made in allotted.items():
        left = [imbalance(risks, treated) for risks, treated in made]
        seen = joint_tests(covariates, np.array([treated for _, treated in made])) < _SIGNIFICANT
        found[way] = {CONFOUNDING: np.mean(left), SPREAD: np.std(left, ddof=1), SEEN: 100 * seen.mean()}
    return pd.DataFrame.from_dict(found, orient="index")


def _by_hidden_factor(risk: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    hidden = rng.standard_normal(risk.size)
    return expit(logit(risk) + hidden), rng.random(risk.size) < expit(_PREFERENCE * hidden)


def joint_tests(covariates: pd.DataFrame, arms: BoolArray) -> FloatArray:
    """Test all covariates together in logistic regressions of the arms, shape (trials, patients): p-values, (trials,).

    The test is that of the likelihood ratio.
    """
    terms = np.column_stack([np.ones(len(covariates)), (covariates - covariates.mean()) / covariates.std()])
    log_odds = fit_replicates(terms, arms.astype(np.float64)) @ terms.T
    log_likelihood = -np.logaddexp(0.0, np.where(arms, -log_odds, log_odds)).sum(axis=1)
    share = arms.mean(axis=1)
    without = arms.shape[1] * (xlogy(share, share) + xlogy(1 - share, 1 - share))
    return np.asarray(chi2.sf(2 * (log_likelihood - without), covariates.shape[1]))


def imbalance(risk: FloatArray, treated: BoolArray) -> float:
    """Return by how much the treated would bleed more often than the others without treatment, in percentage points."""
    return 100 * float(risk[treated].mean() - risk[~treated].mean())


def error_of_the_difference(risk: FloatArray, treated: BoolArray) -> float:
    """Return the standard error of the difference between the arms' shares of bleeders, in percentage points."""
    arms = 1 / treated.sum() + 1 / (~treated).sum()
    return float(100 * np.sqrt(risk.mean() * (1 - risk.mean()) * arms))


def is_balanced(risk: FloatArray, treated: BoolArray) -> bool:
    """Whether what chance has left between the arms is small, see `BALANCED_WITHIN`."""
    return abs(imbalance(risk, treated)) < BALANCED_WITHIN * error_of_the_difference(risk, treated)


def chance_of_imbalance(risk: FloatArray) -> float:
    """Return the share of trials of these patients that a fair coin leaves not balanced.

    The difference of the arms is normal with the patients' SD where the trial's error has that of the outcomes.
    """
    spread = np.sqrt(risk.mean() * (1 - risk.mean())) / risk.std(ddof=1)
    return float(2 * norm.sf(BALANCED_WITHIN * spread))


TREAT_NOBODY, TREAT_ALL = "treat nobody", "treat everybody"
LOW_QUINTILES, HIGH_QUINTILES = "treat Q1 and Q2 of Table 8", "treat Q4 and Q5 of Table 8"
BY_SIGN = "treat where the predicted risk difference is below 0"
ORACLE = "treat where the true risk difference is below 0"


def bleeds_by_rule(truth: TrialTruth, table_8_group: IntArray, predicted_difference: FloatArray) -> pd.DataFrame:
    """Compare rules of treatment on the trial's patients.

    `table_8_group`: risk quintile, 1 = lowest; `predicted_difference`: risk differences; both of shape (patients,).
    Index: the rule. Columns: `treated`, the number of patients treated, and `bleeds`, the true expected number of
    bleeds among all patients.
    """
    rules = {
        TREAT_NOBODY: np.zeros(table_8_group.size, dtype=bool),
        TREAT_ALL: np.ones(table_8_group.size, dtype=bool),
        LOW_QUINTILES: table_8_group <= 2,
        HIGH_QUINTILES: table_8_group >= 4,
        BY_SIGN: predicted_difference < 0,
        ORACLE: truth.risk_difference < 0,
    }
    rows = {name: {"treated": int(who.sum()), "bleeds": expected_bleeds(truth, who)} for name, who in rules.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def expected_bleeds(truth: TrialTruth, treated: BoolArray) -> float:
    """Return the expected number of bleeds when the marked patients, and only they, are treated."""
    return float(np.sum(truth.baseline_risk + truth.risk_difference * treated))
