"""Findings on section 4 and Appendix C."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hte_utils.audit.case import HAS_BLED, UNCOVERED_ITEMS, Case, figure_without_numbers, table_8
from hte_utils.audit.experiments import BY_SIGN, HIGH_QUINTILES, TREAT_ALL, TREAT_NOBODY
from hte_utils.ledger.report import Finding
from hte_utils.paper import printed_number
from hte_utils.reproduction.table_1 import COVARIATES


def discussion(case: Case) -> dict[str, Finding]:
    """Findings on section 4.1."""
    effect, printed_spread = case.truth.treatment_effect, table_8("te_sd")
    low_risk = printed_spread[:3].max()
    spread = pd.Series(effect).groupby(case.as_computed.group).std()
    ends = {}
    for name in (f"b_trt_{label}" for label in case.design.modifier_labels):
        mean, sd = printed_number(f"table4.{name}.Mean"), printed_number(f"table4.{name}.SD")
        ends[name] = mean - 1.96 * sd, mean + 1.96 * sd
    established = any(lower > 0 or upper < 0 for lower, upper in ends.values())
    helped = 1 - case.as_computed.true["share_harmed"]
    bleeds = case.bleeds["bleeds"]
    counts = (
        f"Expected bleeds: {bleeds[BY_SIGN]:.0f} when those are treated whose predicted risk difference is below 0, "
        f"{bleeds[TREAT_NOBODY]:.0f} when nobody is, {bleeds[TREAT_ALL]:.0f} when everybody is"
    )
    own, compared = case.effects_are_the_model_s(), case.table_7_compares()
    return {
        "statement.cates-compared": Finding({**own.claims, **compared.claims}, f"{own.evidence} {compared.evidence}"),
        "statement.not-uniform": Finding(
            {
                "the true effects vary": effect.std() > 0.1,
                "for some covariate a 95 % credible interval establishes it": established,
            },
            f"SD of the true log odds ratios {effect.std():.2f}. Interactions by Table 4 (mean ± 1.96 SD): "
            f"{', '.join(f'{name} {lower:+.2f} to {upper:+.2f}' for name, (lower, upper) in ends.items())}.",
        ),
        "statement.heterogeneity-high-risk": Finding(
            {
                f"the effects of Table 8 spread more in {quintile} than in any group of lower risk": sd > low_risk
                for quintile, sd in zip(("Q4", "Q5"), printed_spread[3:], strict=True)
            },
            f"SD of the effects in Q1 to Q5: Table 8 {', '.join(f'{sd:.2f}' for sd in printed_spread)}; true "
            f"{', '.join(f'{sd:.2f}' for sd in spread)}.",
        ),
        "statement.heterogeneity-matters": Finding(
            {"decisions that use it save bleeds": case.saves_bleeds(BY_SIGN)}, f"{counts}."
        ),
        "statement.identify-who-benefits": Finding(
            {"groups differ in the share that benefits": np.ptp(helped) > 0.2},
            "Share of Table 8's groups whom treatment truly helps: "
            f"{', '.join(f'{quintile} {share:.0%}' for quintile, share in helped.items())}.",
        ),
        "statement.minimize-harm": Finding(
            {"decisions by the model's risk differences save bleeds": case.saves_bleeds(BY_SIGN)},
            f"{counts}. Treating Table 8's Q4 and Q5, whom the paper takes for those that benefit, makes it "
            f"{bleeds[HIGH_QUINTILES]:.0f}.",
        ),
    }


def limitations(case: Case) -> dict[str, Finding]:
    """Findings on section 4.2."""
    trial = case.trial
    related = float(np.corrcoef(trial["age"], trial["sbp"])[0, 1])
    missing = int(trial.isna().to_numpy().sum())
    times = [name for name in trial.columns if any(word in name for word in ("time", "day", "date", "follow"))]
    known = int(np.isfinite(trial["true_te"]).sum())
    return {
        "statement.solely-simulated": case.only_simulated(),
        "statement.ground-truth": Finding(
            {"every patient's true effect is known": known == len(trial)},
            f"Of {known} of {len(trial)} patients, in the column true_te.",
        ),
        "statement.complexity-and-noise": Finding(
            {"nothing is missing": missing == 0, "age and blood pressure are unrelated": abs(related) < 0.1},
            f"{missing} missing values; correlation of age and systolic pressure {related:+.2f}, where people's "
            "rises with age.",
        ),
        "statement.further-validation": Finding.not_checkable("a recommendation; it claims nothing about this study"),
        "statement.limited-covariates": Finding(
            {"items of a clinical bleeding score (HAS-BLED) have no covariate": bool(UNCOVERED_ITEMS)},
            f"{len(COVARIATES)} covariates; {len(UNCOVERED_ITEMS)} of the score's {len(HAS_BLED)} items have none.",
        ),
        "statement.no-time-to-event": Finding(
            {"no column of the data holds a time": not times},
            f"Columns: {', '.join(trial.columns)}. The argument max_followup of Listing 1 is never used.",
        ),
    }


def traces_and_densities() -> dict[str, Finding]:
    """Findings on Appendix C."""
    return {f"statement.caption-figure-{number}": figure_without_numbers("04-diagnostics") for number in (5, 6)}
