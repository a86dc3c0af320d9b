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

from hte_utils.averages.standardisation import EVERYBODY, Measure, effect_measures
from hte_utils.monte_carlo import FloatArray, batch_edges, jackknife_mean, jackknife_quantile, require_probability
from hte_utils.trial_checks import complete_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr


@dataclass(frozen=True, slots=True)
class ByCategory:
    """Subgroups by the categories of a column; `label` names the variable in tables ("gender")."""

    column: str
    label: str

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, one per category that occurs, in the order of the categories."""
        values = _column(trial, self.column)
        if not isinstance(values.dtype, pd.CategoricalDtype):
            raise TypeError(f"column {self.column!r} must be categorical, not {values.dtype}: use ByThresholds")
        present = [level for level in values.cat.categories if (values == level).any()]
        return pd.DataFrame({f"{self.label}: {level}": (values == level).to_numpy() for level in present})


@dataclass(frozen=True, slots=True)
class ByThresholds:
    """Subgroups of a number cut at thresholds; a value equal to a threshold belongs to the lower group.

    Raises
    ------
    ValueError
        If there is no threshold, or they do not increase.
    """

    column: str
    label: str
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        if not self.thresholds or any(not low < high for low, high in pairwise(self.thresholds)):
            raise ValueError(f"thresholds must be at least one number, in increasing order, not {self.thresholds!r}")

    def members(self, trial: pd.DataFrame) -> pd.DataFrame:
        """Boolean columns, lowest values first."""
        values = _column(trial, self.column)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise TypeError(f"column {self.column!r} must hold numbers, not {values.dtype}: use ByCategory")
        place = np.searchsorted(np.asarray(self.thresholds), values.to_numpy(), side="left")
        shown = [f"{threshold:g}" for threshold in self.thresholds]
        between = [f"above {low} to {high}" for low, high in pairwise(shown)]
        labels = [f"{shown[0]} or less", *between, f"above {shown[-1]}"]
        return pd.DataFrame({f"{self.label}: {label}": place == number for number, label in enumerate(labels)})


type Subgroups = ByCategory | ByThresholds


def memberships(trial: pd.DataFrame, subgroups: Sequence[Subgroups]) -> pd.DataFrame:
    """Who belongs to which population: all patients first, then each subgroup.

    Parameters
    ----------
    trial
        The patients' table.
    subgroups
        The variables to divide by.

    Returns
    -------
    pandas.DataFrame
        Boolean, one row per patient (numbered from 0), columns named ``"variable: level"``.

    Raises
    ------
    TypeError, ValueError
        If a column is missing, incomplete or of the wrong kind, or a variable is used twice.
    """
    tables = [pd.DataFrame({EVERYBODY: np.ones(len(trial), dtype=bool)}), *(each.members(trial) for each in subgroups)]
    members = pd.concat(tables, axis=1)
    if members.columns.has_duplicates:
        repeated = sorted(set(members.columns[members.columns.duplicated()]))
        raise ValueError(f"the subgroups {repeated} are there twice: use each variable's label once")
    return members


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

    Raises
    ------
    ValueError
        If a population is unknown, or `interval` is not inside (0, 1).
    """
    require_probability(interval)
    known = list(risks["population"].to_numpy())
    unknown = sorted({name for pair in pairs for name in pair if name not in known})
    if unknown:
        raise ValueError(f"no population is called {unknown}; there are {known}")
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    measures = effect_measures(risks)
    rows = {}
    for first, second in pairs:
        for measure in Measure:
            draws = measures[measure.name].transpose("chain", "draw", "population")
            if measure is Measure.RISK_RATIO:
                draws = draws.copy(data=np.log(draws.to_numpy()))
            difference = (draws.sel(population=second) - draws.sel(population=first)).to_numpy().reshape(-1, 1)
            mean = jackknife_mean(difference, edges)
            ends = [jackknife_quantile(difference, p, edges) for p in ((1 - interval) / 2, (1 + interval) / 2)]
            found = [float(each.estimate[0]) for each in (mean, *ends)]
            if measure is Measure.RISK_RATIO:
                found = [float(np.exp(each)) for each in found]
            row = dict(zip(("mean", "lower", "upper"), found, strict=True))
            row |= {"p_more_harm": float((difference > 0).mean()), "mcse_mean": float(mean.mcse()[0])}
            rows[f"{second} minus {first}", measure.name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["contrast", "measure"])
    return table


def harm_by_probability(
    p_harm: npt.ArrayLike,
    true_difference: npt.ArrayLike,
    edges: Sequence[float] = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
) -> pd.DataFrame:
    """Hold posterior probabilities of harm against the truth.

    Parameters
    ----------
    p_harm
        Each patient's posterior probability that treatment raises the risk, shape (patients,).
    true_difference
        Each patient's true risk difference, shape (patients,); positive = harm.
    edges
        Bounds of the classes of `p_harm`, from 0 to 1; a value on a bound belongs to the upper class.

    Returns
    -------
    pandas.DataFrame
        Index: the class. `patients`; `expected_harmed`, the mean of `p_harm`; `truly_harmed`, the share whose true risk
        difference is positive; `true_difference`, its mean (a probability). NaN where a class is empty.

    Raises
    ------
    ValueError
        If the shapes differ, a probability is outside [0, 1], or the edges do not increase from 0 to 1.
    """
    probability, difference = (np.asarray(each, dtype=np.float64) for each in (p_harm, true_difference))
    bounds = np.asarray(edges, dtype=np.float64)
    _require_probabilities(probability, difference)
    if bounds.size < 2 or bounds[0] != 0.0 or bounds[-1] != 1.0 or (np.diff(bounds) <= 0).any():
        raise ValueError(f"edges must increase from 0 to 1, not {tuple(edges)}")
    place = np.clip(np.searchsorted(bounds, probability, side="right") - 1, 0, bounds.size - 2)
    labels = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    patients = np.bincount(place, minlength=len(labels))
    means = {
        name: _means(values, place, patients)
        for name, values in (
            ("expected_harmed", probability),
            ("truly_harmed", (difference > 0).astype(np.float64)),
            ("true_difference", difference),
        )
    }
    return pd.DataFrame({"patients": patients} | means, index=pd.Index(labels, name="P(harm)"))


def _means(values: FloatArray, place: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> FloatArray:
    totals = np.bincount(place, values, minlength=count.size)
    return np.where(count > 0, totals / np.maximum(count, 1), np.nan)


def _require_probabilities(probability: FloatArray, difference: FloatArray) -> None:
    if probability.ndim != 1 or probability.shape != difference.shape or probability.size == 0:
        raise ValueError(
            f"p_harm and true_difference must have one value per patient, not the shapes {probability.shape} "
            f"and {difference.shape}"
        )
    if not ((probability >= 0.0) & (probability <= 1.0)).all():
        raise ValueError("p_harm must hold probabilities from 0 to 1: hand over summarise_cate(...)['p_harm']")


def _column(trial: pd.DataFrame, name: str) -> pd.Series:
    if name not in trial:
        raise ValueError(f"the trial has no column {name!r}; it has {list(trial.columns)}")
    return complete_column(trial, name)
