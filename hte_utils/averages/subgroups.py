"""Subgroups of patients, the effects within them and between them, and who is harmed with which probability.

Effects within subgroups come from `hte_utils.averages.standardisation`; whether they *differ* is a question about their
difference and is answered here (a test within each subgroup does not answer it). The event is bleeding: positive
risk differences are **harm**.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.averages.standardisation import Measure, draws_of, effect_measures, everybody
from hte_utils.monte_carlo import batch_edges, jackknife_mean, jackknife_quantile
from hte_utils.trial_checks import complete_column, one_per_patient, read_covariate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

HARM_CLASSES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class ByCategory:
    """Subgroups by the categories of a column that occur; `label` names the variable in tables ("gender")."""

    column: str
    label: str

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, one per category, in their order."""
        values = complete_column(trial, self.column)
        if not isinstance(values.dtype, pd.CategoricalDtype):
            raise TypeError(f"column {self.column!r} must be categorical, not {values.dtype}: use ByThresholds")
        values = values.cat.remove_unused_categories()
        return pd.DataFrame({f"{self.label}: {level}": (values == level).to_numpy() for level in values.cat.categories})


@dataclass(frozen=True, slots=True)
class ByThresholds:
    """Subgroups of a number cut at increasing thresholds; a value equal to a threshold belongs to the lower group."""

    column: str
    label: str
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.thresholds or any(not low < high for low, high in pairwise(self.thresholds)):
            raise ValueError(f"thresholds must be at least one number, in increasing order, not {self.thresholds!r}")

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, lowest values first."""
        place = np.searchsorted(self.thresholds, read_covariate(trial, self.column), side="left")
        between = [f"above {low:g} to {high:g}" for low, high in pairwise(self.thresholds)]
        labels = [f"{self.thresholds[0]:g} or less", *between, f"above {self.thresholds[-1]:g}"]
        return pd.DataFrame({f"{self.label}: {label}": place == number for number, label in enumerate(labels)})


def memberships(trial: pd.DataFrame, subgroups: Sequence[ByCategory | ByThresholds]) -> pd.DataFrame:
    """Who belongs to which population: all patients first, then each subgroup.

    Boolean, one row per patient (numbered from 0), columns named ``"variable: level"``.
    """
    return pd.concat([everybody(len(trial)), *(each.members(trial) for each in subgroups)], axis=1)


def subgroup_contrasts(risks: xr.Dataset, pairs: Sequence[tuple[str, str]], *, interval: float = 0.95) -> pd.DataFrame:
    """How much the average effect of one population exceeds that of another (interaction), on every scale.

    Parameters
    ----------
    risks
        From `hte_utils.averages.standardisation.standardised_risks`.
    pairs
        Populations (first, second); the contrast is second minus first (of risk ratios: their ratio).
    interval
        Probability of the equal-tailed credible interval.

    Returns
    -------
    pandas.DataFrame
        Index `contrast` ("second minus first"), `measure`; columns `mean`, `lower`, `upper`, `p_more_harm` (posterior
        probability that the second population is harmed more), `mcse_mean`. The mean of a ratio of risk ratios is
        taken on the log scale.
    """
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    measures = effect_measures(risks)
    rows = {}
    for first, second in pairs:
        for measure in Measure:
            draws = draws_of(measures[measure.name].sel(population=[first, second]))
            is_ratio = measure is Measure.RISK_RATIO
            difference = np.diff(np.log(draws) if is_ratio else draws, axis=1)
            mean = jackknife_mean(difference, edges)
            ends = [jackknife_quantile(difference, p, edges) for p in ((1 - interval) / 2, (1 + interval) / 2)]
            found = [float(np.exp(each.estimate[0]) if is_ratio else each.estimate[0]) for each in (mean, *ends)]
            row = dict(zip(("mean", "lower", "upper"), found, strict=True))
            row |= {"p_more_harm": float((difference > 0).mean()), "mcse_mean": float(mean.mcse()[0])}
            rows[f"{second} minus {first}", measure.name] = row
    return pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["contrast", "measure"]))


def harm_by_probability(
    p_harm: npt.ArrayLike, true_difference: npt.ArrayLike, edges: Sequence[float] = HARM_CLASSES
) -> pd.DataFrame:
    """Hold posterior probabilities of harm against the truth.

    Parameters
    ----------
    p_harm, true_difference
        Each patient's posterior probability that treatment raises the risk, and true risk difference (positive = harm).
    edges
        Bounds of the classes of `p_harm`, from 0 to 1; a value on a bound belongs to the upper class.

    Returns
    -------
    pandas.DataFrame
        Index: the class. `patients`; `expected_harmed`, the mean of `p_harm`; `truly_harmed`, the share whose true risk
        difference is positive; `true_difference`, its mean (a probability). NaN where a class is empty.
    """
    probability, difference = one_per_patient("p_harm", p_harm), np.asarray(true_difference)
    if probability.min() < 0.0 or probability.max() > 1.0:
        raise ValueError("p_harm must hold probabilities from 0 to 1: hand over summarise_cate(...)['p_harm']")
    labels = pd.Index([f"{low:g} to {high:g}" for low, high in pairwise(edges)], name="P(harm)")
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(labels) - 1)
    patients = pd.DataFrame(
        {"expected_harmed": probability, "truly_harmed": difference > 0, "true_difference": difference}
    )
    by_class = patients.groupby(labels[place])
    means = by_class.mean().reindex(labels)
    means.insert(0, "patients", by_class.size().reindex(labels, fill_value=0))
    return means
