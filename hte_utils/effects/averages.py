"""Population-average effects by standardisation (g-computation) over a posterior.

In every posterior draw each patient's risk is computed as if nobody and as if everybody were treated, both are averaged
over a population (Robins 1986; Snowden, Rose & Mortimer 2011), and the averages compared; beyond "no effect" in the
positive direction is **harm**. *Sample-average* effects (SATE) are those of the patients that are given;
*population-average* effects (PATE) those of the population they were drawn from, whose unknown distribution of patients
the Bayesian bootstrap (Rubin 1981) puts into the interval.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.cate import GroupEffects, PatientEffects, blocks, over_blocks
from hte_utils.effects.monte_carlo import batch_edges, jackknife_mean, jackknife_summaries
from hte_utils.model.checks import FloatArray, require_probability
from hte_utils.model.spec import Patients
from hte_utils.trial import TrialTruth

EVERYBODY = "all patients"
_AVERAGES = ("untreated", "treated", "mean_log_odds_ratio")


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


def average_effects(
    posterior: xr.DataTree,
    patients: Patients,
    members: pd.DataFrame | None = None,
    *,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
    interval: float = 0.95,
) -> pd.DataFrame:
    """Average treatment effects over the given patients, or over populations among them, on every scale.

    Parameters are those of `standardised_risks` (all patients if `members` is None); returns `summarise_effects`'.

    Examples
    --------
    >>> import hte_utils as hte
    >>> design = hte.PAPER_SPEC.design(hte.simulate_trial(500, seed=1))
    >>> table = hte.average_effects(hte.fit(design), design)
    >>> list(table.loc["all patients"].index)
    ['RISK_DIFFERENCE', 'RISK_RATIO', 'MARGINAL_LOG_ODDS_RATIO', 'MEAN_LOG_ODDS_RATIO']
    """
    members = everybody(patients.n_patients) if members is None else members
    risks = standardised_risks(posterior, patients, members, group_effects=group_effects)
    return summarise_effects(risks, interval=interval)


def standardised_risks(
    posterior: xr.DataTree,
    patients: Patients,
    members: pd.DataFrame,
    *,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
) -> xr.Dataset:
    """Average risks `untreated` and `treated` (probabilities), and `mean_log_odds_ratio`, of the patients' own ones.

    By population, chain and draw. `posterior`, `patients` and `group_effects` are as for `cate.cate_draws`. `members`:
    boolean, one row per patient in their order, one column per population; populations may overlap.
    """
    weights = _weights(members)
    effects = PatientEffects.of(posterior, patients, group_effects)

    def block(rows: slice) -> FloatArray:
        return np.stack([weights[:, rows] @ each for each in effects.risks(rows)])

    return _labelled(posterior, list(members.columns), sum(over_blocks(block, effects)))


def bootstrapped_risks(posterior: xr.DataTree, patients: Patients, rng: np.random.Generator) -> xr.Dataset:
    """As `standardised_risks`, for the population that all the patients were drawn from: by the Bayesian bootstrap."""
    effects = PatientEffects.of(posterior, patients, GroupEffects.INCLUDED)
    sums = np.zeros((4, 1, effects.n_draws))
    for rows in blocks(effects.n_patients, effects.n_draws):
        # Independent exponentials divided by their sum are a flat Dirichlet, by which each draw weights the patients.
        weights = rng.standard_exponential((rows.stop - rows.start, effects.n_draws))
        sums[0] += weights.sum(axis=0)
        for place, each in enumerate(effects.risks(rows), start=1):
            sums[place] += np.einsum("ij,ij->j", weights, each)
    return _labelled(posterior, [f"population of {EVERYBODY}"], sums[1:] / sums[0])


def true_risks(truth: TrialTruth, members: pd.DataFrame) -> xr.Dataset:
    """What is true of the same populations: as `standardised_risks`, without the dims chain and draw."""
    untreated, treated = truth.baseline_risk, truth.baseline_risk + truth.risk_difference
    values = np.stack([untreated, treated, _log_odds(treated) - _log_odds(untreated)]) @ _weights(members).T
    averages = {name: ("population", each) for name, each in zip(_AVERAGES, values, strict=True)}
    return xr.Dataset(averages, coords={"population": list(members.columns)})


def effect_measures(risks: xr.Dataset) -> xr.Dataset:
    """Compare treated with untreated risks (`standardised_risks`, ...) on every scale, a variable per `Measure`'s name.

    The *marginal* log odds ratio compares the odds of the average risks, the *mean conditional* one averages patients'
    own. They differ even if all have the same: odds ratios are not collapsible (Greenland, Robins & Pearl 1999).
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
    """Posterior summary of the average effects; index `population`, `measure` (names of `Measure`).

    `mean`, `sd`, `lower`, `upper` (equal-tailed credible interval *of the average*), `p_harm` (probability that it lies
    beyond no effect); Monte Carlo standard errors `mcse_mean`, `mcse_lower`, `mcse_upper`, `mcse_p_harm`.
    """
    require_probability("interval", interval)
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    measures = effect_measures(risks)
    populations = pd.Index(risks["population"].to_numpy(), name="population")
    tables = {}
    for measure in Measure:
        matrix = draws_of(measures[measure.name])
        found = jackknife_summaries(matrix, interval, edges)
        found["p_harm"] = jackknife_mean((matrix > measure.no_effect).astype(np.float64), edges)
        columns = {name: each.estimate for name, each in found.items()} | {"sd": matrix.std(axis=0, ddof=1)}
        columns |= {f"mcse_{name}": each.mcse() for name, each in found.items()}
        tables[measure.name] = pd.DataFrame(columns, index=populations)
    order = pd.MultiIndex.from_product([populations, list(tables)], names=["population", "measure"])
    return pd.concat(tables, names=["measure"]).swaplevel().loc[order]


def draws_of(effects: xr.DataArray) -> FloatArray:
    """Draws of populations' effects, shape (draws, populations), chain after chain."""
    draws = effects.transpose("chain", "draw", "population").to_numpy()
    return np.ascontiguousarray(draws.reshape(-1, draws.shape[-1]))


def _log_odds(risk: Any) -> Any:
    """Logit of an array that may be labelled, which scipy's would strip of its labels."""
    return np.log(risk) - np.log1p(-risk)


def _weights(members: pd.DataFrame) -> FloatArray:
    """Rows of averaging weights, shape (populations, patients)."""
    inside = members.to_numpy(dtype=np.float64).T
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _labelled(posterior: xr.DataTree, populations: list[str], averages: Any) -> xr.Dataset:
    """From averages of shape (3, populations, draws)."""
    draws = posterior["posterior"].to_dataset()
    coords = {"population": populations, "chain": draws["chain"], "draw": draws["draw"]}
    values = averages.reshape(3, *map(len, coords.values()))
    return xr.Dataset({name: (list(coords), each) for name, each in zip(_AVERAGES, values, strict=True)}, coords)
