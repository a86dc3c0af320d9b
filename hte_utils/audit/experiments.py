"""What a propensity score can see of confounding, and what randomisation does about it.

In a simulated trial confounding can be looked at directly: it is the difference between the arms in the risk of
bleeding that the same patients would have without treatment.

Which trial is behind which table: the three readings of Listing 1 against Tables 1, 3 and 4.

How many bleeds a rule of treatment causes or saves, by the truth of the simulated trial.

Table 2 of the paper against the random numbers that made the trial.

Listing 1 draws its columns one after another from R's stream. Here the stream is walked again with the laws that
Table 2 prints, and the columns are compared patient by patient.

Small tables that the chapter *Audit* shows above its verdicts. Positive effects are harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import norm

from hte_utils.audit.case import QUINTILES, TABLE_1, TABLE_3, TABLE_4, table_8
from hte_utils.ledger.entries import Reproduced, Verdict, judge, z_threshold
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.model.store import fit_or_load
from hte_utils.reproduction import table_1 as baseline
from hte_utils.reproduction.table_1 import covariate_table
from hte_utils.reproduction.table_3 import agreement_by_variant
from hte_utils.reproduction.table_4 import table_4_beside_the_paper
from hte_utils.trial import (
    AGE_LIMITS,
    BLOOD_PRESSURE_COVARIANCE,
    BLOOD_PRESSURE_MEAN,
    BMI_LIMITS,
    TrialVariant,
    simulate_trial,
    simulate_truth,
)
from hte_utils.trial.as_described import FEMALE_PROBABILITY, simulate_truth_as_described
from hte_utils.trial.r_stream import RRandom

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from hte_utils.audit.case import Case
    from hte_utils.trial import Covariates, TrialTruth


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

    That of `hte_utils.reproduction.table_1.propensity`, without its other results.
    """
    design = sm.add_constant(covariates.to_numpy())
    return float(sm.Logit(treated.astype(float), design).fit(disp=False).llr_pvalue)


SETTINGS: Final = IndependenceSettings(draws=1000, chains=4, seed=20241101)
"""A small fit for each variant; its Monte Carlo error is part of every comparison."""


def tables_by_variant(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Count the printed numbers that each variant of Listing 1 gives.

    Index: `TrialVariant`. Columns: numbers of Table 1 (exact), cells of Table 3 (exact), and posterior means of
    Table 4 that agree within the ledger's tolerance of the Monte Carlo errors.
    """
    cells = agreement_by_variant(n_subjects, seed)["cells"]
    rows = {}
    for variant in TrialVariant:
        trial = simulate_trial(n_subjects, seed, variant=variant)
        rows[str(variant)] = {
            TABLE_1: _of_table_1(trial),
            TABLE_3: int(cells[str(variant)]),
            TABLE_4: _of_table_4(fit_or_load(PAPER_SPEC.design(trial), settings=SETTINGS)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _of_table_1(trial: pd.DataFrame) -> int:
    values = baseline.table_one_values(baseline.table_one(trial))
    verdicts = [judge(entry_id, Reproduced(value)).verdict for entry_id, value in values.items()]
    return sum(verdict == Verdict.REPRODUCED for verdict in verdicts)


def _of_table_4(posterior: xr.DataTree) -> int:
    gaps = table_4_beside_the_paper(posterior)["difference / error"].astype(float)
    return int((gaps.abs() <= z_threshold()).sum())


TREAT_NOBODY = "treat nobody"
TREAT_ALL = "treat everybody"
LOW_QUINTILES = "treat Q1 and Q2 of Table 8"
HIGH_QUINTILES = "treat Q4 and Q5 of Table 8"
BY_SIGN = "treat where the predicted risk difference is below 0"
ORACLE = "treat where the true risk difference is below 0"


def expected_bleeds(truth: TrialTruth, treated: np.ndarray) -> float:
    """Return the expected number of bleeds when the marked patients, and only they, are treated."""
    return float(np.sum(truth.baseline_risk + truth.risk_difference * treated))


def bleeds_by_rule(case: Case) -> pd.DataFrame:
    """Compare rules of treatment on the trial's patients.

    Index: the rule. Columns: `treated`, the number of patients treated, and `bleeds`, the true expected number of
    bleeds among all patients. Quintiles are those of Table 8; predictions are the model's, gender effects in.
    """
    model, n = case.as_implied, case.design.n_patients
    rules = {
        TREAT_NOBODY: np.zeros(n, dtype=bool),
        TREAT_ALL: np.ones(n, dtype=bool),
        LOW_QUINTILES: case.as_computed.group <= 2,
        HIGH_QUINTILES: case.as_computed.group >= 4,
        BY_SIGN: model.risk_difference < 0,
        ORACLE: case.truth.risk_difference < 0,
    }
    rows = {
        name: {"treated": int(treated.sum()), "bleeds": expected_bleeds(case.truth, treated)}
        for name, treated in rules.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def drawn_by_table_2(n_subjects: int = 2000, seed: int = 123) -> dict[str, NDArray[np.float64]]:
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


def against_the_trial(patients: Covariates, seed: int = 123) -> pd.DataFrame:
    """Count the patients whose value is what the law of Table 2 gives with the same random numbers.

    Index: column of the trial. `same`: patients who agree; `other`: those who do not; `at_limit`: patients exactly
    on a limit that Table 2 names (a law truncated there puts nobody on it); `lowest`, `highest`: of the trial.
    """
    limits = {"age": AGE_LIMITS, "bmi": BMI_LIMITS}
    rows = {}
    for name, drawn in drawn_by_table_2(patients.age.size, seed).items():
        values = np.asarray(getattr(patients, name), dtype=np.float64)
        same = int(np.sum(values == drawn))
        at_limit = int(np.isin(values, limits[name]).sum()) if name in limits else 0
        rows[name] = {
            "same": same,
            "other": values.size - same,
            "at_limit": at_limit,
            "lowest": values.min(),
            "highest": values.max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def table_8_by_reading(case: Case) -> pd.DataFrame:
    """Lay the risk and the effect of Table 8 beside both readings of the posterior.

    Index: quintile. Columns (two levels): mean risk (a probability) and mean effect (log odds ratio of bleeding),
    each as printed, without and with the gender effects.
    """
    columns = {}
    for label, name in (("mean risk", "mean_risk"), ("mean effect", "mean_te")):
        columns[label, "printed"] = table_8(name)
        columns[label, "gender effects left out"] = case.as_computed.log_odds[name].to_numpy()
        columns[label, "gender effects in"] = case.as_implied.log_odds[name].to_numpy()
    return pd.DataFrame(columns, index=list(QUINTILES))


def truth_by_quintile(case: Case) -> pd.DataFrame:
    """Lay what the model says of the patients of each group of Table 8 (gender effects in) beside what is true.

    Index: quintile. Predicted and true risk difference (percentage points, positive = more bleeds), and the share
    of patients (%) whose risk treatment truly raises.
    """
    true, groups = case.as_computed.true, range(1, len(QUINTILES) + 1)
    predicted = [case.as_implied.risk_difference[case.as_computed.group == group].mean() for group in groups]
    return pd.DataFrame(
        {
            "Table 8 (log odds ratio)": table_8("mean_te"),
            "predicted difference": 100 * np.array(predicted),
            "true difference": 100 * true["risk_difference"].to_numpy(),
            "truly harmed (%)": 100 * true["share_harmed"].to_numpy(),
        },
        index=list(QUINTILES),
    )


def described_beside_run(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Simulate the trial as the text describes it and as Listing 1 runs it, and compare what can be told apart.

    Index: the property. Columns: `as described`, `as run`.
    """
    described, run = simulate_truth_as_described(n_subjects, seed), simulate_truth(n_subjects, seed)
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


def confounding_by_allocation(allocations: dict[str, Allocation]) -> pd.DataFrame:
    """Lay ways of allotting treatment beside each other.

    Index: the way. Confounding (percentage points of risk, mean and SD over trials), and the share of trials (%) in
    which the joint test of the propensity score is significant at 5 %.
    """
    rows = {
        label: {
            "confounding (points)": each.confounding,
            "SD over trials": each.spread,
            "seen by the propensity score (%)": 100 * each.found,
        }
        for label, each in allocations.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
