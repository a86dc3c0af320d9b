"""What the audit finds out by doing: other trials, laws, ways of allotting treatment, and rules of whom to treat.

A positive effect is harm: more bleeding.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, xlogy
from scipy.stats import chi2, norm

from hte_utils.effects.logistic import fit_replicates
from hte_utils.ledger.entries import Verdict, judge, z_threshold
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

type BoolArray = NDArray[np.bool_]

TABLE_1, TABLE_3, TABLE_4 = "Table 1 (of 90)", "Table 3 (of 60)", "means of Table 4 (of 12)"
"""Columns of `tables_by_variant`."""
_SMALL_FIT: Final = IndependenceSettings(draws=1000, chains=4, seed=20241101)  # its error is part of each comparison


def tables_by_variant() -> pd.DataFrame:
    """Count the printed numbers that each variant of Listing 1 (the index) gives.

    Numbers of Table 1 and cells of Table 3 exactly, posterior means of Table 4 within the ledger's tolerance.
    """
    cells = agreement_by_variant()["cells"]
    found = {}
    for variant in TrialVariant:
        trial = simulate_trial(variant=variant)
        numbers = table_one_values(table_one(trial)).items()
        verdicts = [judge(entry_id, value).verdict for entry_id, value in numbers]
        posterior = fit_or_load(PAPER_SPEC.design(trial), settings=_SMALL_FIT)
        gaps = table_4_beside_the_paper(posterior)["difference / error"].astype(float)
        found[str(variant)] = {
            TABLE_1: verdicts.count(Verdict.REPRODUCED),
            TABLE_3: int(cells[str(variant)]),
            TABLE_4: int((gaps.abs() <= z_threshold()).sum()),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def drawn_by_table_2(n_subjects: int = 2000, seed: int = 123) -> dict[str, FloatArray]:
    """Draw the columns of Table 2 from R's stream by the printed laws, without any limits.

    Each takes the random numbers that it takes in Listing 1: by the listing's own law all patients come out the same.
    """
    random = RRandom(seed)
    age = random.rnorm(n_subjects, mean=55.0, sd=12.0)
    gender = random.rbinom(n_subjects, 1, FEMALE_PROBABILITY)
    sbp, dbp = random.mvrnorm(n_subjects, BLOOD_PRESSURE_MEAN, BLOOD_PRESSURE_COVARIANCE).T
    bmi = random.rnorm(n_subjects, mean=28.0, sd=5.0)
    columns = {"age": age, "gender": gender, "sbp": sbp, "dbp": dbp, "bmi": bmi}
    columns |= {
        "hypertension": (sbp >= 140) | (dbp >= 90),
        "diabetes": random.rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30)),
        "smoking": random.rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65)),
        "anticoagulant": random.rbinom(n_subjects, 1, 0.3),
        "prior_bleeding": random.rbinom(n_subjects, 1, 0.1),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}


def laws_of_table_2(patients: Covariates, seed: int = 123) -> pd.DataFrame:
    """Count the patients whose value is what the law of Table 2 gives with the same random numbers, by column.

    `same` agree and `other` do not; `at_limit` are exactly on a limit that Table 2 names (a law truncated there puts
    nobody on it); `lowest` and `highest` are of the trial.
    """
    drawn = pd.DataFrame(drawn_by_table_2(patients.age.size, seed))
    values = pd.DataFrame(asdict(patients), dtype=np.float64)[drawn.columns]
    same = (values == drawn).sum()
    at_limit = pd.Series({"age": values["age"].isin(AGE_LIMITS).sum(), "bmi": values["bmi"].isin(BMI_LIMITS).sum()})
    found = pd.DataFrame({"same": same, "other": len(values) - same})
    found["at_limit"] = at_limit.reindex(found.index, fill_value=0)
    return found.assign(lowest=values.min(), highest=values.max())


def described_beside_run() -> pd.DataFrame:
    """Simulate the trial as the text describes it and as Listing 1 runs it (columns): properties that differ (rows)."""
    columns = {}
    trials = {"as described": simulate_truth_as_described(2000, 123), "as run": simulate_truth(2000, 123)}
    for label, truth in trials.items():
        x, difference = truth.covariates, 100 * truth.risk_difference
        at_limit = np.isin(x.age, AGE_LIMITS) | np.isin(x.bmi, BMI_LIMITS)
        columns[label] = {
            "patients exactly on a limit of age or BMI": np.sum(at_limit),
            "women (%)": 100 * x.gender.mean(),
            "patients who bleed (%)": 100 * truth.event.mean(),
            "patients whose risk treatment raises (%)": 100 * np.mean(difference > 0),
            "mean risk difference (points)": difference.mean(),
            "the same, age above 65": difference[x.age > 65].mean(),
            "the same, age up to 65": difference[x.age <= 65].mean(),
            "the same, BMI above 30": difference[x.bmi > 30].mean(),
            "the same, BMI up to 30": difference[x.bmi <= 30].mean(),
        }
    return pd.DataFrame(columns)


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
    the same patients have without treatment. Index: the way (a fair coin; patients above the median risk more often; by
    something unmeasured that raises the risk). Columns: confounding, treated minus control, in percentage points (mean
    and SD over the trials); share of trials (%) in which the propensity score's covariates are jointly significant.
    """
    rng, risk = np.random.default_rng(seed), truth.baseline_risk
    preferred = {BY_COIN: np.zeros(risk.size), BY_RISK: np.sign(risk - np.median(risk))}
    covariates, found = covariate_table(trial), {}
    for way in (BY_COIN, BY_RISK, BY_HIDDEN_FACTOR):
        arms, left = np.empty((trials, risk.size), dtype=bool), np.empty(trials)
        for number in range(trials):
            risks = risk
            if way == BY_HIDDEN_FACTOR:
                preferred[way] = rng.standard_normal(risk.size)
                risks = expit(logit(risk) + preferred[way])
            arms[number] = rng.random(risk.size) < expit(_PREFERENCE * preferred[way])
            left[number] = imbalance(risks, arms[number])
        seen = joint_tests(covariates, arms) < _SIGNIFICANT
        found[way] = {CONFOUNDING: left.mean(), SPREAD: left.std(ddof=1), SEEN: 100 * seen.mean()}
    return pd.DataFrame.from_dict(found, orient="index")


def joint_tests(covariates: pd.DataFrame, arms: BoolArray) -> FloatArray:
    """Likelihood-ratio tests of all covariates in logistic regressions of the arms, (trials, patients): p-values."""
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
    """Return the share of trials of these patients that a fair coin leaves not balanced."""
    # The difference of the arms is normal with the patients' SD where the trial's error has that of the outcomes.
    spread = np.sqrt(risk.mean() * (1 - risk.mean())) / risk.std(ddof=1)
    return float(2 * norm.sf(BALANCED_WITHIN * spread))


TREAT_NOBODY, TREAT_ALL = "treat nobody", "treat everybody"
LOW_QUINTILES, HIGH_QUINTILES = "treat Q1 and Q2 of Table 8", "treat Q4 and Q5 of Table 8"
BY_SIGN = "treat where the predicted risk difference is below 0"
ORACLE = "treat where the true risk difference is below 0"


def bleeds_by_rule(truth: TrialTruth, table_8_group: IntArray, predicted_difference: FloatArray) -> pd.DataFrame:
    """Compare rules of treatment (the index): patients `treated`, and true expected `bleeds` among all patients.

    `table_8_group`: risk quintile, 1 = lowest; `predicted_difference`: risk differences; both of shape (patients,).
    """
    rules = {
        TREAT_NOBODY: table_8_group < 1,
        TREAT_ALL: table_8_group >= 1,
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
