"""Findings on sections 3 and 4 and Appendix C: convergence, effects, risk groups; discussion and limitations.

Effects are log odds ratios of bleeding unless they say otherwise; positive is harm.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import binom

from hte_utils.audit.case import (
    FLOAT_NOISE,
    HAS_BLED,
    QUINTILES,
    UNCOVERED_ITEMS,
    Case,
    figure_without_numbers,
    rows,
    table_8,
)
from hte_utils.audit.experiments import BY_SIGN, HIGH_QUINTILES, TREAT_ALL, TREAT_NOBODY
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.ledger.entries import judge
from hte_utils.ledger.report import Finding
from hte_utils.model.listing_2 import listing2_draws
from hte_utils.paper import entries_of, printed_number, statement
from hte_utils.reproduction.table_1 import COVARIATES
from hte_utils.reproduction.table_4 import cate_of_table_4
from hte_utils.reproduction.tables_5_6 import implied_ess, recorded_runs, table_5

LOW, HIGH = ("Q1", "Q2"), ("Q4", "Q5")
OLD_LIMIT, NEW_LIMIT = 1.1, 1.01  # of scale reduction: customary for long ("close to 1"), and of Vehtari et al. (2021)
GEWEKE_LIMIT: Final = 2.0


def diagnostics(case: Case) -> dict[str, Finding]:
    """Findings on convergence and on the captions of Tables 4 to 6."""
    estimates, uppers = (
        {entry.row: float(entry.printed) for entry in entries_of("Table 5") if entry.column == column}
        for column in ("Point est.", "Upper C.I.")
    )
    together = printed_number("table5.multivariate")
    worst = max(estimates, key=lambda name: estimates[name])
    scores = {(e.row, e.column): float(e.printed) for e in entries_of("Table 6")}
    largest = max(*estimates.values(), *uppers.values())
    beyond = {where: z for where, z in scores.items() if abs(z) > GEWEKE_LIMIT}
    within = sum(value <= NEW_LIMIT for value in estimates.values())
    of_jags = table_5(recorded_runs())["table5.multivariate"]
    return {
        "statement.all-converged": Finding(
            {f"no scale reduction factor is above {NEW_LIMIT}": within == len(estimates)},
            f"{within} of {len(estimates)} are at most that. {worst}: {estimates[worst]:.3f}, and by Table 4 "
            f"{implied_ess()[worst]:.0f} effective draws of 3000. By the older limit, {OLD_LIMIT}, all would have "
            "converged.",
        ),
        "statement.psrf-close-to-1": Finding(
            {
                f"of each parameter, point and upper limit are below {OLD_LIMIT}": largest < OLD_LIMIT,
                f"the multivariate is below {OLD_LIMIT}": together < OLD_LIMIT,
            },
            f"Largest point {estimates[worst]:.3f} ({worst}), upper limit {max(uppers.values()):.3f}; multivariate "
            f"{together:.2f}.",
        ),
        "statement.geweke-within-2": Finding(
            {"all are": not beyond},
            f"{len(beyond)} of {len(scores)} are not: "
            + ", ".join(f"{row} {z:+.3f}" for (row, _), z in beyond.items())
            + ". (Some should be beyond 2 by chance.)",
        ),
        "statement.caption-table-4": _all_parameters(case, "Table 4"),
        "statement.caption-table-5": Finding(
            {"1.04 is such as runs of JAGS print": not judge("table5.multivariate", of_jags).fails},
            f"In recorded runs of JAGS the multivariate factor is {of_jags.value:.2f} (median; {of_jags.note}).",
        ),
        "statement.caption-table-6": _all_parameters(case, "Table 6"),
    }


def _all_parameters(case: Case, table: str) -> Finding:
    """Whether a table shows each parameter of the model."""
    names = {str(name) for name in listing2_draws(case.posterior).data_vars}
    shown = {entry.row for entry in entries_of(table)}
    return Finding(
        {"each parameter of Listing 2 is there": names <= shown},
        f"{len(names & shown)} of {len(names)} are; absent: {', '.join(sorted(names - shown))}.",
    )


def results(case: Case) -> dict[str, Finding]:
    """Findings on the effects and the risk groups."""
    return _effects(case) | _groups(case)


def moving_covariates(case: Case) -> dict[str, bool]:
    """Whether a change of each covariate alone changes any patient's CATE, as the paper computed it."""

    def cate(trial: pd.DataFrame) -> np.ndarray:
        return cate_of_table_4(case.design.apply(trial), gender_effects=False)

    moved = {}
    for name in COVARIATES:
        column = case.trial[name]
        if column.dtype == "category":  # the other category, or ten units more
            first, second = column.cat.categories
            other = column.cat.rename_categories({first: second, second: first}).cat.set_categories([first, second])
        else:
            other = column + 10
        change = cate(case.trial.assign(**{name: other})) - cate(case.trial)
        moved[name] = bool(np.abs(change).max() > FLOAT_NOISE)
    return moved


def _effects(case: Case) -> dict[str, Finding]:
    moved = moving_covariates(case)
    actual, risk = case.truth.treatment_effect, case.truth.baseline_risk
    own = case.metrics_of_table_4(gender_effects=True)
    same_for_all = point_metrics(np.full(actual.size, actual.mean()), actual).rmse
    implied, computed = (reading.risk.mean() / risk.mean() for reading in (case.as_implied, case.as_computed))
    missed = logit(case.as_implied.risk) - logit(risk)
    explained = 1 - float(np.square(missed).mean() / logit(risk).var())
    return {
        "statement.cate-for-each": case.effects_are_the_model_s(),
        "statement.compared-to-truth": case.table_7_compares(),
        "statement.caption-table-7": case.table_7_compares(),
        "statement.all-covariates": Finding(
            {"all covariates move a patient's effect": all(moved.values())},
            f"{sum(moved.values())} of {len(moved)} do: {', '.join(name for name, moves in moved.items() if moves)}.",
        ),
        "statement.caption-figure-2": figure_without_numbers("05-cate-evaluation"),
        "statement.results-strong": case.strong_correlation(),
        "statement.results-correlation": case.printed_metric("correlation", "0.78"),
        "statement.results-low": Finding(
            {"that of the model's own effects is below that of one effect for all": own.rmse < same_for_all},
            f"RMSE {own.rmse:.2f}; of the true average effect for everybody {same_for_all:.2f}. {own.bias_share:.0%} "
            f"of the squared error is one and the same error for all, {own.bias:+.2f}.",
        ),
        "statement.results-rmse": case.printed_metric("rmse", "0.53"),
        "statement.captures-baseline-risk": Finding(
            {"the model's risks explain most of the variance of the true ones (log odds)": explained > 0.5},
            f"{explained:.0%} of it. Mean predicted over mean true risk {implied:.2f}; as computed for Table 8 "
            f"{computed:.1f}. Table 7, which the sentence cites, is about effects and not about risks.",
        ),
    }


def _groups(case: Case) -> dict[str, Finding]:
    computed, implied = case.as_computed, case.as_implied
    sizes, printed_risk, printed_te = table_8("n"), table_8("mean_risk"), table_8("mean_te")
    reproduced = np.abs(computed.log_odds["mean_risk"].to_numpy() - printed_risk).max()
    control = case.design.outcome[case.design.treatment == 0]
    ratio = float(printed_risk.mean() / control.mean())
    false_alarm = chance_of_a_factor_of_two(control.size, float(case.truth.baseline_risk.mean()))
    how = GroupEffects.INCLUDED
    draws = cate_draws(case.posterior, case.design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=how)
    lowest, highest = (draws.isel(patient=implied.group == group).mean("patient") for group in (1, 5))
    true, predicted = rows(computed.true), rows(implied.points)
    true_te, true_risk = (computed.true[name].to_numpy() for name in ("log_odds_ratio", "baseline_risk"))
    one_sd = case.truth.treatment_effect.std()
    ends = [(100 * predicted[q]["average_lower"], 100 * predicted[q]["average_upper"]) for q in HIGH]
    return {
        "statement.five-equal-groups": Finding(
            {"they are": len(set(sizes)) == 1}, f"Table 8: {', '.join(f'{size:.0f}' for size in sizes)} patients."
        ),
        "statement.predicted-baseline-risk": Finding(
            {"Table 8's risks are this trial's within a factor of two": 0.5 < ratio < 2},
            f"Table 8's risks average {printed_risk.mean():.1%}; in the control arm {control.mean():.1%} bled. Without "
            f"the gender effects they are reproduced to {reproduced:.3f}. A right risk fails this with probability "
            f"{false_alarm:.0e}.",
        ),
        "statement.caption-table-8": Finding(
            {"the true baseline risk rises from each group to the next": bool((np.diff(true_risk) > 0).all())},
            f"True risks of Q1 to Q5 without treatment: {', '.join(f'{risk:.1%}' for risk in true_risk)}; Table 8 has "
            f"{', '.join(f'{risk:.1%}' for risk in printed_risk)}.",
        ),
        "statement.variation-in-efficacy": Finding(
            {"the true effects of the groups differ by more than the patients' do (one SD)": np.ptp(true_te) > one_sd},
            f"From lowest to highest group: true {true_te[0]:+.2f} to {true_te[-1]:+.2f}, Table 8 "
            f"{printed_te[0]:+.2f} to {printed_te[-1]:+.2f}. Posterior probability, gender effects in, that Q5's "
            f"average is above Q1's: {float((highest > lowest).mean()):.2f}.",
        ),
        "statement.efficacy-increases": Finding(
            {
                "benefit does: treatment prevents more bleeds in Q5 than in Q1": (
                    true["Q5"]["risk_difference"] < true["Q1"]["risk_difference"]
                )
            },
            f"True risk differences of Table 8's groups {computed.true_points(*QUINTILES)} percentage points: what "
            f"increases is bleeding. Treatment harms {computed.truly_harmed('Q1')} of the patients in Q1 and "
            f"{computed.truly_harmed('Q5')} in Q5.",
        ),
        "statement.caption-figure-3": figure_without_numbers("06-risk-stratification"),
        "statement.caption-figure-4": Finding(
            {"it names what is shown": statement("statement.caption-figure-4").quote.strip().lower() != "caption"},
            "The caption is one word, the placeholder of the template.",
        ),
        "statement.low-risk-no-benefit": Finding(
            {f"treatment lowers the risk of fewer than half of {q}": true[q]["share_harmed"] > 0.5 for q in LOW},
            f"It truly lowers the risk of {1 - true['Q1']['share_harmed']:.0%} of Table 8's Q1 and "
            f"{1 - true['Q2']['share_harmed']:.0%} of its Q2.",
        ),
        "statement.low-risk-harmed": Finding(
            {f"treatment raises the risk of some of {q}": true[q]["share_harmed"] > 0 for q in LOW},
            f"Of {computed.truly_harmed(*LOW)} of Table 8's Q1 and Q2 (by the model with its gender effects "
            f"{implied.truly_harmed(*LOW)}); on average it prevents bleeds: true risk differences "
            f"{computed.true_points(*LOW)} percentage points.",
        ),
        "statement.high-risk-benefit": Finding(
            {f"on average {q} does, in truth": true[q]["risk_difference"] < 0 for q in HIGH},
            f"True risk differences {computed.true_points(*HIGH)} percentage points: more bleeds. 95 % credible "
            "intervals of the model, in its own quintiles: "
            f"{' and '.join(f'{lower:+.1f} to {upper:+.1f}' for lower, upper in ends)}.",
        ),
    }


def chance_of_a_factor_of_two(patients: int, risk: float) -> float:
    """Return the probability that the share of bleeders is not within a factor of two of their true risk."""
    bleeders = binom(patients, risk)
    return float(bleeders.cdf(np.floor(patients * risk / 2)) + bleeders.sf(np.ceil(patients * risk * 2) - 1))


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
