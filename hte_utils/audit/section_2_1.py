"""Findings on section 2.1 and Appendix A: randomisation, Tables 1 to 3, equations (1) to (4), and Listing 1.

Effects are log odds ratios of bleeding unless they say otherwise; positive is harm.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.audit import experiments
from hte_utils.audit.case import FLOAT_NOISE, HAS_BLED, UNCOVERED_ITEMS, Case, figure_without_numbers, linear_form, rows
from hte_utils.audit.experiments import CONFOUNDING, SEEN, TABLE_1, TABLE_3
from hte_utils.audit.listings import evaluated
from hte_utils.ledger.report import Finding
from hte_utils.model.checks import FloatArray
from hte_utils.paper import entries_of, printed, printed_number, statement
from hte_utils.reproduction.table_1 import COVARIATES, standardised_differences, table_one
from hte_utils.trial import LISTING_EFFECT, Covariates, TrialVariant
from hte_utils.trial.as_described import FEMALE_PROBABILITY


def data(case: Case) -> dict[str, Finding]:
    """Findings on section 2.1, but for its equations."""
    return _randomisation(case) | _captions(case) | _laws(case)


def _randomisation(case: Case) -> dict[str, Finding]:
    treated, risk = case.design.treatment == 1, case.truth.baseline_risk
    left, error = experiments.imbalance(risk, treated), experiments.error_of_the_difference(risk, treated)
    # How treatment is allotted, by the listing: no test of significance could tell a fair coin from another.
    draws = case.code["first_draw"] + case.code["second_draw"]
    arms = [int((case.r_trial["treatment"] == arm).sum()) for arm in (0, 1)]
    as_printed = arms == [int(printed_number(f"table1.n.{arm}")) for arm in ("control", "treatment")]
    by_a_coin = Finding(
        {"a fair coin allots it, whoever the patient is": set(draws) == {"rbinom(n_subjects, 1, 0.5)"} and as_printed},
        f"The R code draws {draws[-1]}, which no patient's value enters, twice; the second counts. R's run has the "
        f"{arms[0]} and {arms[1]} patients of Table 1. By chance the treated would have had {left:+.2f} percentage "
        "points of risk more (negative: less) without treatment.",
    )
    covered = [item for item, column in HAS_BLED.items() if column]
    below = (case.trial["dbp"] < case.trial["sbp"]).all()
    pressures = "no diastolic pressure reaches" if below else "some diastolic pressures reach"
    ways = (experiments.BY_COIN, experiments.BY_RISK, experiments.BY_HIDDEN_FACTOR)
    coin, chosen, hidden = (rows(case.confounding)[way] for way in ways)
    by_coin, by_risk = coin[CONFOUNDING], chosen[CONFOUNDING]
    smd = standardised_differences(table_one(case.trial))[list(COVARIATES)].abs()
    alike = f"the arms' risks differ by less than {experiments.BALANCED_WITHIN} standard errors of the result"
    return {
        "statement.resembles-trial": by_a_coin,
        "statement.equal-probability": by_a_coin,
        "statement.exchangeability": by_a_coin,
        "statement.realistic-setting": Finding.not_checkable(
            f"the paper does not say what is realistic; {pressures} the systolic"
        ),
        "statement.known-risk-factors": Finding(
            {"every item of a clinical bleeding score (HAS-BLED) has a covariate": not UNCOVERED_ITEMS},
            f"{len(covered)} of {len(HAS_BLED)} items have one ({'; '.join(covered)}). Without: "
            f"{', '.join(UNCOVERED_ITEMS)}.",
        ),
        "statement.minimize-unconfoundedness": Finding(
            {"randomisation leaves more confounding than choice by risk does": abs(by_coin) > abs(by_risk)},
            f"Difference between the arms in risk without treatment: {abs(by_coin):.2f} percentage points when "
            f"randomised, {by_risk:.1f} when patients at high risk are treated more often. Randomisation minimises "
            "confounding; it brings unconfoundedness about.",
        ),
        "statement.absence-of-confounding": Finding(
            {"the propensity score would mostly show confounding by a hidden factor": hidden[SEEN] > 50},
            f"Joint test significant in {hidden[SEEN]:.0f}% of trials confounded by a hidden factor "
            f"({hidden[CONFOUNDING]:.1f} percentage points), in {chosen[SEEN]:.0f}% of those confounded by measured "
            f"risk, in {coin[SEEN]:.0f}% of the randomised. A score that shows nothing confirms nothing.",
        ),
        "statement.randomization-balanced": Finding(
            {alike: experiments.is_balanced(risk, treated)},
            f"Without treatment they differ by {left:+.2f} percentage points, the standard error of a difference in "
            f"bleeding is {error:.2f}. A fair coin fails this in {experiments.chance_of_imbalance(risk):.1%} of "
            f"trials. Largest standardised mean difference {smd.max():.3f} ({smd.idxmax()}).",
        ),
    }


def _captions(case: Case) -> dict[str, Finding]:
    shown = dict.fromkeys(entry.row.partition(":")[0] for entry in entries_of("Table 1"))
    after = [row for row in shown if row not in {*COVARIATES, "n"}]
    cells, of_the_other = case.numbers_of_table(TABLE_3), rows(case.variants)[TrialVariant.FIRST_DRAW_REMOVED][TABLE_3]
    unlawful = [name for name, row in rows(case.laws).items() if row["other"]]
    return {
        "statement.caption-table-1": Finding(
            {"every row is a baseline characteristic": not after},
            f"Rows that are none: {', '.join(after)} (the outcome, and the true effect).",
        ),
        "statement.caption-table-2": Finding(
            {"each is the distribution of a column of the data": not unlawful},
            f"{len(case.laws) - len(unlawful)} of {len(case.laws)} columns have it for every patient; not so: "
            f"{', '.join(unlawful)}.",
        ),
        "statement.caption-figure-1": figure_without_numbers("02-baseline-table"),
        "statement.caption-table-3": Finding(
            {"they are records of the data that Tables 1 and 4 analyse": cells == 60},
            f"{cells} of 60 cells are (the treatments are not); {of_the_other} are those of the trial that Listing 1 "
            "makes without its first treatment draw.",
        ),
    }


def _laws(case: Case) -> dict[str, Finding]:
    laws, patients = rows(case.laws), case.truth.covariates
    n = case.design.n_patients
    women, female = int(patients.gender.sum()), (case.trial["gender"] == "Female").to_numpy()
    systolic, diastolic = laws["sbp"], laws["dbp"]
    return {
        "statement.age-law": _clamped(case, "age"),
        "statement.bmi-law": _clamped(case, "bmi"),
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
        f"statement.{name.replace('_', '-')}-{'rule' if name == 'hypertension' else 'law'}": Finding(
            {"it gives every patient's value": laws[name]["same"] == n},
            f"Drawn from R's stream by this law, {laws[name]['same']} of {n} patients have the trial's value.",
        )
        for name in ("hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding")
    }


def _clamped(case: Case, name: str) -> Finding:
    row = rows(case.laws)[name]
    return Finding(
        {
            "the normal law, inside the limits": row["same"] + row["at_limit"] == case.design.n_patients,
            "values beyond the limits were cut off, not moved onto them": case.truncated(name),
        },
        f"{row['at_limit']:.0f} patients are exactly on a limit, where a truncated law puts nobody; all others are "
        f"as the normal law drew them ({row['lowest']:.1f} to {row['highest']:.1f}).",
    )


def equations(case: Case) -> dict[str, Finding]:
    """Findings on the equations of section 2.1."""
    trial, x, effect = case.r_trial, case.truth.covariates, case.truth.treatment_effect
    risk = trial["baseline_risk"].to_numpy()
    terms = {name: trial[name] for name in ("age", "anticoagulant", "prior_bleeding", "diabetes", "sbp")}
    left = np.abs(linear_form(logit(risk), terms)[1]).max()
    printed_sum = statement("statement.listing-1-baseline").quote.removeprefix("plogis(").removesuffix(")")
    gap = np.abs(expit(evaluated(printed_sum, trial)) - risk).max()
    described = linear_form(effect, {"old": x.age > 65, "drug": x.anticoagulant, "obese": x.bmi > 30})[1]
    run = linear_form(effect, _terms_of_listing_1(x))[1]
    explained = 1 - float(np.var(described) / np.var(effect))
    return {
        "statement.equation-1": Finding(
            {"a formula of this form gives the log odds of every patient of R's trial": left < FLOAT_NOISE},
            f"Largest remainder {left:.0e}. The coefficients are not in the text, only in Listing 1.",
        ),
        "statement.equation-2": Finding(
            {"with the sum of Listing 1 it gives the risk of every patient of R's trial": gap < FLOAT_NOISE},
            f"Largest difference {gap:.0e}.",
        ),
        "statement.interaction-terms": Finding(
            {"the effect differs between patients": effect.std() > FLOAT_NOISE},
            f"True log odds ratios run from {effect.min():+.1f} to {effect.max():+.1f} (SD {effect.std():.2f}).",
        ),
        "statement.equation-3": Finding(
            {"a formula of this form gives every patient's effect": np.abs(described).max() < FLOAT_NOISE},
            f"With its best coefficients it explains {explained:.0%} of the variance of the true effects and misses a "
            f"patient's by up to {np.abs(described).max():.1f}. With age as a slope, diabetes and prior bleeding "
            f"instead of age above 65, up to {np.abs(run).max():.0e}.",
        ),
        **_gammas(case),
        **_event(case),
    }


def _gammas(case: Case) -> dict[str, Finding]:
    x, effect, points = case.truth.covariates, case.truth.treatment_effect, 100 * case.truth.risk_difference
    constant = linear_form(effect, _terms_of_listing_1(x))[0]["constant"]

    def means(values: FloatArray, group: np.ndarray) -> tuple[float, float]:
        return float(values[group].mean()), float(values[~group].mean())

    (old_te, young_te), (old_rd, young_rd) = means(effect, x.age > 65), means(points, x.age > 65)
    (with_te, without_te), (obese_te, lean_te) = means(effect, x.anticoagulant == 1), means(effect, x.bmi > 30)
    obese_risk, lean_risk = means(100 * case.truth.baseline_risk + points, x.bmi > 30)
    return {
        "statement.gamma-0": Finding(
            {"it is an increase": constant > 0, "it is the average": abs(constant - effect.mean()) < FLOAT_NOISE},
            f"The constant is {constant:+.2f}, a decrease, and belongs to a patient of 55 without any of the "
            f"factors; the average log odds ratio is {effect.mean():+.3f}, the average risk difference "
            f"{points.mean():+.1f} percentage points.",
        ),
        "statement.gamma-1": Finding(
            {"their risk rises more under treatment": old_rd > young_rd},
            f"Above 65 and below: log odds ratio {old_te:+.2f} and {young_te:+.2f}; risk difference {old_rd:+.1f} "
            f"and {young_rd:+.1f} percentage points.",
        ),
        "statement.gamma-2": Finding(
            {"it is larger with anticoagulants": with_te > without_te},
            f"True average log odds ratio with {with_te:+.2f}, without {without_te:+.2f}.",
        ),
        "statement.gamma-3": Finding(
            {"treatment raises their log odds more": obese_te > lean_te},
            f"BMI above 30 and below: log odds ratio {obese_te:+.2f} and {lean_te:+.2f}; risk under treatment "
            f"{obese_risk:.1f} and {lean_risk:.1f} %. Listing 1 has the coefficient {LISTING_EFFECT.obese:+.1f}.",
        ),
    }


def _terms_of_listing_1(x: Covariates | pd.DataFrame) -> dict[str, Any]:
    """What the effect of Listing 1 is made of, by the words of its comments; it has a constant beside these."""
    return {
        "decade": (x.age - 55) / 10,
        "anticoagulated": x.anticoagulant,
        "diabetics": x.diabetes,
        "obese": x.bmi > 30,
        "prior bleeders": x.prior_bleeding,
    }


def _event(case: Case) -> dict[str, Finding]:
    x = case.r_trial
    treated, controls = x["treatment"] == 1, x[x["treatment"] == 0]
    literal = x["baseline_risk"] + x["treatment"] * x["true_te"]
    away = (literal - x["event_prob"]).abs().max()
    at_rest = (controls["event_prob"] - controls["baseline_risk"]).abs().max()
    return {
        "statement.probabilistic-event": case.outcome_is_drawn(),
        "statement.equation-4": Finding(
            {"it gives the probabilities of R's trial": away < FLOAT_NOISE},
            "With the effects of Listing 1, the sum inside the logit is below 0 or above 1 for "
            f"{(~literal[treated].between(0, 1)).mean():.0%} of the treated. The listing adds the effect to the logit.",
        ),
        "statement.placebo-group": Finding(
            {
                "their treatment effect is zero": controls["true_te"].abs().max() < FLOAT_NOISE,
                "their probability depends on their baseline risk alone": at_rest < FLOAT_NOISE,
            },
            "Untreated patients have an effect too, which treatment would have shown: in Table 1 its mean is "
            f"{printed('table1.true_te.mean.control')} (SD {printed('table1.true_te.sd.control')}) in the control "
            "arm.",
        ),
    }


def listing_1(case: Case) -> dict[str, Finding]:
    """Findings on Appendix A."""
    x, numbers = case.r_trial, case.numbers_of_table(TABLE_1)
    formulas = {"baseline": ("risk", x["baseline_risk"]), "effect": ("effect", x["true_te"])}
    gaps = {
        name: np.abs(evaluated(statement(f"statement.listing-1-{name}").quote, x) - values.to_numpy()).max()
        for name, (_, values) in formulas.items()
    }
    effect = case.truth.treatment_effect
    found = linear_form(effect, _terms_of_listing_1(case.truth.covariates))[0]
    found = {"base": found.pop("constant"), **found}
    commented = {"base": -1, "anticoagulated": 1, "diabetics": -1, "obese": -1, "prior bleeders": 1}
    # What a patient's hypertension, diabetes and smoking are drawn from, by the R code.
    words = {name: re.findall(r"\w+", " ".join(case.code[name])) for name in ("hypertension", "diabetes", "smoking")}
    given = {name: {"age", "sbp", "dbp", "bmi"}.intersection(drawn_from) for name, drawn_from in words.items()}
    among = case.trial[list(given)].apply(lambda column: column.cat.codes).corr().abs().to_numpy()
    # The age at which an R patient without any of the factors has the base effect of the R code.
    base = float(case.code["treatment_effect"][0].split()[0])
    of_r = linear_form(x["true_te"].to_numpy(), _terms_of_listing_1(x))[0]
    centre = 55 + 10 * (base - of_r["constant"]) / of_r["decade"]
    return {
        f"statement.listing-1-{name}": Finding(
            {f"the printed formula gives the {what} of every patient of R's trial": gaps[name] < FLOAT_NOISE},
            f"Largest difference {gaps[name]:.0e}.",
        )
        for name, (what, _) in formulas.items()
    } | {
        "statement.caption-listing-1": Finding(
            {"as printed it gives Table 1": numbers == 90},
            f"{numbers} of 90 numbers of Table 1, with 2000 patients (the listing's default is 1000). Table 3 is of "
            f"another run: {case.numbers_of_table(TABLE_3)} of its 60 cells come out.",
        ),
        "statement.listing-1-truncate": Finding(
            {"values beyond the limits were cut off, not moved onto them": case.truncated("age", "bmi")},
            f"{sum(rows(case.laws)[name]['at_limit'] for name in ('age', 'bmi')):.0f} patients are exactly on a limit.",
        ),
        "statement.some-correlation": Finding(
            {"each depends on another covariate": all(given.values())},
            "In the R code "
            + "; ".join(f"{name} on {' and '.join(sorted(on)) or 'nothing'}" for name, on in given.items())
            + ". Among themselves they have no connection (largest correlation in the trial "
            f"{among[np.triu_indices(len(given), 1)].max():.2f}).",
        ),
        "statement.age-centred": Finding(
            {"age adds nothing to the effect at 55 years": abs(centre - 55) < FLOAT_NOISE},
            f"The part of the true effects that goes with age is zero at {centre:.1f} years.",
        ),
        "statement.listing-1-harm": Finding(
            {"some effects are harm": bool((effect > 0).any())},
            f"{np.mean(effect > 0):.0%} of the true effects are above 0: more bleeding under treatment.",
        ),
        "statement.listing-1-signs": Finding(
            {name: np.sign(found[name]) == sign for name, sign in commented.items()},
            "Coefficients found from the effects: "
            f"{', '.join(f'{name} {value:+.1f}' for name, value in found.items())}.",
        ),
    }
