"""Findings on section 2.1: randomisation, Table 2, and the captions of Tables 1 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.audit.case import HAS_BLED, TABLE_3, figure_without_numbers, rows, truncated, uncovered_items
from hte_utils.audit.experiments import (
    BALANCED_WITHIN,
    chance_of_imbalance,
    error_of_the_difference,
    imbalance,
    is_balanced,
)
from hte_utils.ledger.report import Finding
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction import table_1 as baseline
from hte_utils.trial import TrialVariant
from hte_utils.trial.as_described import FEMALE_PROBABILITY

if TYPE_CHECKING:
    from hte_utils.audit.case import Case, Proofs


def data(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on section 2.1, but for its equations."""
    return _setting(case, proofs) | _randomisation(case, proofs) | _captions(proofs) | _laws(case, proofs)


def _setting(case: Case, proofs: Proofs) -> dict[str, Finding]:
    covered = [name for name, column in HAS_BLED.items() if column]
    return {
        "statement.resembles-trial": _by_a_coin(case, proofs),
        "statement.realistic-setting": Finding.not_checkable(
            "the paper does not say what is realistic; no diastolic pressure reaches the systolic"
            if (case.trial["dbp"] < case.trial["sbp"]).all()
            else "the paper does not say what is realistic; some diastolic pressures reach the systolic"
        ),
        "statement.known-risk-factors": Finding(
            {"every item of a clinical bleeding score (HAS-BLED) has a covariate": not uncovered_items()},
            f"{len(covered)} of {len(HAS_BLED)} items have one ({'; '.join(covered)}). Without: "
            f"{', '.join(uncovered_items())}.",
        ),
    }


def _by_a_coin(case: Case, proofs: Proofs) -> Finding:
    """How treatment is allotted, by the listing: no test of significance could tell a fair coin from another."""
    draws = proofs.code["first_draw"] + proofs.code["second_draw"]
    arms = [int((proofs.r_trial["treatment"] == arm).sum()) for arm in (0, 1)]
    printed = [int(printed_number(f"table1.n.{arm}")) for arm in ("control", "treatment")]
    left = imbalance(case.truth.baseline_risk, case.design.treatment == 1)
    return Finding(
        {
            "a fair coin allots it, whoever the patient is": set(draws) == {"rbinom(n_subjects, 1, 0.5)"}
            and arms == printed
        },
        f"The R code draws {draws[-1]}, which no patient's value enters, twice; the second counts. R's run has the "
        f"{arms[0]} and {arms[1]} patients of Table 1. By chance the treated would have had {left:+.2f} percentage "
        "points of risk more (negative: less) without treatment.",
    )


def _randomisation(case: Case, proofs: Proofs) -> dict[str, Finding]:
    random, chosen, hidden = proofs.randomised, proofs.by_risk, proofs.by_hidden_factor
    treated = case.design.treatment == 1
    smd = baseline.standardised_differences(baseline.table_one(case.trial))[list(baseline.COVARIATES)].abs()
    risk = case.truth.baseline_risk
    left, error = imbalance(risk, treated), error_of_the_difference(risk, treated)
    return {
        "statement.equal-probability": _by_a_coin(case, proofs),
        "statement.exchangeability": _by_a_coin(case, proofs),
        "statement.minimize-unconfoundedness": Finding(
            {
                "randomisation leaves more confounding than choice by risk does": abs(random.confounding)
                > abs(chosen.confounding)
            },
            f"Difference between the arms in risk without treatment: {abs(random.confounding):.2f} percentage points "
            f"when randomised, {chosen.confounding:.1f} when patients at high risk are treated more often. "
            "Randomisation minimises confounding; it brings unconfoundedness about.",
        ),
        "statement.absence-of-confounding": Finding(
            {"the propensity score would mostly show confounding by a hidden factor": hidden.found > 0.5},
            f"Joint test significant in {hidden.found:.0%} of trials confounded by a hidden factor "
            f"({hidden.confounding:.1f} percentage points), in {chosen.found:.0%} of those confounded by measured "
            f"risk, in {random.found:.0%} of the randomised. A score that shows nothing confirms nothing.",
        ),
        "statement.randomization-balanced": Finding(
            {
                f"the arms' risks differ by less than {BALANCED_WITHIN} standard errors of the result": is_balanced(
                    risk, treated
                )
            },
            f"Without treatment they differ by {left:+.2f} percentage points, the standard error of a difference in "
            f"bleeding is {error:.2f}. A fair coin fails this in {chance_of_imbalance(risk):.1%} of trials. "
            f"Largest standardised mean difference {smd.max():.3f} ({smd.idxmax()}).",
        ),
    }


def _captions(proofs: Proofs) -> dict[str, Finding]:
    shown = dict.fromkeys(entry.row.partition(":")[0] for entry in entries_of("Table 1"))
    after = [row for row in shown if row not in {*baseline.COVARIATES, "n"}]
    cells = rows(proofs.variants)[TrialVariant.AS_PRINTED][TABLE_3]
    of_the_other = rows(proofs.variants)[TrialVariant.FIRST_DRAW_REMOVED][TABLE_3]
    unlawful = [name for name, row in rows(proofs.laws).items() if row["other"]]
    return {
        "statement.caption-table-1": Finding(
            {"every row is a baseline characteristic": not after},
            f"Rows that are none: {', '.join(after)} (the outcome, and the true effect).",
        ),
        "statement.caption-table-2": Finding(
            {"each is the distribution of a column of the data": not unlawful},
            f"{len(proofs.laws) - len(unlawful)} of {len(proofs.laws)} columns have it for every patient; not so: "
            f"{', '.join(unlawful)}.",
        ),
        "statement.caption-figure-1": figure_without_numbers("02-baseline-table"),
        "statement.caption-table-3": Finding(
            {"they are records of the data that Tables 1 and 4 analyse": cells == 60},
            f"{cells} of 60 cells are (the treatments are not); {of_the_other} are those of the trial that Listing 1 "
            "makes without its first treatment draw.",
        ),
    }


def _laws(case: Case, proofs: Proofs) -> dict[str, Finding]:
    laws, patients = rows(proofs.laws), case.truth.covariates
    n = case.design.n_patients
    women = int(patients.gender.sum())
    female = (case.trial["gender"] == "Female").to_numpy()
    systolic, diastolic = laws["sbp"], laws["dbp"]
    return {
        "statement.age-law": _clamped(case, proofs, "age"),
        "statement.bmi-law": _clamped(case, proofs, "bmi"),
        "statement.gender-law": Finding(
            {
                "1 is female": bool(np.array_equal(female, patients.gender == 1)),
                f"the probability is {FEMALE_PROBABILITY}": laws["gender"]["same"] == n,
            },
            f"Listing 1 has one half, and gives the counts of Table 1; {FEMALE_PROBABILITY} gives other patients. "
            f"{women} of {n} patients are women.",
        ),
        "statement.pressure-law": Finding(
            {
                "the normal law with this mean and covariance": systolic["same"] == diastolic["same"] == n,
                "a limit cut something off": systolic["other"] + diastolic["other"] > 0,
            },
            f"The law without limits gives all {n} pairs. Lowest and highest: systolic {systolic['lowest']:.0f} and "
            f"{systolic['highest']:.0f} mmHg, diastolic {diastolic['lowest']:.0f} and {diastolic['highest']:.0f}.",
        ),
    } | {
        f"statement.{name.replace('_', '-')}-{kind}": Finding(
            {"it gives every patient's value": laws[name]["same"] == n},
            f"Drawn from R's stream by this law, {laws[name]['same']} of {n} patients have the trial's value.",
        )
        for name, kind in {
            "hypertension": "rule",
            "diabetes": "law",
            "smoking": "law",
            "anticoagulant": "law",
            "prior_bleeding": "law",
        }.items()
    }


def _clamped(case: Case, proofs: Proofs, name: str) -> Finding:
    row = rows(proofs.laws)[name]
    return Finding(
        {
            "the normal law, inside the limits": row["same"] + row["at_limit"] == case.design.n_patients,
            "values beyond the limits were cut off, not moved onto them": truncated(proofs, name),
        },
        f"{row['at_limit']:.0f} patients are exactly on a limit, where a truncated law puts nobody; all others are "
        f"as the normal law drew them ({row['lowest']:.1f} to {row['highest']:.1f}).",
    )
