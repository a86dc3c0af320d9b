"""Findings on the abstract and on section 1."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.special import logit

from hte_utils.audit.case import FLOAT_NOISE, QUINTILES, Case, linear_form, table_8
from hte_utils.audit.experiments import LOW_QUINTILES, TREAT_ALL, TREAT_NOBODY
from hte_utils.effects.evaluation import point_metrics
from hte_utils.ledger.report import Finding
from hte_utils.paper import entries_of, printed_number


def abstract(case: Case) -> dict[str, Finding]:
    """Findings on the abstract."""
    jags, computed, bleeds = case.jags, case.as_computed, case.bleeds["bleeds"]
    of_effect, of_risk = (jags.covariates(of_effect=which) for which in (True, False))
    largest = _largest_change(case)
    actual, own = case.truth.treatment_effect, case.metrics_of_table_4(gender_effects=True)
    explained = 1 - own.rmse**2 / float(actual.var())
    same_for_all = point_metrics(np.full(actual.size, actual.mean()), actual).rmse
    effects = computed.true["log_odds_ratio"]
    return {
        "statement.hierarchical-model": Finding(
            {
                "the model is hierarchical: priors have parameters of their own": bool(jags.random_effects),
                "patients have different effects": bool(of_effect),
                "it has covariates of the baseline risk": bool(of_risk),
            },
            f"The JAGS text has the random effects {', '.join(jags.random_effects)}, effects by "
            f"{', '.join(of_effect)}, and risks by {', '.join(of_risk)}.",
        ),
        "statement.important-covariates": Finding(
            {f"{name} changes a patient's risk or effect": change > FLOAT_NOISE for name, change in largest.items()},
            "Largest change of the true log odds of bleeding, treated or not, by one year of age, the other gender, "
            f"and an earlier bleed: {', '.join(f'{change:.2f}' for change in largest.values())}.",
        ),
        "statement.binary-outcome": case.outcome_is_drawn(),
        "statement.abstract-simulated": case.only_simulated(),
        "statement.abstract-strong": case.strong_correlation(),
        "statement.abstract-correlation": case.printed_metric("correlation", "0.78"),
        "statement.abstract-rmse": case.printed_metric("rmse", "0.53"),
        "statement.captures-variability": Finding(
            {"its effects explain most of the variance of the true ones": explained > 0.5},
            f"{explained:.0%} of it. RMSE {own.rmse:.2f}, with the true average for everybody "
            f"{same_for_all:.2f}; calibration slope {own.calibration_slope:.2f}; {own.bias_share:.0%} of the squared "
            "error is one and the same error for all.",
        ),
        "statement.most-pronounced": Finding(
            {
                "on the paper's scale, log odds ratios, the true effect in Q5 is the farthest from none": (
                    effects.abs().idxmax() == "Q5"
                )
            },
            f"True effects of the patients of Table 8's Q1 and Q5: log odds ratios {effects['Q1']:+.2f} and "
            f"{effects['Q5']:+.2f}; risk differences {computed.true_points('Q1')} and {computed.true_points('Q5')} "
            "percentage points.",
        ),
        "statement.abstract-q5": case.printed_mean("Q5"),
        "statement.abstract-q1": case.printed_mean("Q1"),
        "statement.q1-harmful": Finding(
            {"treatment raises the risk of some of Q1's patients": computed.true["share_harmed"]["Q1"] > 0},
            f"Of {computed.truly_harmed('Q1')} of the patients of Table 8's Q1 (of "
            f"{case.as_implied.truly_harmed('Q1')} of those in the lowest quintile by the model with its gender "
            "effects). On average it prevents bleeds there: log odds ratio "
            f"{printed_number('table8.Q1.mean_te'):+.2f} in Table 8, true risk difference "
            f"{computed.true_points('Q1')} percentage points.",
        ),
        "statement.importance-of-stratifying": Finding(
            {"decisions by risk quintile can save bleeds": case.saves_bleeds(LOW_QUINTILES)},
            f"Expected bleeds: {bleeds[LOW_QUINTILES]:.0f} when Table 8's Q1 and Q2 are treated; "
            f"{bleeds[TREAT_NOBODY]:.0f} when nobody is, {bleeds[TREAT_ALL]:.0f} when everybody is.",
        ),
    }


def _largest_change(case: Case) -> dict[str, float]:
    """The slopes of the true log odds in both arms, the other covariates held; the larger of the two."""
    truth, x = case.truth, case.truth.covariates
    varied = {"age": x.age, "gender": x.gender, "earlier bleeding": x.prior_bleeding}
    held = {"anticoagulant": x.anticoagulant, "diabetes": x.diabetes, "sbp": x.sbp, "obese": x.bmi > 30}
    untreated = logit(truth.baseline_risk)
    arms = [linear_form(log_odds, varied | held)[0] for log_odds in (untreated, untreated + truth.treatment_effect)]
    return {name: max(abs(slopes[name]) for slopes in arms) for name in varied}


def introduction(case: Case) -> dict[str, Finding]:
    """Findings on sections 1.1 and 1.2."""
    jags, effect, older = case.jags, case.truth.treatment_effect, case.truth.covariates.age > 65
    above, below = float(effect[older].mean()), float(effect[~older].mean())
    share_harmed = float(np.mean(case.truth.risk_difference > 0))
    # Is the average of the patients' effects among the printed effects of treatment?
    averages = [float(reading.cate.mean()) for reading in (case.as_implied, case.as_computed)]
    means = [entry for entry in entries_of("Table 4") if entry.quantity == "Mean"]
    of_treatment = [float(entry.printed) for entry in means if entry.row.startswith(("b_trt", "te_gender"))]
    shown = of_treatment + table_8("mean_te").tolist()
    nearest = min(abs(value - average) for value in shown for average in averages)
    gaps = np.abs(case.as_computed.log_odds["mean_te"].to_numpy() - table_8("mean_te"))
    # Does any table lay a second method beside Listing 2?
    others = {entry.row for entry in entries_of("Table 4")} - set(case.jags_posterior.index)
    values = Counter((entry.item, entry.row) for entry in entries_of("Table 7"))
    values += Counter((entry.row, entry.column) for entry in entries_of("Table 8"))
    return {
        "statement.ate-not-full-story": Finding(
            {"the average hides patients helped and patients harmed": 0.1 < share_harmed < 0.9},
            f"The true average log odds ratio is {effect.mean():+.2f}; treatment raises the risk of {share_harmed:.0%} "
            "of the patients and lowers that of the others.",
        ),
        "statement.vary-in-direction": Finding(
            {"in size": abs(above - below) > effect.std(), "in direction": above * below < 0},
            f"True average log odds ratio above 65 years {above:+.2f}, below {below:+.2f}.",
        ),
        "statement.average-and-subgroup": Finding(
            {"an average effect is printed": nearest < 0.002, "effects of subgroups are": bool((gaps < 0.01).all())},
            f"Averaged over the patients the model's effects are {averages[0]:+.3f} (without the gender effects "
            f"{averages[1]:+.3f}); none of the {len(shown)} printed effects of treatment is within {nearest:.3f} of "
            f"either. The averages of Table 8's {len(QUINTILES)} groups come out.",
        ),
        "statement.fixed-and-random": Finding(
            {"fixed effects": bool(jags.fixed_effects), "random effects": bool(jags.random_effects)},
            f"By the JAGS text {len(jags.fixed_effects)} fixed effects, and the random effects "
            f"{' and '.join(jags.random_effects)}.",
        ),
        "statement.frequentist-alternative": Finding(
            {"some table has the results of another method": bool(others) or max(values.values()) > 1},
            "Every row of Table 4 is a parameter of Listing 2; Table 7 has one value for each metric and Table 8 one "
            "for each group.",
        ),
    }
