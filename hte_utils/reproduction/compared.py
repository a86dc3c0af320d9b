"""Tables 7 and 8 beside what we find, and beside the other ways in which they could have been computed.

Everything here is for the reader's eye; the ledger's values come from :mod:`hte_utils.reproduction.tables_7_8`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.evaluation import CateEvaluation, Metric, PointMetrics, point_metrics
from hte_utils.effects.truth import implied_coefficients
from hte_utils.ledger.entries import Reproduced, judge
from hte_utils.paper import entries_of, printed, printed_number
from hte_utils.reproduction.readings import (
    Margin,
    cate_from_means,
    match_margins,
    table_7_candidates,
    table_8_candidates,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hte_utils.effects.monte_carlo import FloatArray
    from hte_utils.effects.strata import RiskStrata
    from hte_utils.model.spec import TrialDesign
    from hte_utils.trial import TrialTruth

LEFT_OUT_LABEL: Final = "gender effects left out"
INCLUDED_LABEL: Final = "gender effects in"
COMPUTATION_LABELS: Final = {"LEFT_OUT": LEFT_OUT_LABEL, "INCLUDED": INCLUDED_LABEL}
_COMBINATIONS: Final = {  # of the gender effects in the CATE and in the risk
    "in neither": ("LEFT_OUT", "LEFT_OUT"),
    "in the risk only": ("LEFT_OUT", "INCLUDED"),
    "in the effect only": ("INCLUDED", "LEFT_OUT"),
    "in both": ("INCLUDED", "INCLUDED"),
}
_QUINTILES: Final = [f"Q{number}" for number in range(1, 6)]
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


def table_7_beside_the_paper(left_out: CateEvaluation, included: CateEvaluation) -> pd.DataFrame:
    """Lay both evaluations beside Table 7; below its four rows, the measures that the paper does not give.

    Parameters
    ----------
    left_out, included
        Evaluations of the CATE without and with the gender effects, on the log odds ratio.
    """
    in_paper = {entry.id.removeprefix("table7."): entry.printed for entry in entries_of("Table 7")}
    rows = {
        label: {
            "paper": in_paper.get(name, ""),
            LEFT_OUT_LABEL: _with_error(left_out.metrics()[name]),
            INCLUDED_LABEL: _with_error(included.metrics()[name]),
        }
        for name, label in _METRICS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def cate_of_table_4(design: TrialDesign, *, gender_effects: bool) -> FloatArray:
    """Return every patient's CATE (log odds ratio) from the means that Table 4 prints, shape (patients,).

    Parameters
    ----------
    design
        The paper's trial.
    gender_effects
        Whether the patient's own ``te_gender`` is used (True) or ``b_trt`` for everybody (False).
    """
    interactions = {label: _table_4(f"b_trt_{label}", "Mean") for label in design.modifier_labels}
    if not gender_effects:
        return cate_from_means(design, _table_4("b_trt", "Mean"), interactions)
    by_group = np.array([_table_4(name, "Mean") for name in _te_gender(design)])
    return by_group[design.group] + cate_from_means(design, 0.0, interactions)


def table_7_from_table_4(design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Compute correlation, RMSE and MAE from the printed means of Table 4 alone: no draws, no Monte Carlo error.

    Returns
    -------
    pandas.DataFrame
        A row each for the paper's Table 7, and for Table 4 without and with the gender effects; three decimals.
    """
    rows = {"Table 7 of the paper": {name: printed(f"table7.{name}") for name in ("correlation", "rmse", "mae")}}
    for gender_effects, label in ((False, LEFT_OUT_LABEL), (True, INCLUDED_LABEL)):
        found = point_metrics(cate_of_table_4(design, gender_effects=gender_effects), truth)
        rows[f"from Table 4, {label}"] = _three_decimals(found)
    return pd.DataFrame.from_dict(rows, orient="index").rename(
        columns={"correlation": "correlation", "rmse": "RMSE", "mae": "MAE"}
    )


def error_by_component(design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Set the parts of Table 4's effects right, one at a time: which of them costs what.

    Parameters
    ----------
    design
        The paper's trial.
    truth
        Its true effects (log odds ratio), shape (patients,).

    Returns
    -------
    pandas.DataFrame
        A row for each change to the effects computed from Table 4 without the gender effects. Columns: correlation with
        the truth; RMSE; RMSE once the mean error is taken off (log odds ratios); slope of the truth on the prediction.
    """
    [age] = (coding for coding in design.coding.covariates if coding.covariate.label == "age")
    true = {label: float(implied_coefficients(age.sd)[f"b_trt_{label}"]) for label in design.modifier_labels}
    found = {label: _table_4(f"b_trt_{label}", "Mean") for label in design.modifier_labels}
    mended = {
        "true slope of age": ["age"],
        "true effect of anticoagulants": ["anticoag"],
        "true effect of diabetes": ["diabetes"],
        "true age and diabetes": ["age", "diabetes"],
        "all three true": ["age", "anticoag", "diabetes"],
    }
    effects = {"as in Table 4": cate_of_table_4(design, gender_effects=False)}
    effects |= {"with the gender effects": cate_of_table_4(design, gender_effects=True)}
    for words, labels in mended.items():
        parts = found | {label: true[label] for label in labels}
        effects[words] = cate_from_means(design, _table_4("b_trt", "Mean"), parts)
    rows = {words: point_metrics(predicted, truth) for words, predicted in effects.items()}
    return pd.DataFrame(
        {
            words: {
                "correlation": metrics.correlation,
                "RMSE": metrics.rmse,
                "without mean error": metrics.rmse * np.sqrt(1 - metrics.bias_share),
                "slope": metrics.calibration_slope,
            }
            for words, metrics in rows.items()
        }
    ).T


def slope_within_bands(design: TrialDesign, truth: TrialTruth) -> float:
    """Slope of the true on Table 4's effects among patients who differ in age alone.

    A band holds those who agree in all that modifies the true effect but age: anticoagulants, diabetes, prior bleeding,
    BMI above 30. 1 where the effect of age has the right size; above 1 where it is too small.
    """
    patients, predicted = truth.covariates, cate_of_table_4(design, gender_effects=False)
    columns = (patients.anticoagulant, patients.diabetes, patients.prior_bleeding, patients.bmi > 30.0)
    effects = pd.DataFrame({"predicted": predicted, "true": truth.treatment_effect})
    within = effects - effects.groupby([*columns]).transform("mean")
    x, y = within["predicted"].to_numpy(), within["true"].to_numpy()
    return float((x @ y) / (x @ x))


def table_7_alternatives(
    posterior: xr.DataTree, design: TrialDesign, truth: FloatArray, found: Mapping[str, Reproduced]
) -> pd.DataFrame:
    """Every way in which Table 7 could have been computed, and how many of its four numbers each one gives.

    Parameters
    ----------
    posterior
        Draws at the margins of Table 4 (:func:`at_table_4_margins`); a few thousand are enough.
    design, truth
        The trial, and its true effects (log odds ratio).
    found
        From :func:`hte_utils.reproduction.tables_7_8.given_table_4`: the tolerances of the ledger.
    """
    candidates = table_7_candidates(posterior, design, truth).sort_index(level=0, ascending=False, sort_remaining=False)
    agreeing = [
        sum(_within(f"table7.{name}", value, found) for name, value in row.items()) for _, row in candidates.iterrows()
    ]
    shown = candidates.map("{:.3f}".format).assign(**{"within tolerance": [f"{count} of 4" for count in agreeing]})
    shown = shown.rename(index=COMPUTATION_LABELS, columns={"rmse": "RMSE", "mae": "MAE"})
    return shown.rename_axis(index=["CATE", "estimate", "interval"])


def table_8_rivals(posterior: xr.DataTree, design: TrialDesign, found: Mapping[str, Reproduced]) -> pd.DataFrame:
    """For every candidate computation of a column of Table 8, how many of its five numbers the ledger lets pass.

    Parameters
    ----------
    posterior
        Draws at the margins of Table 4 (:func:`at_table_4_margins`); two thousand are enough.
    design
        The trial.
    found
        From :func:`hte_utils.reproduction.tables_7_8.given_table_4`: the tolerances of the ledger.

    Returns
    -------
    pandas.DataFrame
        Index: column of Table 8 and computation in words. Columns: where the gender effects are.
    """
    candidates = table_8_candidates(posterior, design)[_QUINTILES]
    passing = pd.Series(
        [
            sum(_within(f"table8.{row}.{key[0]}", value, found) for row, value in values.items())
            for key, values in zip(candidates.index, candidates.to_dict("records"), strict=True)
        ],
        index=candidates.index,
    )
    shown = pd.DataFrame({label: passing.xs(where, level=("effect", "risk")) for label, where in _COMBINATIONS.items()})
    shown = shown.assign(place=[_table_8_columns().index(column) for column, _ in shown.index])
    return shown.sort_values(["place", "in neither"], ascending=[True, False]).drop(columns="place")


def _within(entry_id: str, value: float, found: Mapping[str, Reproduced]) -> bool:
    return not judge(entry_id, replace(found[entry_id], value=value)).fails


def at_table_4_margins(posterior: xr.DataTree, design: TrialDesign) -> xr.DataTree:
    """Move and stretch the draws so that each coefficient has exactly the mean and SD that Table 4 prints.

    This takes most of the Monte Carlo error of the paper's run out of a comparison. The log odds that the data
    identify (`b_intercept + re`) stay as they are, and ``te_gender`` has the margins of Table 4 too: only the way in
    which these sums are split moves.
    """
    names: dict[tuple[str, str | None], str] = {("b_intercept", None): "b_intercept", ("b_trt", None): "b_trt"}
    names |= {("b_prognostic", label): f"b_{label}" for label in design.prognostic_labels}
    names |= {("b_interaction", label): f"b_trt_{label}" for label in design.modifier_labels}
    names |= {("te_group", label): name for label, name in zip(design.group_labels, _te_gender(design), strict=True)}
    margins = {where: Margin(_table_4(name, "Mean"), _table_4(name, "SD")) for where, name in names.items()}
    before, after = posterior["posterior"].to_dataset(), match_margins(posterior, margins)["posterior"].to_dataset()
    sums = before["re"] + before["b_intercept"]
    split = {"re": sums - after["b_intercept"], "re_trt": after["te_group"] - after["b_trt"]}
    split = {name: values.transpose(*before[name].dims) for name, values in split.items()}
    return xr.DataTree.from_dict({"posterior": after.assign(split)})


def table_8_beside_the_paper(strata: RiskStrata) -> pd.DataFrame:
    """Lay a stratification beside Table 8: our value, and the paper's in brackets."""
    ours = strata.table.astype(float)[_table_8_columns()]
    columns = {
        str(column): [
            f"{value:.{0 if column == 'n' else 3}f} ({printed(f'table8.{row}.{column}')})"
            for row, value in values.items()
        ]
        for column, values in ours.items()
    }
    return pd.DataFrame(columns, index=ours.index)


def table_8_alternatives(posterior: xr.DataTree, design: TrialDesign) -> pd.DataFrame:
    """How far every candidate computation of a column of Table 8 is from the printed column.

    Parameters
    ----------
    posterior
        Draws, best at the margins of Table 4 (:func:`at_table_4_margins`); two thousand are enough.
    design
        The trial.

    Returns
    -------
    pandas.DataFrame
        Index: column of Table 8 and computation in words. Columns: where the gender effects are (in the effect, in the
        risk that ranks the patients). Cells: the largest absolute difference from the five printed numbers.
    """
    candidates = table_8_candidates(posterior, design)[_QUINTILES]
    paper = np.array(
        [[printed_number(f"table8.{row}.{column}") for row in _QUINTILES] for column, *_ in candidates.index]
    )
    distance = (candidates - paper).abs().max(axis=1)
    shown = pd.DataFrame(
        {label: distance.xs(where, level=("effect", "risk")) for label, where in _COMBINATIONS.items()}
    )
    shown = shown.assign(place=[_table_8_columns().index(column) for column, _ in shown.index])
    return shown.sort_values(["place", "in neither"]).drop(columns="place")


def _table_8_columns() -> list[str]:
    return list(dict.fromkeys(entry.column for entry in entries_of("Table 8")))


def _table_4(name: str, quantity: str) -> float:
    return printed_number(f"table4.{name}.{quantity}")


def _te_gender(design: TrialDesign) -> list[str]:
    return [f"te_gender[{number}]" for number in range(1, len(design.group_labels) + 1)]


def _three_decimals(found: PointMetrics) -> dict[str, str]:
    return {name: f"{getattr(found, name):.3f}" for name in ("correlation", "rmse", "mae")}


def _with_error(metric: Metric) -> str:
    return f"{metric.value:.3f} ± {metric.mcse:.3f}"
