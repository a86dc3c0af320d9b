"""Tables 7 and 8 of the paper, given its Table 4: every printed number with its tolerance, and tables for the reader.

The three tables come from one run, and Table 4 prints the mean and SD of every coefficient of it. So our draws are
shifted and stretched until each coefficient has these margins (`hte_utils.reproduction.table_4`), and the tables are
computed from them. What may differ: the rounding of Table 4, carried through; and the Monte Carlo error of what the
margins do not fix, found from batches of our draws and scaled to the length of the paper's run: (SD / time-series
SE)**2 of Table 4 is the effective sample size (ESS) of a mean, for a number the least of its coefficients (`MADE_OF`).
Correlation, RMSE and MAE of Table 7 are functions of means alone, without Monte Carlo error.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import RiskStrata, ntile
from hte_utils.effects.truth import implied_coefficients
from hte_utils.ledger.entries import Reproduced, print_rounding
from hte_utils.model.checks import FloatArray
from hte_utils.model.diagnostics import modern_diagnostics, summary_statistics
from hte_utils.model.listing_2 import table4_draws
from hte_utils.model.spec import TrialDesign
from hte_utils.paper import entries_of, printed
from hte_utils.reproduction.table_4 import (
    Margins,
    cate_of_table_4,
    match_margins,
    printed_effective_size,
    table_4_margins,
)
from hte_utils.trial import TrialTruth

if TYPE_CHECKING:
    import xarray as xr

PAPER_ERROR: Final = "gender effects left out of the effect and the baseline risk"  # gives Tables 7 and 8
LABELS: Final = {GroupEffects.LEFT_OUT: "gender effects left out", GroupEffects.INCLUDED: "gender effects in"}
"""How tables and figures name the paper's computation, and the one that its model implies."""

_PROGNOSTIC: Final = ("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_prior")
_INTERACTIONS: Final = ("b_trt_age", "b_trt_anticoag", "b_trt_diabetes")
MADE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "mean_risk": ("b_intercept", *_PROGNOSTIC),  # slowest: the intercept, ESS 112
    **dict.fromkeys(("coverage", "mean_te", "te_lower", "te_upper"), ("b_trt", *_INTERACTIONS)),  # b_trt, ESS 431
    "te_sd": (*_PROGNOSTIC, *_INTERACTIONS),  # who belongs to which quintile comes in: 1600 and more
}
"""The coefficients on whose Monte Carlo error a number depends."""
_OF_MEANS_ALONE: Final = ("correlation", "rmse", "mae")
_N_GROUPS: Final = 5
_BATCHES, _SHARE = 10, 2  # batches of draws; one in how many draws is used: at the margins of Table 4 half will do
_THINNING: Final = 100  # of the draws that tell how far a rounded margin moves a number
_METRICS: Final = {
    "correlation": "correlation",
    "rmse": "root mean squared error (RMSE)",
    "mae": "mean absolute error (MAE)",
    "coverage": "coverage of the 95 % intervals",
    "bias": "mean error (predicted minus true)",
    "bias_share": "its share of the squared error",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
}


def relative_length(posterior: xr.DataTree, number: str) -> float:
    """Effective length of the paper's run in units of ours, by the slowest coefficient of a number of `MADE_OF`."""
    coefficients = MADE_OF[number]
    draws = table4_draws(posterior)[list(coefficients)]
    ours = (summary_statistics(draws)["sd"] / modern_diagnostics(draws)["mcse_mean"]) ** 2
    return printed_effective_size(*coefficients) / float(ours.min())


def given_table_4(posterior: xr.DataTree, design: TrialDesign, truth: FloatArray) -> dict[str, dict[str, Reproduced]]:
    """Compute "Table 7" and "Table 8", for `hte_utils.ledger.record`, from our draws at the margins of Table 4.

    `truth`: true effects (log odds ratios) of the patients of `design`, shape (patients,).
    """
    margins = table_4_margins(design)
    batches = [posterior.isel(draw=slice(start, None, _BATCHES * _SHARE)) for start in range(_BATCHES)]
    numbers = pd.DataFrame([_numbers(match_margins(batch, margins), design, truth) for batch in batches])
    rounding = _carried_rounding(posterior.isel(draw=slice(None, None, _THINNING)), design, truth, margins)
    length = {number: relative_length(posterior, number) for number in MADE_OF}
    found: dict[str, dict[str, Reproduced]] = {"Table 7": {}, "Table 8": {}}
    for entry in (*entries_of("Table 7"), *entries_of("Table 8")):
        name = entry.id.rpartition(".")[2]
        values = numbers[entry.id]
        spread = float(values.std(ddof=1)) if name in MADE_OF else 0.0
        # A batch has a share of our effective draws; the paper's run has `relative_length` of all of them.
        in_print = spread / sqrt(_BATCHES * _SHARE * length[name]) if spread else 0.0
        found[entry.item][entry.id] = Reproduced(
            float(values.mean()),
            spread / sqrt(_BATCHES),
            in_print,
            paper_error=None if name == "n" else PAPER_ERROR,
            rounding=float(rounding[entry.id]),
        )
    return found


def _numbers(posterior: xr.DataTree, design: TrialDesign, truth: FloatArray) -> dict[str, float]:
    """Every number of Tables 7 and 8, computed as the paper did, by ledger id."""
    left_out = {"group_effects": GroupEffects.LEFT_OUT}
    effect = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, **left_out).to_numpy()
    effect = effect.reshape(-1, design.n_patients)
    risk = baseline_risk_draws(posterior, design, **left_out).mean(["chain", "draw"]).to_numpy()
    mean, (lower, upper) = effect.mean(axis=0), np.quantile(effect, (0.025, 0.975), axis=0)
    metrics = point_metrics(mean, truth)
    found = {f"table7.{name}": float(getattr(metrics, name)) for name in _OF_MEANS_ALONE}
    found["table7.coverage"] = float(((lower <= truth) & (truth <= upper)).mean())
    patients = pd.DataFrame({"mean_risk": risk, "mean_te": mean, "te_lower": lower, "te_upper": upper})
    for number, group in patients.groupby(ntile(risk, _N_GROUPS)):
        row = group.mean().to_dict() | {"n": float(len(group)), "te_sd": float(group["mean_te"].std())}
        found |= {f"table8.Q{number}.{name}": value for name, value in row.items()}
    return found


def _carried_rounding(
    posterior: xr.DataTree, design: TrialDesign, truth: FloatArray, margins: Margins
) -> pd.Series[float]:
    """How far the rounding of Table 4 can move each number: half a unit of every mean and SD, added up."""
    half, changed = print_rounding(3), [margins]
    for place, (mean, sd) in margins.items():
        changed += [{**margins, place: (mean + half, sd)}, {**margins, place: (mean, sd + half)}]
    found = pd.DataFrame([_numbers(match_margins(posterior, each), design, truth) for each in changed])
    return pd.Series((found.iloc[1:] - found.iloc[0]).abs().sum())


def table_7_beside_the_paper(left_out: pd.DataFrame, included: pd.DataFrame) -> pd.DataFrame:
    """Lay evaluations of the CATE (`hte_utils.effects.truth.evaluate`) without and with the gender effects beside it.

    As text; below Table 7's rows stand the measures that the paper does not give.
    """
    in_paper = {entry.id.removeprefix("table7."): entry.printed for entry in entries_of("Table 7")}
    ours = dict(zip(LABELS.values(), (left_out, included), strict=True))
    rows = {
        label: {"paper": in_paper.get(name, "")}
        | {column: f"{found['value'][name]:.3f} ± {found['mcse'][name]:.3f}" for column, found in ours.items()}
        for name, label in _METRICS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def table_7_from_table_4(design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Compute correlation, RMSE and MAE from the printed means of Table 4 alone (no draws), beside Table 7, as text."""
    rows = {"Table 7 of the paper": [printed(f"table7.{name}") for name in _OF_MEANS_ALONE]}
    for how, label in LABELS.items():
        predicted = cate_of_table_4(design, gender_effects=how is GroupEffects.INCLUDED)
        found = point_metrics(predicted, truth)
        rows[f"from Table 4, {label}"] = [f"{getattr(found, name):.3f}" for name in _OF_MEANS_ALONE]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["correlation", "RMSE", "MAE"])


def error_by_component(design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Set the parts of Table 4's effects right, one at a time: which of them costs what.

    Columns: correlation with the truth; RMSE; RMSE once the mean error is taken off (log odds ratios); slope of the
    truth on the prediction.
    """
    [age] = (coding for coding in design.coding.covariates if coding.covariate.label == "age")
    true = implied_coefficients(age.sd)
    found = {}
    for words, gender_effects, labels in (
        ("as in Table 4", False, []),
        ("with the gender effects", True, []),
        ("true slope of age", False, ["age"]),
        ("true effect of anticoagulants", False, ["anticoag"]),
        ("true effect of diabetes", False, ["diabetes"]),
        ("true age and diabetes", False, ["age", "diabetes"]),
        ("all three true", False, ["age", "anticoag", "diabetes"]),
    ):
        instead = {label: float(true[f"b_trt_{label}"]) for label in labels}
        metrics = point_metrics(cate_of_table_4(design, gender_effects=gender_effects, instead=instead), truth)
        without_mean_error = metrics.rmse * sqrt(1 - metrics.bias_share)
        found[words] = [metrics.correlation, metrics.rmse, without_mean_error, metrics.calibration_slope]
    columns = ["correlation", "RMSE", "without mean error", "slope"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def slope_within_bands(design: TrialDesign, truth: TrialTruth) -> float:
    """Slope of the true on Table 4's effects among patients who differ in age alone: above 1 if age's is too small.

    A band holds those who agree in all else that modifies the true effect: anticoagulants, diabetes, prior bleeding,
    BMI above 30.
    """
    patients, predicted = truth.covariates, cate_of_table_4(design, gender_effects=False)
    columns = (patients.anticoagulant, patients.diabetes, patients.prior_bleeding, patients.bmi > 30.0)
    effects = pd.DataFrame({"predicted": predicted, "true": truth.treatment_effect})
    within = effects - effects.groupby([*columns]).transform("mean")
    x, y = within["predicted"].to_numpy(), within["true"].to_numpy()
    return float((x @ y) / (x @ x))


def table_8_beside_the_paper(strata: RiskStrata) -> pd.DataFrame:
    """Lay a stratification beside Table 8: our value, and the paper's in brackets."""
    shown = pd.DataFrame(index=strata.table.index)
    for entry in entries_of("Table 8"):
        ours = strata.table[entry.column][entry.row]
        shown.loc[entry.row, entry.column] = f"{ours:.{entry.decimals}f} ({entry.printed})"
    return shown
