"""Findings on section 2.1: randomisation, Table 2, and the captions of Tables 1 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from hte_utils import baseline
from hte_utils.audit.bleeding_score import HAS_BLED, uncovered_items
from hte_utils.audit.common import figure_without_numbers, rows
from hte_utils.audit.data_variants import TABLE_3
from hte_utils.ledger.statements import Finding
from hte_utils.paper import entries_of
from hte_utils.trial import TrialVariant
from hte_utils.trial.as_described import FEMALE_PROBABILITY

if TYPE_CHECKING:
    from hte_utils.audit.case import Case
    from hte_utils.audit.proofs import Proofs


def data(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on section 2.1, but for its equations."""
    return _setting(case, proofs) | _randomisation(case, proofs) | _captions(proofs) | _laws(case, proofs)


def _setting(case: Case, proofs: Proofs) -> dict[str, Finding]:
    sizes = case.trial["treatment"].value_counts()
    covered = [item.name for item in HAS_BLED if item.column]
    return {
        "statement.resembles-trial": Finding(
            {
                "there are two arms": len(sizes) == 2,
                "chance alone has allotted them": proofs.propensity.p_value > 0.05,
            },
            f"Arms of {sizes['Control']} and {sizes['Treatment']} patients; joint test of the ten covariates: p = "
            f"{proofs.propensity.p_value:.2f}.",
        ),
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


def _randomisation(case: Case, proofs: Proofs) -> dict[str, Finding]:
    treated = int(case.design.treatment.sum())
    coin = binomtest(treated, case.design.n_patients, 0.5).pvalue
    random, chosen, hidden = proofs.randomised, proofs.by_risk, proofs.by_hidden_factor
    smd = baseline.standardised_differences(baseline.table_one(case.trial))[list(baseline.COVARIATES)].abs()
    band = 1.96 * np.sqrt(1 / treated + 1 / (case.design.n_patients - treated))
    return {
        "statement.equal-probability": Finding(
            {
                "one half, in all": coin > 0.05,
                "whatever the covariates": proofs.propensity.p_value > 0.05,
            },
            f"{treated} of {case.design.n_patients} treated (p = {coin:.2f} against one half); the covariates do not "
            f"predict the arm (p = {proofs.propensity.p_value:.2f}). Listing 1 tosses a fair coin, twice; the second "
            "counts.",
        ),
        "statement.exchangeability": Finding(
            {
                "on average the arms have the same risk without treatment": abs(random.confounding)
                < 3 * random.spread / np.sqrt(random.trials)
            },
            f"Randomised {random.trials} times, the same patients' risk without treatment differs between the arms "
            f"by {abs(random.confounding):.2f} percentage points on average (SD {random.spread:.2f}).",
        ),
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
            {
                "the propensity score shows confounding by what was measured": chosen.found > 0.5,
                "it shows confounding by what was not": hidden.found > 0.5,
            },
            f"Joint test significant in {chosen.found:.0%} of trials confounded by measured risk, and in "
            f"{hidden.found:.0%} of those confounded by a hidden factor ({hidden.confounding:.1f} percentage "
            f"points); in {random.found:.0%} when randomised. A score that shows nothing confirms nothing.",
        ),
        "statement.randomization-balanced": Finding(
            {
                "each covariate differs by no more than chance explains": bool((smd < band).all()),
                "so do all together": proofs.propensity.p_value > 0.05,
            },
            f"Largest standardised mean difference {smd.max():.3f} ({smd.idxmax()}), 95 % band {band:.3f}; joint "
            f"test p = {proofs.propensity.p_value:.2f}.",
        ),
    }


def _captions(proofs: Proofs) -> dict[str, Finding]:
    shown = dict.fromkeys(entry.row.partition(":")[0] for entry in entries_of("Table 1"))
    after = [row for row in shown if row not in {*baseline.COVARIATES, "n"}]
    by_variant = rows(proofs.variants)
    cells, of_the_other = (
        by_variant[which][TABLE_3] for which in (TrialVariant.AS_PRINTED, TrialVariant.FIRST_DRAW_REMOVED)
    )
    return {
        "statement.caption-table-1": Finding(
            {"it has the baseline covariates": set(baseline.COVARIATES) <= set(shown), "and nothing else": not after},
            f"Rows that are no baseline characteristics: {', '.join(after)} (the outcome, and the true effect).",
        ),
        "statement.caption-figure-1": figure_without_numbers("02-baseline-table"),
        "statement.caption-table-3": Finding(
            {
                "covariates and events are those of the analysed trial": cells >= 55,
                "so are the treatments": cells == 60,
            },
            f"{cells} of 60 cells are those of the trial behind Tables 1 and 4; {of_the_other} are those of the "
            "trial that Listing 1 makes without its first treatment draw.",
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
            f"{women} women of {n} are few for {FEMALE_PROBABILITY} (p = "
            f"{binomtest(women, n, FEMALE_PROBABILITY).pvalue:.3f}).",
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
            "values beyond the limits were cut off, not moved onto them": row["at_limit"] == 0,
        },
        f"{row['at_limit']:.0f} patients are exactly on a limit, where a truncated law puts nobody; all others are "
        f"as the normal law drew them ({row['lowest']:.1f} to {row['highest']:.1f}).",
    )
