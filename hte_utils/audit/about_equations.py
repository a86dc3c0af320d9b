"""Findings on equations (1) to (4), what section 2.1 says of them, and Listing 1.

Effects are log odds ratios of bleeding unless they say otherwise; positive is harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from hte_utils.audit.common import FLOAT_NOISE, rows
from hte_utils.audit.data_variants import TABLE_1, TABLE_3
from hte_utils.ledger.statements import Finding
from hte_utils.paper import printed
from hte_utils.trial import LISTING_EFFECT, TrialVariant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.audit.case import Case
    from hte_utils.audit.proofs import Proofs


def equations(case: Case) -> dict[str, Finding]:
    """Findings on the equations of section 2.1."""
    return _baseline_risk(case) | _effect(case) | _gammas(case) | _event(case)


def _remainder(values: NDArray[np.float64], *terms: NDArray[np.generic]) -> NDArray[np.float64]:
    """What a linear formula with a constant and these terms leaves of the values, whatever its coefficients."""
    columns = np.column_stack([np.ones(values.size), *terms])
    return np.asarray(values - columns @ np.linalg.lstsq(columns, values)[0])


def _baseline_risk(case: Case) -> dict[str, Finding]:
    x, log_odds = case.truth.covariates, logit(case.truth.baseline_risk)
    left = np.abs(_remainder(log_odds, x.age - 55, x.anticoagulant, x.prior_bleeding, x.diabetes, x.sbp - 130)).max()
    back = np.abs(1 / (1 + np.exp(-log_odds)) - case.truth.baseline_risk).max()
    return {
        "statement.equation-1": Finding(
            {"a formula of this form gives every patient's log odds": left < FLOAT_NOISE},
            f"Largest remainder {left:.0e}. The coefficients are not in the text, only in Listing 1.",
        ),
        "statement.equation-2": Finding(
            {"it gives every patient's baseline risk": back < FLOAT_NOISE}, f"Largest difference {back:.0e}."
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
            {
                "anticoagulants and BMI above 30 enter as yes or no": np.abs(run).max() < FLOAT_NOISE,
                "nothing else does but age above 65": np.abs(described).max() < FLOAT_NOISE,
            },
            f"With its best coefficients the formula explains {explained:.0%} of the variance of the true effects "
            f"and misses a patient's by up to {np.abs(described).max():.1f}. Age linear, diabetes and prior bleeding "
            "are needed, and leave nothing.",
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
            {"on the log odds": old_te > young_te, "on the risk": old_rd > young_rd},
            f"Above 65 and below: log odds ratio {old_te:+.2f} and {young_te:+.2f}; risk difference {old_rd:+.1f} "
            f"and {young_rd:+.1f} percentage points.",
        ),
        "statement.gamma-2": Finding(
            {"it is larger with anticoagulants": with_te > without_te},
            f"True average log odds ratio with {with_te:+.2f}, without {without_te:+.2f}.",
        ),
        "statement.gamma-3": Finding(
            {
                "treatment raises their log odds more": obese_te > lean_te,
                "their risk under treatment is higher": obese_risk > lean_risk,
            },
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


def _event(case: Case) -> dict[str, Finding]:
    truth = case.truth
    treated = truth.treatment == 1
    literal = truth.baseline_risk + truth.treatment * truth.treatment_effect
    outside = (literal < 0) | (literal > 1)
    added = expit(logit(truth.baseline_risk) + truth.treatment * truth.treatment_effect)
    gap = np.abs(added - truth.event_probability).max()
    controls = truth.treatment_effect[~treated]
    at_rest = np.abs(truth.event_probability - truth.baseline_risk)[~treated].max()
    return {
        "statement.probabilistic-event": Finding(
            {"baseline risk and effect give the probability": gap < FLOAT_NOISE},
            f"Effect added to the baseline log odds, for all {truth.event.size} patients: largest difference "
            f"{gap:.0e}.",
        ),
        "statement.equation-4": Finding(
            {
                "it gives probabilities": not outside.any(),
                "it gives those of Listing 1": np.abs(literal - truth.event_probability).max() < FLOAT_NOISE,
            },
            "With the effects of Listing 1, the sum inside the logit is below 0 or above 1 for "
            f"{outside[treated].mean():.0%} of the treated. The listing adds the effect to the logit.",
        ),
        "statement.placebo-group": Finding(
            {
                "their probability is their baseline risk": at_rest < FLOAT_NOISE,
                "their treatment effect is zero": np.abs(controls).max() < FLOAT_NOISE,
            },
            "Untreated patients have an effect too, which treatment would have shown: in Table 1 its mean is "
            f"{printed('table1.true_te.mean.control')} (SD {printed('table1.true_te.sd.control')}) in the control "
            "arm.",
        ),
    }


def listing_1(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on Appendix A."""
    x, effect, risk = case.truth.covariates, case.truth.treatment_effect, case.truth.baseline_risk
    anticoagulant, prior_bleeding, diabetes = x.anticoagulant, x.prior_bleeding, x.diabetes
    log_odds = (  # Listing 1, lines 36-41, as printed
        -3.5 + 0.02 * (x.age - 55) + 0.8 * anticoagulant + 1.2 * prior_bleeding + 0.3 * diabetes + 0.01 * (x.sbp - 130)
    )
    written = (  # Listing 1, lines 44-49, as printed
        -0.2
        + 0.5 * (x.age - 55) / 10
        + 0.4 * anticoagulant
        + -0.3 * diabetes
        + -0.2 * (x.bmi > 30)
        + 0.3 * prior_bleeding
    )
    gaps = {"risk": np.abs(expit(log_odds) - risk).max(), "effect": np.abs(written - effect).max()}
    found = _coefficients_of_the_effect(case)
    commented = {"base": -1, "anticoagulated": 1, "diabetics": -1, "obese": -1, "prior bleeders": 1}
    tables = rows(proofs.variants)[TrialVariant.AS_PRINTED]
    return {
        "statement.listing-1-baseline": Finding(
            {
                "it gives the risks of the trial that Table 1 shows": gaps["risk"] < FLOAT_NOISE
                and tables[TABLE_1] == 90
            },
            f"Largest difference {gaps['risk']:.0e}; {tables[TABLE_1]} of 90 numbers of Table 1, the events among "
            "them.",
        ),
        "statement.listing-1-effect": Finding(
            {"it gives the effects whose means Table 1 shows": gaps["effect"] < FLOAT_NOISE and tables[TABLE_1] == 90},
            f"Largest difference {gaps['effect']:.0e}; {tables[TABLE_1]} of 90 numbers of Table 1, row true_te among "
            "them.",
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
        "statement.caption-listing-1": Finding(
            {"it gives Table 1": tables[TABLE_1] == 90, "it gives Table 3": tables[TABLE_3] == 60},
            f"{tables[TABLE_1]} of 90 numbers of Table 1 and {tables[TABLE_3]} of 60 cells of Table 3, with 2000 "
            "patients; the listing's default is 1000.",
        ),
    }
