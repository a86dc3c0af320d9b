"""Tables 7 and 8 of the paper, given its Table 4: the value of every printed number, with its tolerance.

The three tables come from one run, and Table 4 prints the mean and SD of every coefficient of it. So nothing is left
to the luck of that run but what means and SDs do not fix: our draws are shifted and stretched until each coefficient
has the margins of Table 4 (`hte_utils.reproduction.readings.match_margins`), and the tables are computed from them.
What
may differ:

- the rounding of Table 4, carried through (every margin is moved by half a unit of its last digit);
- the Monte Carlo error of what the margins do not fix (the shape of the posterior, the correlation of coefficients),
  found from batches of our draws, each with the margins of Table 4, and scaled to the length of the paper's run:
  Table 4 prints SD and time-series SE, and (SD / time-series SE)**2 is the effective sample size (ESS) of a mean.

Correlation, RMSE and MAE of Table 7 are functions of means alone: they have no Monte Carlo error at all. A number that
is made of several coefficients is given the ESS of the slowest of them (`MADE_OF`):

- *risk* (``mean_risk``) is made of the intercept and the prognostic coefficients. Slowest: the intercept, ESS 112.
- *effect* (coverage, ``mean_te``, ``te_lower``, ``te_upper``) is made of `b_trt` and the interactions. Slowest:
  `b_trt`, ESS 431.
- *spread* (``te_sd``, and who belongs to which quintile) is made of the interactions and prognostic coefficients: 1600
  and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import ntile
from hte_utils.ledger.entries import Reproduced, print_rounding
from hte_utils.model.diagnostics import modern_diagnostics, summary_statistics
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import entries_of, paper_entry, printed_number
from hte_utils.reproduction.readings import Margin, match_margins

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.effects.monte_carlo import FloatArray
    from hte_utils.model.spec import TrialDesign

PAPER_ERROR: Final = "gender effects left out of the effect and the baseline risk"
"""What a reader must do wrong to get the numbers of Tables 7 and 8."""

type Ingredient = Literal["risk", "effect", "spread"]

_PROGNOSTIC: Final = ("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_prior")
_INTERACTIONS: Final = ("b_trt_age", "b_trt_anticoag", "b_trt_diabetes")
MADE_OF: Final[Mapping[Ingredient, tuple[str, ...]]] = {
    "risk": ("b_intercept", *_PROGNOSTIC),
    "effect": ("b_trt", *_INTERACTIONS),
    "spread": (*_PROGNOSTIC, *_INTERACTIONS),
}
"""The coefficients on whose Monte Carlo error a number depends; see the module's docstring."""

_INGREDIENT: Final[Mapping[str, Ingredient]] = {
    **dict.fromkeys(("correlation", "te_sd"), "spread"),
    **dict.fromkeys(("rmse", "mae", "coverage", "mean_te", "te_lower", "te_upper"), "effect"),
    "mean_risk": "risk",
}
_OF_MEANS_ALONE: Final = ("correlation", "rmse", "mae")
_NO_COVERAGE: Final = (
    "no reading gives it, with or without the gender effects, and none of the recorded JAGS runs: 1.000"
)
_N_GROUPS: Final = 5
_BATCHES, _SHARE = 10, 2
"""Batches of draws, and one in how many draws is used at all: at the margins of Table 4 half of them will do."""
# Draws of which every hundredth is kept tell how far a rounded margin moves a number just as well.
_THINNING: Final = 100


def printed_effective_size(coefficients: tuple[str, ...]) -> float:
    """Smallest effective sample size that Table 4 implies for the means of some coefficients.

    Parameters
    ----------
    coefficients
        Names as in Table 4.

    Notes
    -----
    Half a unit of the last digit is added to the time-series SE: a printed 0.003 may be anything up to 0.0035.
    """

    def size(name: str) -> float:
        error = paper_entry(f"table4.{name}.Time.series.SE")
        largest = printed_number(error.id) + print_rounding(error.decimals)
        return (printed_number(f"table4.{name}.SD") / largest) ** 2

    return min(map(size, coefficients))


def relative_length(posterior: xr.DataTree, ingredient: Ingredient) -> float:
    """Length of the paper's run in units of ours, by the slowest coefficient that matters.

    Parameters
    ----------
    posterior
        Our draws.
    ingredient
        What the number in question is made of: a key of `MADE_OF`.

    Returns
    -------
    float
        Effective sample size of the paper's run divided by ours; multiply an MCSE of ours by its ``-1/2``-th power
        to have that of the printed number.
    """
    coefficients = MADE_OF[ingredient]
    draws = table4_draws(posterior)[list(coefficients)]
    ours = (summary_statistics(draws)["sd"] / modern_diagnostics(draws)["mcse_mean"]) ** 2
    return printed_effective_size(coefficients) / float(ours.min())


@dataclass(frozen=True, slots=True)
class GivenTable4:
    """Numbers of Tables 7 and 8 computed at the margins of Table 4, by ledger id.

    Attributes
    ----------
    found
        What :func:`hte_utils.ledger.record` takes.
    at_margins
        The draws they were computed from, thinned: for rival readings.
    """

    found: Mapping[str, Reproduced]
    at_margins: xr.DataTree

    def table(self, item: str) -> dict[str, Reproduced]:
        """The numbers of "Table 7" or "Table 8"."""
        return {entry.id: self.found[entry.id] for entry in entries_of(item)}


def given_table_4(posterior: xr.DataTree, design: TrialDesign, truth: FloatArray) -> GivenTable4:
    """Compute Tables 7 and 8 at the margins of Table 4.

    Parameters
    ----------
    posterior
        Our draws of Listing 2.
    design
        The paper's trial.
    truth
        True effects (log odds ratios), shape (patient,).
    """
    margins = table_4_margins(design)
    batches = [posterior.isel(draw=slice(start, None, _BATCHES * _SHARE)) for start in range(_BATCHES)]
    numbers = pd.DataFrame([_numbers(match_margins(batch, margins), design, truth) for batch in batches])
    rounding = _carried_rounding(posterior.isel(draw=slice(None, None, _THINNING)), design, truth, margins)
    ours = {i: relative_length(posterior, i) for i in MADE_OF}
    found = {}
    for entry in (*entries_of("Table 7"), *entries_of("Table 8")):
        name = entry.id.rpartition(".")[2]
        values, of_margins = numbers[entry.id], name in _OF_MEANS_ALONE or name == "n"
        spread = 0.0 if of_margins else float(values.std(ddof=1))
        # A batch has a share of our effective draws; the paper's run has `relative_length` of all of them.
        printed = spread / sqrt(_BATCHES * _SHARE * ours[_INGREDIENT[name]]) if spread else 0.0
        found[entry.id] = Reproduced(
            float(values.mean()),
            spread / sqrt(_BATCHES),
            printed,
            paper_error=None if name == "n" else PAPER_ERROR,
            rounding=float(rounding[entry.id]),
        )
    return GivenTable4(found, match_margins(posterior.isel(draw=slice(None, None, _BATCHES)), margins))


def table_4_margins(design: TrialDesign) -> dict[tuple[str, str | None], Margin]:
    """Mean and SD that Table 4 prints for the coefficients that Tables 7 and 8 were computed from."""
    names: dict[tuple[str, str | None], str] = {("b_intercept", None): "b_intercept", ("b_trt", None): "b_trt"}
    names |= {("b_prognostic", label): f"b_{label}" for label in design.prognostic_labels}
    names |= {("b_interaction", label): f"b_trt_{label}" for label in design.modifier_labels}
    return {
        key: Margin(printed_number(f"table4.{name}.Mean"), printed_number(f"table4.{name}.SD"))
        for key, name in names.items()
    }


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
    group = ntile(risk, _N_GROUPS)
    columns = {"mean_risk": risk, "mean_te": mean, "te_lower": lower, "te_upper": upper}
    for number in range(1, _N_GROUPS + 1):
        here = group == number
        found |= {f"table8.Q{number}.{name}": float(values[here].mean()) for name, values in columns.items()}
        found |= {f"table8.Q{number}.n": float(here.sum()), f"table8.Q{number}.te_sd": float(mean[here].std(ddof=1))}
    return found


def _carried_rounding(
    posterior: xr.DataTree, design: TrialDesign, truth: FloatArray, margins: Mapping[tuple[str, str | None], Margin]
) -> pd.Series:
    """How far the rounding of Table 4 can move each number: half a unit of every mean and SD, added up."""
    half = print_rounding(3)

    def computed(changed: Mapping[tuple[str, str | None], Margin]) -> pd.Series:
        return pd.Series(_numbers(match_margins(posterior, {**margins, **changed}), design, truth))

    base = computed({})
    moved = [
        (computed({key: changed}) - base).abs()
        for key, margin in margins.items()
        for changed in (Margin(margin.mean + half, margin.sd), Margin(margin.mean, margin.sd + half))
    ]
    total: pd.Series = pd.DataFrame(moved).sum()
    return total
