"""Findings on the statements of the abstract and of section 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.audit.common import AS_COMPUTED, AS_IMPLIED, FLOAT_NOISE, printed_metric, rows
from hte_utils.audit.data_variants import TABLE_1
from hte_utils.audit.decisions import HIGH_QUINTILES, LOW_QUINTILES, TREAT_ALL, TREAT_NOBODY
from hte_utils.audit.listing_2 import POPULATION, SUBGROUP
from hte_utils.evaluation import point_metrics
from hte_utils.ledger.statements import Finding
from hte_utils.paper import paper_entries, printed_number
from hte_utils.trial import TrialVariant

if TYPE_CHECKING:
    from hte_utils.audit.case import Case
    from hte_utils.audit.proofs import Proofs


def abstract(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on the abstract."""
    return _abstract_methods(case, proofs) | _abstract_accuracy(case) | _abstract_quintiles(case, proofs)


def _abstract_methods(case: Case, proofs: Proofs) -> dict[str, Finding]:
    truth, patients = case.truth, case.truth.covariates
    levels = set(proofs.variables.query("not observed")["level"])
    of_table_1 = rows(proofs.variants)[TrialVariant.AS_PRINTED][TABLE_1]
    distinct = np.unique(case.as_implied.cate.round(9)).size
    risk, effect = truth.baseline_risk, truth.treatment_effect
    given = np.column_stack([np.ones(risk.size), patients.age, patients.anticoagulant, patients.prior_bleeding])
    given = np.column_stack([given, patients.diabetes, patients.sbp, patients.bmi > 30])
    left = [values - given @ np.linalg.lstsq(given, values)[0] for values in (np.log(risk / (1 - risk)), effect)]
    own_part = max(float(np.abs(rest).max()) for rest in left)  # what is left for any other covariate, gender too
    return {
        "statement.hierarchical-model": Finding(
            {
                "the model is hierarchical": {POPULATION, SUBGROUP} <= levels,
                "patients have different effects": distinct > 1,
                "it has covariates of the baseline risk": case.design.prognostic.shape[1] > 0,
            },
            f"Listing 2 has the levels {' and '.join(sorted(levels))}, {case.design.prognostic.shape[1]} covariates "
            f"of the risk, and {distinct} different effects for {case.design.n_patients} patients.",
        ),
        "statement.important-covariates": Finding(
            {
                "age, gender and earlier bleeding are in the data": {"age", "gender", "prior_bleeding"}
                <= set(case.trial.columns),
                "gender matters in the simulated truth": own_part > FLOAT_NOISE,
            },
            "Age, anticoagulants, earlier bleeding, diabetes, systolic pressure and obesity give every patient's "
            f"true log odds and effect without remainder (largest: {own_part:.0e}); nothing is left for gender.",
        ),
        "statement.binary-outcome": Finding(
            {
                "the outcome is 0 or 1": set(case.trial["event"]) == {0, 1},
                "risk factors and effect give its probability": _logit_adds_up(case),
            },
            "In every patient the log odds of the event are the baseline log odds plus, when treated, the effect.",
        ),
        "statement.abstract-simulated": Finding(
            {"Listing 1 alone gives Table 1": of_table_1 == 90},
            f"{of_table_1} of the 90 numbers of Table 1 come from Listing 1 with seed 123, to the last digit.",
        ),
    }


def _logit_adds_up(case: Case) -> bool:
    truth = case.truth
    odds = truth.baseline_risk / (1 - truth.baseline_risk) * np.exp(truth.treatment * truth.treatment_effect)
    return bool(np.allclose(truth.event_probability, odds / (1 + odds), rtol=0, atol=FLOAT_NOISE))


def _abstract_accuracy(case: Case) -> dict[str, Finding]:
    actual = case.truth.treatment_effect
    own = case.metrics_of_table_4(gender_effects=True)
    age_alone = float(np.corrcoef(case.trial["age"], actual)[0, 1])
    same_for_all = point_metrics(np.full(actual.size, actual.mean()), actual).rmse
    return {
        "statement.abstract-correlation": printed_metric(case, "correlation", "0.78"),
        "statement.abstract-rmse": printed_metric(case, "rmse", "0.53"),
        "statement.captures-variability": Finding(
            {
                "predicted differences have the right size (slope within 20 % of 1)": abs(own.calibration_slope - 1)
                < 0.2,
                "the error is below that of one and the same effect for all": own.rmse < same_for_all,
                "patients are ordered better than by age alone": own.correlation > age_alone,
            },
            f"Calibration slope {own.calibration_slope:.2f}; RMSE {own.rmse:.2f}, with the true average for "
            f"everybody {same_for_all:.2f}; correlation with the true effects {own.correlation:.2f}, of age alone "
            f"{age_alone:.2f}.",
        ),
    }


def _abstract_quintiles(case: Case, proofs: Proofs) -> dict[str, Finding]:
    printed = {f"Q{k}": printed_number(f"table8.Q{k}.mean_te") for k in range(1, 6)}
    truth, points = case.as_implied.true, rows(case.as_implied.points)
    true = rows(truth)
    largest = {
        "printed": max(printed, key=lambda name: abs(printed[name])),
        "log odds": str(truth["log_odds_ratio"].abs().idxmax()),
        "risk": str(truth["risk_difference"].abs().idxmax()),
    }
    bleeds = {rule: found["bleeds"] for rule, found in rows(proofs.bleeds).items()}
    without = min(bleeds[TREAT_NOBODY], bleeds[TREAT_ALL])
    return {
        "statement.most-pronounced": Finding(
            {
                "in Table 8 the largest effect is that of Q5": largest["printed"] == "Q5",
                "so it is in truth, on the scale of risks": largest["risk"] == "Q5",
                "so it is in truth, on the paper's log odds": largest["log odds"] == "Q5",
            },
            f"True effects in Q1 and Q5: log odds ratios {true['Q1']['log_odds_ratio']:+.2f} and "
            f"{true['Q5']['log_odds_ratio']:+.2f}; risk differences {100 * true['Q1']['risk_difference']:+.1f} and "
            f"{100 * true['Q5']['risk_difference']:+.1f} percentage points.",
        ),
        "statement.abstract-q5": _printed_mean(case, "Q5"),
        "statement.abstract-q1": _printed_mean(case, "Q1"),
        "statement.q1-harmful": Finding(
            {
                "the average effect in Table 8 is harm": printed["Q1"] > 0,
                "the model predicts harm": points["Q1"]["mean_te"] > 0,
                "it is harm in truth": true["Q1"]["risk_difference"] > 0,
            },
            f"Q1: log odds ratio of bleeding {printed['Q1']:+.2f} in Table 8; risk difference predicted "
            f"{100 * points['Q1']['mean_te']:+.1f}, true {100 * true['Q1']['risk_difference']:+.1f} percentage "
            "points. Fewer bleeds are a benefit.",
        ),
        "statement.importance-of-stratifying": Finding(
            {
                "treating the low quintiles saves bleeds": bleeds[LOW_QUINTILES] < without,
                "treating the high quintiles, as the paper reads its table, does": bleeds[HIGH_QUINTILES] < without,
            },
            f"Expected bleeds: {bleeds[LOW_QUINTILES]:.0f} when Q1 and Q2 are treated, {bleeds[HIGH_QUINTILES]:.0f} "
            f"when Q4 and Q5 are; {bleeds[TREAT_NOBODY]:.0f} when nobody is, {bleeds[TREAT_ALL]:.0f} when all are.",
        ),
    }


def _printed_mean(case: Case, quintile: str) -> Finding:
    printed = printed_number(f"table8.{quintile}.mean_te")
    computed = rows(case.as_computed.log_odds)[quintile]["mean_te"]
    implied = rows(case.as_implied.log_odds)[quintile]["mean_te"]
    return Finding(
        {AS_COMPUTED: abs(computed - printed) < 0.01, AS_IMPLIED: abs(implied - printed) < 0.01},
        f"From Table 4's means and SDs: {computed:.3f} without the gender effects, {implied:.3f} with them; printed "
        f"{printed:.3f} (log odds ratio of bleeding).",
    )


def introduction(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on sections 1.1 and 1.2."""
    effect, difference = case.truth.treatment_effect, case.truth.risk_difference
    older = case.truth.covariates.age > 65
    groups = {"older": float(effect[older].mean()), "younger": float(effect[~older].mean())}
    harmed = float(np.mean(difference > 0))
    levels = set(proofs.variables.query("not observed")["level"])
    places = [f"{entry.row} {entry.column}".lower() for entry in paper_entries() if entry.item in _EFFECT_TABLES]
    return {
        "statement.ate-not-full-story": Finding(
            {"the average hides patients helped and patients harmed": 0.1 < harmed < 0.9},
            f"The true average log odds ratio is {effect.mean():+.2f}; treatment raises the risk of {harmed:.0%} of "
            "the patients and lowers that of the others.",
        ),
        "statement.vary-in-direction": Finding(
            {
                "in size": abs(groups["older"] - groups["younger"]) > effect.std(),
                "in direction": groups["older"] * groups["younger"] < 0,
            },
            f"True average log odds ratio above 65 years {groups['older']:+.2f}, below {groups['younger']:+.2f}.",
        ),
        "statement.average-and-subgroup": Finding(
            {
                "effects of subgroups are printed": any("te_gender" in place for place in places),
                "an average effect is printed": any(word in place for place in places for word in _AVERAGE_WORDS),
            },
            f"No row or column of Tables 4, 7 and 8 ({len(places)} numbers) is an average effect with its "
            "uncertainty; Table 4 has te_gender, Table 8 the risk quintiles.",
        ),
        "statement.fixed-and-random": Finding(
            {"fixed effects": POPULATION in levels, "random effects": SUBGROUP in levels},
            f"Listing 2 has variables of the levels {' and '.join(sorted(levels))}.",
        ),
        "statement.frequentist-alternative": Finding(
            {
                "a frequentist estimate of an effect is printed": any(
                    word in place for place in places for word in _FREQUENTIST_WORDS
                )
            },
            f"None of the {len(places)} numbers of Tables 4, 7 and 8 is one; the only frequentist results are the "
            "p-values of Table 1.",
        ),
    }


_EFFECT_TABLES = ("Table 4", "Table 7", "Table 8")
_AVERAGE_WORDS = ("average", "overall", "ate ", "marginal")
_FREQUENTIST_WORDS = ("frequentist", "logistic", "likelihood", "glm", "ridge", "lasso", "p-value", "confidence")
