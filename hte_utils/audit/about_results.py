"""Findings on section 3, from its second paragraph on: the effects, their evaluation, and the risk groups.

Effects are log odds ratios of bleeding unless they say otherwise; positive is harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hte_utils import baseline
from hte_utils.audit.common import AS_COMPUTED, FLOAT_NOISE, figure_without_numbers, printed_metric, rows
from hte_utils.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.evaluation import point_metrics
from hte_utils.ledger.statements import Finding
from hte_utils.paper import printed, printed_number
from hte_utils.paper.statements import statement

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.audit.case import Case, Reading

QUINTILES: Final = tuple(f"Q{number}" for number in range(1, 6))
LOW, HIGH = ["Q1", "Q2"], ["Q4", "Q5"]


def results(case: Case) -> dict[str, Finding]:
    """Findings on the effects and the risk groups."""
    return _individual_effects(case) | _accuracy(case) | _groups(case) | _benefit(case)


def table_8(column: str) -> np.ndarray:
    """Return a column of the paper's Table 8 as printed numbers, Q1 to Q5."""
    return np.array([printed_number(f"table8.{quintile}.{column}") for quintile in QUINTILES])


def moving_covariates(case: Case) -> dict[str, bool]:
    """Whether a change of each covariate alone changes any patient's CATE, as the paper computed it."""
    one_draw = case.posterior.isel(draw=slice(0, 1))

    def cate(trial: pd.DataFrame) -> np.ndarray:
        patients = case.design.apply(trial)
        how = GroupEffects.LEFT_OUT
        return np.asarray(cate_draws(one_draw, patients, scale=EffectScale.LOG_ODDS_RATIO, group_effects=how))

    before = cate(case.trial)
    changed = {name: case.trial.assign(**{name: _other(case.trial[name])}) for name in baseline.COVARIATES}
    return {name: bool(np.abs(cate(trial) - before).max() > FLOAT_NOISE) for name, trial in changed.items()}


def _other(column: pd.Series) -> pd.Series:
    """Ten units more, or the other category."""
    if column.dtype != "category":
        return column + 10
    first, second = column.cat.categories
    return column.cat.rename_categories({first: second, second: first}).cat.set_categories([first, second])


def compared(case: Case) -> bool:
    """Whether Table 7's correlation, RMSE and MAE come out by comparison with the true effects."""
    found = case.metrics_of_table_4(gender_effects=False)
    return all(f"{getattr(found, name):.3f}" == printed(f"table7.{name}") for name in ("correlation", "rmse", "mae"))


def own_effects(case: Case) -> bool:
    """Whether Table 7's correlation comes out from the effects that the paper's model implies."""
    return f"{case.metrics_of_table_4(gender_effects=True).correlation:.3f}" == printed("table7.correlation")


def _individual_effects(case: Case) -> dict[str, Finding]:
    moved = moving_covariates(case)
    own = case.metrics_of_table_4(gender_effects=True).correlation
    patients = int(table_8("n").sum())
    return {
        "statement.cate-for-each": Finding(
            {
                "every patient has one": patients == case.design.n_patients,
                "it is the one that the model implies": own_effects(case),
            },
            f"{patients} patients in Table 8. The model's own effects have the correlation {own:.3f} with the true "
            f"ones; Table 7 prints {printed('table7.correlation')}, which needs the gender effects left out.",
        ),
        "statement.compared-to-truth": Finding(
            {"correlation, RMSE and MAE of Table 7 compare with the true effects of Listing 1": compared(case)},
            "All three come out to the last digit from Table 4's means and Listing 1's effects.",
        ),
        "statement.all-covariates": Finding(
            {"some covariates move a patient's effect": any(moved.values()), "all do": all(moved.values())},
            f"{sum(moved.values())} of {len(moved)} do: {', '.join(name for name, moves in moved.items() if moves)}.",
        ),
        "statement.caption-figure-2": figure_without_numbers("05-cate-evaluation"),
    }


def _accuracy(case: Case) -> dict[str, Finding]:
    actual, risk = case.truth.treatment_effect, case.truth.baseline_risk
    without = case.metrics_of_table_4(gender_effects=False)
    own = case.metrics_of_table_4(gender_effects=True)
    no_effect = point_metrics(np.zeros(actual.size), actual).rmse
    ratio = {name: float(r.risk.mean() / risk.mean()) for name, r in _readings(case).items()}
    order = float(np.corrcoef(case.as_implied.risk, risk)[0, 1])
    return {
        "statement.results-correlation": printed_metric(case, "correlation", "0.78"),
        "statement.results-rmse": Finding(
            {
                AS_COMPUTED: f"{without.rmse:.2f}" == "0.53",
                "it is below the error of predicting no effect for anybody": without.rmse < no_effect,
                "the model's own effects do as well": own.rmse <= without.rmse,
            },
            f"RMSE {without.rmse:.3f}; with the gender effects {own.rmse:.3f}; of no effect for anybody "
            f"{no_effect:.2f}. {without.bias_share:.0%} of the squared error is one and the same error for all, "
            f"{without.bias:+.2f}.",
        ),
        "statement.captures-baseline-risk": Finding(
            {
                "the risks that the model implies are right within a factor of two": 0.5 < ratio["implied"] < 2,
                "and ordered nearly right": order > 0.8,
                "those that the paper computed are": 0.5 < ratio["computed"] < 2,
            },
            f"Mean predicted over mean true risk: {ratio['implied']:.2f} with the gender effects, "
            f"{ratio['computed']:.1f} as computed for Table 8; correlation of implied and true risk {order:.2f}. "
            "Table 7, which the sentence cites, is about effects and not about risks.",
        ),
    }


def _readings(case: Case) -> dict[str, Reading]:
    return {"computed": case.as_computed, "implied": case.as_implied}


def _groups(case: Case) -> dict[str, Finding]:
    sizes, printed_risk, printed_te = table_8("n"), table_8("mean_risk"), table_8("mean_te")
    reproduced = np.abs(case.as_computed.log_odds["mean_risk"].to_numpy() - printed_risk).max()
    control_rate = float(case.design.outcome[case.design.treatment == 0].mean())
    true = rows(case.as_implied.true)
    above = _share_of_draws_in_which_the_last_group_is_above_the_first(case)
    true_te = case.as_implied.true["log_odds_ratio"].to_numpy()
    return {
        "statement.five-equal-groups": Finding(
            {"they are": len(set(sizes)) == 1}, f"Table 8: {', '.join(f'{size:.0f}' for size in sizes)} patients."
        ),
        "statement.predicted-baseline-risk": Finding(
            {
                "the groups are formed by a risk that the posterior gives": reproduced < 0.01,
                "it is this trial's risk within a factor of two": bool(0.5 < printed_risk.mean() / control_rate < 2),
            },
            f"Table 8's risks average {printed_risk.mean():.1%}; in the control arm {control_rate:.1%} bled. Without "
            f"the gender effects they are reproduced to {reproduced:.3f}.",
        ),
        "statement.variation-in-efficacy": Finding(
            {
                "the true effects of the groups differ": bool(np.ptp(true_te) > 0.5),
                "so do those of Table 8": bool(np.ptp(printed_te) > 0.5),
                "the model's 95 % interval of the difference between highest and lowest excludes zero": not 0.025
                < above
                < 0.975,
            },
            f"From lowest to highest group: true {true_te[0]:+.2f} to {true_te[-1]:+.2f}, Table 8 "
            f"{printed_te[0]:+.2f} to {printed_te[-1]:+.2f}. Posterior probability, gender effects in, that Q5's "
            f"average is above Q1's: {above:.2f}.",
        ),
        "statement.efficacy-increases": Finding(
            {
                "the effect increases, in Table 8": bool((np.diff(printed_te) > 0).all()),
                "and in truth": bool((np.diff(true_te) > 0).all()),
                "the benefit does": true["Q5"]["share_harmed"] < true["Q1"]["share_harmed"],
            },
            f"A greater effect is more bleeding: treatment truly harms {true['Q1']['share_harmed']:.0%} of the "
            f"patients in Q1 and {true['Q5']['share_harmed']:.0%} in Q5.",
        ),
        "statement.caption-figure-3": figure_without_numbers("06-risk-stratification"),
        "statement.caption-figure-4": Finding(
            {"it names what is shown": statement("statement.caption-figure-4").quote.strip().lower() != "caption"},
            "The caption is one word, the placeholder of the template.",
        ),
    }


def _share_of_draws_in_which_the_last_group_is_above_the_first(case: Case) -> float:
    draws = cate_draws(
        case.posterior, case.design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=GroupEffects.INCLUDED
    )
    averages = [draws.isel(patient=case.as_implied.group == group).mean("patient") for group in (1, 5)]
    return float((averages[1] > averages[0]).mean())


def _benefit(case: Case) -> dict[str, Finding]:
    true, predicted = rows(case.as_implied.true), rows(case.as_implied.points)
    helped = {quintile: 1 - true[quintile]["share_harmed"] for quintile in QUINTILES}
    actual = {quintile: true[quintile]["risk_difference"] for quintile in QUINTILES}
    expected = {quintile: predicted[quintile]["mean_te"] for quintile in QUINTILES}
    low_effects = table_8("mean_te")[:2]
    intervals = [
        f"{100 * predicted[q]['average_lower']:+.1f} to {100 * predicted[q]['average_upper']:+.1f}" for q in HIGH
    ]
    return {
        "statement.low-risk-no-benefit": Finding(
            {
                "fewer than half of them truly benefit": all(helped[q] < 0.5 for q in LOW),
                "the model predicts more bleeds under treatment": all(expected[q] > 0 for q in LOW),
            },
            f"Treatment truly lowers the risk of {helped['Q1']:.0%} in Q1 and {helped['Q2']:.0%} in Q2; predicted "
            f"risk differences {_points(expected, LOW)} percentage points.",
        ),
        "statement.low-risk-harmed": Finding(
            {
                "on average they are, in truth": any(actual[q] > 0 for q in LOW),
                "by Table 8 they are": bool((low_effects > 0).any()),
            },
            f"True risk differences {_points(actual, LOW)} percentage points, effects in Table 8 "
            f"{low_effects[0]:+.2f} and {low_effects[1]:+.2f}: fewer bleeds.",
        ),
        "statement.high-risk-benefit": Finding(
            {
                "on average they benefit, in truth": any(actual[q] < 0 for q in HIGH),
                "a 95 % credible interval is on the side of benefit": any(
                    predicted[q]["average_upper"] < 0 for q in HIGH
                ),
            },
            f"True risk differences {_points(actual, HIGH)} percentage points: more bleeds. Credible intervals of "
            f"the model: {' and '.join(intervals)}.",
        ),
    }


def _points(differences: dict[str, float], quintiles: list[str]) -> str:
    return " and ".join(f"{100 * differences[quintile]:+.1f}" for quintile in quintiles)
