"""Population-average effects by standardisation (g-computation) over a posterior.

In every posterior draw each patient's risk is computed twice, as if nobody and as if everybody were treated, and each
is averaged over the patients of a population (Robins 1986; Snowden, Rose & Mortimer 2011). Average effects compare the
two averages. The event is bleeding, so a risk difference or log odds ratio above 0, or a risk ratio above 1, is
**harm**.

Two different averages are at hand. *Sample-average* effects (SATE) are those of the patients that are given, as they
are. *Population-average* effects (PATE) are those of the population they were drawn from: the patients' distribution is
then unknown as well, and the Bayesian bootstrap (Rubin 1981) puts that into the interval.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from hte_utils.logistic import expit_in_place
from hte_utils.monte_carlo import batch_edges, jackknife_mean, jackknife_quantile, require_probability
from hte_utils.predictors import (
    GroupEffects,
    LinearPredictor,
    baseline_log_odds,
    log_odds_ratio,
    posterior_dataset,
    require_moderate,
)
from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    from hte_utils.spec import Patients
    from hte_utils.trial import TrialTruth

EVERYBODY = "all patients"
# A block of patients x draws of this many numbers (2 MiB) stays in a core's own cache.
_BLOCK_NUMBERS = 2**18
_SPANS = 8


class Measure(Enum):
    """How the two risks of a population are compared. The value is the measure's name in words."""

    RISK_DIFFERENCE = "risk difference"
    RISK_RATIO = "risk ratio"
    MARGINAL_LOG_ODDS_RATIO = "marginal log odds ratio"
    MEAN_LOG_ODDS_RATIO = "mean conditional log odds ratio"

    @property
    def no_effect(self) -> float:
        """The value that means "treatment changes nothing"; larger values are harm."""
        return 1.0 if self is Measure.RISK_RATIO else 0.0


def everybody(n_patients: int) -> pd.DataFrame:
    """Membership table with one population: all patients."""
    return pd.DataFrame({EVERYBODY: np.ones(n_patients, dtype=bool)})


def standardised_risks(
    posterior: xr.DataTree,
    patients: Patients,
    members: pd.DataFrame,
    *,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
) -> xr.Dataset:
    """Average risk with nobody and with everybody treated, in every draw and for every population.

    Parameters
    ----------
    posterior, patients
        As for `hte_utils.cate.cate_draws`.
    members
        Boolean, one row per patient in their order, one column per population (`everybody`, or
        `hte_utils.averages.subgroups.memberships`). Populations may overlap.
    group_effects
        Whether the group's own effects enter; the model implies that they do.

    Returns
    -------
    xarray.Dataset
        Dims population, chain, draw: `untreated` and `treated`, probabilities; `mean_log_odds_ratio`, the average of
        the patients' own (conditional) log odds ratios.

    Raises
    ------
    TypeError, ValueError
        If `members` does not fit the patients or has a population without members; else as `cate_draws`.
    """
    weights = _weights(members, patients.n_patients)
    baseline, effect = _predictors(posterior, patients, group_effects)
    n_draws = baseline.coefficients.shape[1]

    def totals(span: slice) -> FloatArray:
        found = np.zeros((3, len(weights), n_draws))
        for rows in _blocks(span, n_draws):
            for place, each in enumerate(_risks_and_effect(baseline, effect, rows)):
                found[place] += weights[:, rows] @ each
        return found

    # Always the same spans, added in the same order: the result does not depend on the number of threads.
    bounds = np.linspace(0, patients.n_patients, _SPANS + 1).astype(int).tolist()
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(min(_SPANS, os.cpu_count() or 1)) as pool:
        spans = [slice(start, stop) for start, stop in pairwise(bounds)]
        untreated, treated, mean_effect = np.sum(list(pool.map(totals, spans)), axis=0)
    return _risk_dataset(posterior, list(members.columns), untreated, treated, mean_effect)


def bootstrapped_risks(
    posterior: xr.DataTree,
    patients: Patients,
    rng: np.random.Generator,
    *,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
) -> xr.Dataset:
    """As `standardised_risks`, for the population that all the patients were drawn from (Bayesian bootstrap).

    Every draw weights the patients anew by a flat Dirichlet (Rubin 1981), so that intervals also cover who
    happened to be recruited.
    """
    baseline, effect = _predictors(posterior, patients, group_effects)
    n_draws = baseline.coefficients.shape[1]
    sums = np.zeros((4, n_draws))
    for rows in _blocks(slice(0, patients.n_patients), n_draws):
        # Independent exponentials divided by their sum are a flat Dirichlet.
        weights = rng.standard_exponential((rows.stop - rows.start, n_draws))
        sums[0] += weights.sum(axis=0)
        for place, each in enumerate(_risks_and_effect(baseline, effect, rows), start=1):
            sums[place] += np.einsum("ij,ij->j", weights, each)
    untreated, treated, mean_effect = (sums[1:] / sums[0])[:, None, :]
    return _risk_dataset(posterior, [f"population of {EVERYBODY}"], untreated, treated, mean_effect)


def true_risks(truth: TrialTruth, members: pd.DataFrame) -> xr.Dataset:
    """What is true of the same populations: as `standardised_risks`, without the dims chain and draw.

    Raises
    ------
    TypeError, ValueError
        If `members` does not fit the trial's patients.
    """
    untreated = np.asarray(truth.baseline_risk)
    treated = untreated + truth.risk_difference
    weights = _weights(members, untreated.size)
    averages = {
        "untreated": untreated,
        "treated": treated,
        "mean_log_odds_ratio": _log_odds(treated) - _log_odds(untreated),
    }
    return xr.Dataset(
        {name: ("population", weights @ values) for name, values in averages.items()},
        coords={"population": list(members.columns)},
    )


def effect_measures(risks: xr.Dataset) -> xr.Dataset:
    """Compare treated with untreated risks on every scale; one variable per `Measure`, by its name.

    Parameters
    ----------
    risks
        From `standardised_risks`, `bootstrapped_risks` or `true_risks`.

    Notes
    -----
    The *marginal* log odds ratio compares the odds of the average risks; the *mean conditional* one averages the
    patients' own log odds ratios. They differ even if all patients have the same log odds ratio: odds ratios are not
    collapsible (Greenland, Robins & Pearl 1999; Daniel, Zhang & Farewell 2021).
    """
    untreated, treated = risks["untreated"], risks["treated"]
    return xr.Dataset(
        {
            Measure.RISK_DIFFERENCE.name: treated - untreated,
            Measure.RISK_RATIO.name: treated / untreated,
            Measure.MARGINAL_LOG_ODDS_RATIO.name: _log_odds(treated) - _log_odds(untreated),
            Measure.MEAN_LOG_ODDS_RATIO.name: risks["mean_log_odds_ratio"],
        }
    )


def summarise_effects(risks: xr.Dataset, *, interval: float = 0.95) -> pd.DataFrame:
    """Posterior summary of the average effects.

    Returns
    -------
    pandas.DataFrame
        Index `population`, `measure` (names of `Measure`). `mean`, `sd`, `lower`, `upper` (equal-tailed credible
        interval *of the average*), `p_harm` (posterior probability that the average lies beyond no effect), and their
        Monte Carlo standard errors `mcse_mean`, `mcse_lower`, `mcse_upper`, `mcse_p_harm`.

    Raises
    ------
    ValueError
        If `risks` holds no draws, or `interval` is not inside (0, 1).
    """
    require_probability(interval)
    if "chain" not in risks.dims or "draw" not in risks.dims:
        raise ValueError(
            f"risks must have the dims chain and draw, not {tuple(risks.dims)}: true values have no posterior"
        )
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    measures = effect_measures(risks)
    tables = {}
    for measure in Measure:
        draws = measures[measure.name].transpose("chain", "draw", "population").to_numpy()
        matrix = np.ascontiguousarray(draws.reshape(-1, draws.shape[-1]))
        found = {
            "mean": jackknife_mean(matrix, edges),
            "lower": jackknife_quantile(matrix, (1.0 - interval) / 2.0, edges),
            "upper": jackknife_quantile(matrix, (1.0 + interval) / 2.0, edges),
            "p_harm": jackknife_mean((matrix > measure.no_effect).astype(np.float64), edges),
        }
        columns = {name: each.estimate for name, each in found.items()} | {"sd": matrix.std(axis=0, ddof=1)}
        columns |= {f"mcse_{name}": each.mcse() for name, each in found.items()}
        tables[measure.name] = pd.DataFrame(columns, index=pd.Index(risks["population"].to_numpy(), name="population"))
    table = pd.concat(tables, names=["measure"]).swaplevel()
    order = pd.MultiIndex.from_product([list(risks["population"].to_numpy()), [measure.name for measure in Measure]])
    return table.loc[order.set_names(["population", "measure"])]


def _risks_and_effect(
    baseline: LinearPredictor, effect: LinearPredictor, rows: slice
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Untreated risk, treated risk and log odds ratio of some patients, each of shape (patients, draws)."""
    log_odds, ratio = baseline.values(rows), effect.values(rows)
    treated = expit_in_place(log_odds + ratio)
    return expit_in_place(log_odds), treated, ratio


def _predictors(
    posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects
) -> tuple[LinearPredictor, LinearPredictor]:
    baseline = baseline_log_odds(posterior, patients, group_effects)
    effect = log_odds_ratio(posterior, patients, group_effects)
    require_moderate(baseline, effect)
    return baseline, effect


def _log_odds(risk: Any) -> Any:
    """Logit of an array of any kind, labelled or not, which scipy's would strip of its labels."""
    return np.log(risk) - np.log1p(-risk)


def _blocks(span: slice, n_draws: int) -> list[slice]:
    size = max(1, _BLOCK_NUMBERS // n_draws)
    return [slice(start, min(start + size, span.stop)) for start in range(span.start, span.stop, size)]


def _weights(members: pd.DataFrame, n_patients: int) -> FloatArray:
    """Rows of averaging weights, shape (populations, patients)."""
    if not isinstance(members, pd.DataFrame) or not all(dtype == np.bool_ for dtype in members.dtypes):
        raise TypeError("members must be a DataFrame of booleans, one column per population: see everybody()")
    if len(members) != n_patients:
        raise ValueError(
            f"members has {len(members)} rows, but there are {n_patients} patients: give one row per patient"
        )
    if members.shape[1] == 0:
        raise ValueError("members has no column: name at least one population")
    inside = members.to_numpy(dtype=np.float64).T
    empty = [str(name) for name, size in zip(members.columns, inside.sum(axis=1), strict=True) if size == 0]
    if empty:
        raise ValueError(f"the populations {empty} have no members, so there is no average: leave them out")
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _risk_dataset(
    posterior: xr.DataTree, populations: list[str], untreated: FloatArray, treated: FloatArray, effect: FloatArray
) -> xr.Dataset:
    draws = posterior_dataset(posterior)
    shape = (len(populations), draws.sizes["chain"], draws.sizes["draw"])
    values = {"untreated": untreated, "treated": treated, "mean_log_odds_ratio": effect}
    return xr.Dataset(
        {name: (("population", "chain", "draw"), each.reshape(shape)) for name, each in values.items()},
        coords={"population": populations, "chain": draws["chain"], "draw": draws["draw"]},
    )
