"""Which computation gives the printed Tables 7 and 8: the candidates, all from one posterior.

The paper does not say how its tables were computed. Here each column is computed in every way that its name could
mean, so that the printed values can be laid beside them. The comparison is sharp where the draws have the margins of
Table 4 (`hte_utils.reproduction.table_4.at_table_4_margins`); a few thousand of them are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import expit

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import ntile
from hte_utils.ledger.entries import Reproduced, judge
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import TrialDesign
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction.tables_7_8 import LABELS

if TYPE_CHECKING:
    import xarray as xr

_QUINTILES: Final = ("Q1", "Q2", "Q3", "Q4", "Q5")
_LOWER, _UPPER = 0.025, 0.975
_COMBINATIONS: Final = {  # of the gender effects in the CATE and in the risk
    "in neither": ("LEFT_OUT", "LEFT_OUT"),
    "in the risk only": ("LEFT_OUT", "INCLUDED"),
    "in the effect only": ("INCLUDED", "LEFT_OUT"),
    "in both": ("INCLUDED", "INCLUDED"),
}


def table_7_candidates(posterior: xr.DataTree, design: TrialDesign, truth: FloatArray) -> pd.DataFrame:
    """Correlation, RMSE, MAE and coverage of Table 7 in every way (the index) they could have been computed.

    `truth`: true effects (log odds ratios), shape (patients,).
    """
    rows: dict[tuple[str, str, str], list[float]] = {}
    for how, label in LABELS.items():
        cate = _cate(posterior, design, how)
        mean, reach = cate.mean(axis=0), 1.96 * cate.std(axis=0, ddof=1)
        ends = {
            "quantiles": np.quantile(cate, (_LOWER, _UPPER), axis=0),
            "mean ± 1.96 SD": np.array([mean - reach, mean + reach]),
        }
        for estimate, predicted in {"mean": mean, "median": np.median(cate, axis=0)}.items():
            found = point_metrics(predicted, truth)
            for interval, (lower, upper) in ends.items():
                coverage = float(((lower <= truth) & (truth <= upper)).mean())
                rows[label, estimate, interval] = [found.correlation, found.rmse, found.mae, coverage]
    table = pd.DataFrame(rows, ["correlation", "rmse", "mae", "coverage"]).T
    return table.rename_axis(["CATE", "estimate", "interval"])


def table_7_alternatives(candidates: pd.DataFrame, given: Mapping[str, Reproduced]) -> pd.DataFrame:
    """Show the candidates of Table 7 as text, with how many of its numbers each gives within `given`'s tolerances."""
    agreeing = [
        sum(_passes(f"table7.{name}", value, given) for name, value in row.items()) for _, row in candidates.iterrows()
    ]
    shown = candidates.map("{:.3f}".format).rename(columns={"rmse": "RMSE", "mae": "MAE"})
    return shown.assign(**{"within tolerance": [f"{count} of 4" for count in agreeing]})


def table_8_candidates(posterior: xr.DataTree, design: TrialDesign) -> pd.DataFrame:
    """Every column of Table 8 in every way its name could be meant; columns are the quintiles.

    Index: `column` of Table 8, `effect` and `risk` (whether the gender effects are in the CATE and in the risk that
    ranks the patients; members of `GroupEffects`), and the `computation` in words.
    """
    rows: dict[tuple[str, str, str, str], FloatArray] = {}
    for effect in GroupEffects:
        cate = _cate(posterior, design, effect)
        for risk in GroupEffects:
            draws = baseline_risk_draws(posterior, design, group_effects=risk).to_numpy()
            found = _candidates(cate, draws.reshape(-1, design.n_patients), design.treatment)
            rows |= {(column, effect.name, risk.name, words): values for (column, words), values in found.items()}
    return pd.DataFrame(rows, list(_QUINTILES)).T.rename_axis(["column", "effect", "risk", "computation"])


def _candidates(cate: FloatArray, risk: FloatArray, treatment: FloatArray) -> dict[tuple[str, str], FloatArray]:
    """All candidates from draws (draws, patients) of CATE and baseline risk, keyed by column and computation."""
    logit = np.log(risk / (1.0 - risk))
    usual = "posterior mean of the probability"
    rankings = {
        usual: risk.mean(axis=0),
        "probability at the posterior mean of the linear predictor": expit(logit.mean(axis=0)),
        "posterior median of the probability": np.median(risk, axis=0),
        "as treated in the trial": expit(logit + cate * treatment).mean(axis=0),
        "if all were treated": expit(logit + cate).mean(axis=0),
    }
    mean, sd = cate.mean(axis=0), cate.std(axis=0, ddof=1)
    found: dict[tuple[str, str], FloatArray] = {}
    for name, probability in rankings.items():
        patients = pd.DataFrame({"risk": probability, "effect": mean})
        by_group = patients.groupby(ntile(probability, len(_QUINTILES))).mean()
        found["mean_risk", name] = by_group["risk"].to_numpy()
        found["mean_te", f"ranked by: {name}"] = by_group["effect"].to_numpy()

    group = ntile(rankings[usual], len(_QUINTILES))
    members = [group == number for number in range(1, len(_QUINTILES) + 1)]

    def over_groups(summary: Callable[..., float], values: FloatArray, *arguments: float) -> FloatArray:
        """A summary of each group's columns of `values`, over patients and (where there are any) draws."""
        return np.array([summary(values[..., own], *arguments) for own in members])

    average = np.stack([cate[:, own].mean(axis=1) for own in members], axis=1)
    sample_sd = partial(np.std, ddof=1)
    found["te_sd", "SD over patients of the posterior mean"] = over_groups(sample_sd, mean)
    found["te_sd", "posterior SD of the group's average"] = average.std(axis=0, ddof=1)
    found["te_sd", "mean over patients of the posterior SD"] = over_groups(np.mean, sd)
    found["te_sd", "SD over patients and draws"] = over_groups(sample_sd, cate)
    for column, probability, z in (("te_lower", _LOWER, -1.96), ("te_upper", _UPPER, 1.96)):
        end = np.quantile(cate, probability, axis=0)
        found |= {
            (column, "mean over patients of the quantile"): over_groups(np.mean, end),
            (column, "median over patients of the quantile"): over_groups(np.median, end),
            (column, "mean over patients of mean ± 1.96 SD"): over_groups(np.mean, mean + z * sd),
            (column, "quantile over patients and draws"): over_groups(np.quantile, cate, probability),
            (column, "quantile of the group's average"): np.quantile(average, probability, axis=0),
            (column, "quantile over patients of the posterior mean"): over_groups(np.quantile, mean, probability),
        }
    return found


def table_8_alternatives(candidates: pd.DataFrame) -> pd.DataFrame:
    """Largest absolute difference of every candidate (the index) from the five printed numbers of its column.

    Columns: where the gender effects are (in the effect, in the risk that ranks the patients).
    """
    paper = [[printed_number(f"table8.{row}.{column}") for row in _QUINTILES] for column, *_ in candidates.index]
    return _by_combination((candidates - np.array(paper)).abs().max(axis=1), ascending=True)


def table_8_rivals(candidates: pd.DataFrame, given: Mapping[str, Reproduced]) -> pd.DataFrame:
    """How many of its five numbers pass within the tolerances of `given`; laid out as `table_8_alternatives`."""
    passing = [
        sum(_passes(f"table8.{quintile}.{key[0]}", value, given) for quintile, value in row.items())
        for key, row in zip(candidates.index, candidates.to_dict("records"), strict=True)
    ]
    return _by_combination(pd.Series(passing, candidates.index), ascending=False)


def _by_combination(values: pd.Series, *, ascending: bool) -> pd.DataFrame:
    shown = pd.DataFrame({label: values.xs(where, level=("effect", "risk")) for label, where in _COMBINATIONS.items()})
    order = list(dict.fromkeys(entry.column for entry in entries_of("Table 8")))
    shown = shown.assign(place=[order.index(column) for column, _ in shown.index])
    return shown.sort_values(["place", "in neither"], ascending=[True, ascending]).drop(columns="place")


def _passes(entry_id: str, value: float, given: Mapping[str, Reproduced]) -> bool:
    return not judge(entry_id, replace(given[entry_id], value=value)).fails


def _cate(posterior: xr.DataTree, design: TrialDesign, group_effects: GroupEffects) -> FloatArray:
    draws = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=group_effects)
    return draws.to_numpy().reshape(-1, design.n_patients)
