"""Findings on equations (1) to (4), what section 2.1 says of them, and Listing 1.

Effects are log odds ratios of bleeding unless they say otherwise; positive is harm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit

from hte_utils.audit.case import FLOAT_NOISE, TABLE_1, TABLE_3, numbers_of_table, outcome_is_drawn, rows, truncated
from hte_utils.audit.listings import evaluated
from hte_utils.ledger.report import Finding
from hte_utils.paper import printed
from hte_utils.paper.statements import statement
from hte_utils.trial import LISTING_EFFECT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.audit.case import Case, Proofs


def equations(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on the equations of section 2.1."""
    return _baseline_risk(proofs) | _effect(case) | _gammas(case) | _event(proofs)


def _remainder(values: NDArray[np.float64], *terms: NDArray[np.generic]) -> NDArray[np.float64]:
    """What a linear formula with a constant and these terms leaves of the values, whatever its coefficients."""
    columns = np.column_stack([np.ones(values.size), *terms])
    return np.asarray(values - columns @ np.linalg.lstsq(columns, values)[0])


def _baseline_risk(proofs: Proofs) -> dict[str, Finding]:
    x = proofs.r_trial
    risk = x["baseline_risk"].to_numpy()
    terms = (x["age"] - 55, x["anticoagulant"], x["prior_bleeding"], x["diabetes"], x["sbp"] - 130)
    left = np.abs(_remainder(logit(risk), *(term.to_numpy() for term in terms))).max()
    printed_sum = statement("statement.listing-1-baseline").quote.removeprefix("plogis(").removesuffix(")")
    gap = np.abs(1 / (1 + np.exp(-evaluated(printed_sum, x))) - risk).max()
    return {
        "statement.equation-1": Finding(
            {"a formula of this form gives the log odds of every patient of R's trial": left < FLOAT_NOISE},
            f"Largest remainder {left:.0e}. The coefficients are not in the text, only in Listing 1.",
        ),
        "statement.equation-2": Finding(
            {"with the sum of Listing 1 it gives the risk of every patient of R's trial": gap < FLOAT_NOISE},
            f"Largest difference {gap:.0e}.",
        ),
    }


def _effect(case: Case) -> dict[str, Finding]:
    x, effect = case.truth.covariates, case.truth.treatment_effect
    described = _remainder(effect, x.age > 65, x.anticoagulant, x.bmi > 30)
    run = _remainder(effect, x.age, x.anticoagulant, x.bmi > 30, x.diabetes, x.prior_bleeding)
    explained = 1 - float(np.var(described) / np.var(effect))
    return {
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
    }


def _gammas(case: Case) -> dict[str, Finding]:
    x, effect, risk = case.truth.covariates, case.truth.treatment_effect, case.truth.risk_difference
    constant = _coefficients_of_the_effect(case)["base"]
    treated_risk = case.truth.baseline_risk + risk
    old, obese, thinned = x.age > 65, x.bmi > 30, x.anticoagulant == 1

    def means(values: NDArray[np.float64], group: NDArray[np.bool_]) -> tuple[float, float]:
        return float(values[group].mean()), float(values[~group].mean())

    (old_te, young_te), (old_rd, young_rd) = means(effect, old), means(100 * risk, old)
    (with_te, without_te), (obese_te, lean_te) = means(effect, thinned), means(effect, obese)
    obese_risk, lean_risk = means(100 * treated_risk, obese)
    return {
        "statement.gamma-0": Finding(
            {"it is an increase": constant > 0, "it is the average": abs(constant - effect.mean()) < FLOAT_NOISE},
            f"The constant is {constant:+.2f}, a decrease, and belongs to a patient of 55 without any of the "
            f"factors; the average log odds ratio is {effect.mean():+.3f}, the average risk difference "
            f"{100 * risk.mean():+.1f} percentage points.",
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


def _coefficients_of_the_effect(case: Case) -> dict[str, float]:
    """The true effects as a sum of terms of Listing 1's form, found by least squares; nothing remains."""
    x, effect = case.truth.covariates, case.truth.treatment_effect
    terms: dict[str, NDArray[Any]] = {
        "base": np.ones(effect.size),
        "decade": (x.age - 55) / 10,
        "anticoagulated": x.anticoagulant,
        "diabetics": x.diabetes,
        "obese": x.bmi > 30,
        "prior bleeders": x.prior_bleeding,
    }
    found = np.linalg.lstsq(np.column_stack(list(terms.values())), effect)[0]
    return dict(zip(terms, found.tolist(), strict=True))


def _event(proofs: Proofs) -> dict[str, Finding]:
    x = proofs.r_trial
    treated = x["treatment"].to_numpy() == 1
    literal = (x["baseline_risk"] + x["treatment"] * x["true_te"]).to_numpy()
    outside = (literal < 0) | (literal > 1)
    away = np.abs(literal - x["event_prob"])
    controls = x[~treated]
    at_rest = np.abs(controls["event_prob"] - controls["baseline_risk"]).max()
    return {
        "statement.probabilistic-event": outcome_is_drawn(proofs),
        "statement.equation-4": Finding(
            {"it gives the probabilities of R's trial": bool(away.max() < FLOAT_NOISE)},
            "With the effects of Listing 1, the sum inside the logit is below 0 or above 1 for "
            f"{outside[treated].mean():.0%} of the treated. The listing adds the effect to the logit.",
        ),
        "statement.placebo-group": Finding(
            {
                "their treatment effect is zero": bool(np.abs(controls["true_te"]).max() < FLOAT_NOISE),
                "their probability depends on their baseline risk alone": bool(at_rest < FLOAT_NOISE),
            },
            "Untreated patients have an effect too, which treatment would have shown: in Table 1 its mean is "
            f"{printed('table1.true_te.mean.control')} (SD {printed('table1.true_te.sd.control')}) in the control "
            "arm.",
        ),
    }


def listing_1(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on Appendix A."""
    return _what_it_makes(proofs) | _comments(case, proofs)


def _what_it_makes(proofs: Proofs) -> dict[str, Finding]:
    x, numbers = proofs.r_trial, numbers_of_table(proofs, TABLE_1)
    gaps = {
        column: np.abs(evaluated(statement(f"statement.listing-1-{name}").quote, x) - x[column].to_numpy()).max()
        for name, column in (("baseline", "baseline_risk"), ("effect", "true_te"))
    }
    return {
        "statement.listing-1-baseline": Finding(
            {"the printed formula gives the risk of every patient of R's trial": gaps["baseline_risk"] < FLOAT_NOISE},
            f"Largest difference {gaps['baseline_risk']:.0e}.",
        ),
        "statement.listing-1-effect": Finding(
            {"the printed formula gives the effect of every patient of R's trial": gaps["true_te"] < FLOAT_NOISE},
            f"Largest difference {gaps['true_te']:.0e}.",
        ),
        "statement.caption-listing-1": Finding(
            {"as printed it gives Table 1": numbers == 90},
            f"{numbers} of 90 numbers of Table 1, with 2000 patients (the listing's default is 1000). Table 3 is of "
            f"another run: {numbers_of_table(proofs, TABLE_3)} of its 60 cells come out.",
        ),
    }


def _comments(case: Case, proofs: Proofs) -> dict[str, Finding]:
    effect, found = case.truth.treatment_effect, _coefficients_of_the_effect(case)
    commented = {"base": -1, "anticoagulated": 1, "diabetics": -1, "obese": -1, "prior bleeders": 1}
    patient = {"age", "sbp", "dbp", "bmi"}
    given = {name: patient & _words(proofs.code[name]) for name in ("hypertension", "diabetes", "smoking")}
    among = case.trial[list(given)].apply(lambda column: column.cat.codes).corr().abs().to_numpy()
    largest = float(np.max(among[np.triu_indices(len(given), 1)]))
    centre = _age_without_effect(proofs)
    return {
        "statement.listing-1-truncate": Finding(
            {"values beyond the limits were cut off, not moved onto them": truncated(proofs, "age", "bmi")},
            f"{sum(rows(proofs.laws)[name]['at_limit'] for name in ('age', 'bmi')):.0f} patients are exactly on a "
            "limit.",
        ),
        "statement.some-correlation": Finding(
            {"each depends on another covariate": all(given.values())},
            "In the R code "
            + "; ".join(f"{name} on {' and '.join(sorted(on)) or 'nothing'}" for name, on in given.items())
            + f". Among themselves they have no connection (largest correlation in the trial {largest:.2f}).",
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


def _words(expressions: tuple[str, ...]) -> set[str]:
    return set(re.findall(r"\w+", " ".join(expressions)))


def _age_without_effect(proofs: Proofs) -> float:
    """The age at which an R patient without any of the factors has the base effect of the R code."""
    x = proofs.r_trial
    base = float(proofs.code["treatment_effect"][0].split()[0])
    terms = x[["age", "anticoagulant", "diabetes", "prior_bleeding"]].assign(constant=1.0, obese=x["bmi"] > 30)
    found = np.linalg.lstsq(terms.to_numpy(np.float64), x["true_te"].to_numpy())[0]
    slope, constant = found[0], found[list(terms).index("constant")]
    return float((base - constant) / slope)
