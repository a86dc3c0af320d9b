"""The two linear predictors of given patients: baseline log odds of the event, and the CATE on the log odds scale.

For patient i in group g, with the names of Listing 2 and Table 4 (`x` are the prognostic covariates, `z` the effect
modifiers)::

    logit baseline risk   = b_intercept + b_prognostic . x_i   [+ re[g]]
    CATE (log odds ratio) = b_trt       + b_interaction . z_i  [+ re_trt[g]]

The terms in brackets are what `GroupEffects` puts in or leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import cast

import numpy as np
import xarray as xr

from hte_utils.spec import Patients
from hte_utils.trial_checks import FloatArray, IntArray

# Beyond it exp() of a sum of two log odds could overflow; no sensible covariate comes near.
_LARGEST_LOG_ODDS = 300.0


class GroupEffects(Enum):
    """What happens to the group (gender) effects `re` and `re_trt` when a patient's risk and effect are computed.

    `INCLUDED` is what the model implies. `LEFT_OUT` is what gives the numbers printed in Tables 7 and 8: intercept and
    treatment effect then lack the part that the prior shares out between them and the groups, so that the "risk" in a
    trial with 5.65 % events comes out at 17 to 42 %.
    """

    INCLUDED = "group effects included, as the model implies"
    LEFT_OUT = "group effects left out, as the paper computed"


@dataclass(frozen=True, slots=True, eq=False)
class LinearPredictor:
    """A linear predictor: its coefficients in every draw, and what they multiply.

    Attributes
    ----------
    coefficients
        Shape (terms, draws): constant, one per covariate, one per group if these enter; draws chain by chain.
    covariates
        Shape (patients, covariates).
    group
        Each patient's group, shape (patients,), 0-based; None if the group effects are left out.
    """

    coefficients: FloatArray
    covariates: FloatArray
    group: IntArray | None

    def values(self, rows: slice) -> FloatArray:
        """The linear predictor, shape (patients of `rows`, draws): a new array."""
        covariates = self.covariates[rows]
        columns = [np.ones((len(covariates), 1)), covariates]
        if self.group is not None:
            n_groups = self.coefficients.shape[0] - 1 - covariates.shape[1]
            columns.append(np.eye(n_groups)[self.group[rows]])
        return cast("FloatArray", np.concatenate(columns, axis=1) @ self.coefficients)

    def largest(self) -> float:
        """An upper bound of its absolute value over all patients and draws."""
        reach = np.abs(self.coefficients).max(axis=1)
        n_covariates = self.covariates.shape[1]
        bound = reach[0] + np.abs(self.covariates).max(axis=0, initial=0.0) @ reach[1 : 1 + n_covariates]
        return float(bound + reach[1 + n_covariates :].max(initial=0.0))


def baseline_log_odds(posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects) -> LinearPredictor:
    """Log odds of the event without treatment (Listing 2, lines 7-13 and 19, with treatment = 0).

    Raises
    ------
    TypeError, ValueError
        If `group_effects` is no member of its enum, or a variable, dimension, label or value of the posterior does not
        fit the patients.
    """
    slopes = ("b_prognostic", "prognostic", patients.prognostic_labels)
    return _predictor(posterior, patients, group_effects, "b_intercept", slopes, patients.prognostic, "re")


def log_odds_ratio(posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects) -> LinearPredictor:
    """What treatment adds to the log odds (Listing 2, lines 8, 15-17 and 20); positive = harm. Errors as above."""
    slopes = ("b_interaction", "modifier", patients.modifier_labels)
    return _predictor(posterior, patients, group_effects, "b_trt", slopes, patients.modifiers, "re_trt")


def require_moderate(*predictors: LinearPredictor) -> None:
    """Refuse log odds whose exponentials leave the range of a float: a covariate must be on the wrong scale.

    Raises
    ------
    ValueError
        If the sum of the predictors may pass 300 in absolute value.
    """
    reach = sum(predictor.largest() for predictor in predictors)
    if not reach < _LARGEST_LOG_ODDS:
        raise ValueError(
            f"log odds may reach {reach:.3g} for these patients (limit {_LARGEST_LOG_ODDS:g}): a covariate is not on "
            "the scale the model was fitted on. Put patients on that scale with TrialDesign.apply"
        )


def posterior_dataset(posterior: xr.DataTree) -> xr.Dataset:
    """The variables of the group `posterior`.

    Raises
    ------
    TypeError, ValueError
        If it is no DataTree, or there is no such group.
    """
    if not isinstance(posterior, xr.DataTree):
        raise TypeError(f"posterior must be an xarray DataTree, as fit() returns, not {type(posterior).__name__}")
    if "posterior" not in posterior.children:
        raise ValueError(
            f"posterior must be a DataTree with a group 'posterior', but has the groups {list(posterior.children)}: "
            "hand over the whole tree"
        )
    return posterior["posterior"].to_dataset()


def _predictor(
    posterior: xr.DataTree,
    patients: Patients,
    group_effects: GroupEffects,
    constant: str,
    slopes: tuple[str, str, tuple[str, ...]],
    covariates: FloatArray,
    group: str,
) -> LinearPredictor:
    if not isinstance(group_effects, GroupEffects):
        raise TypeError(f"group_effects must be GroupEffects.INCLUDED or GroupEffects.LEFT_OUT, not {group_effects!r}")
    draws = posterior_dataset(posterior)
    name, dim, labels = slopes
    rows = [_constant(draws, constant), _coefficients(draws, name, dim, labels)]
    included = group_effects is GroupEffects.INCLUDED
    if included:
        rows.append(_coefficients(draws, group, "group", patients.group_labels))
    return LinearPredictor(np.concatenate(rows), covariates, patients.group if included else None)


def _constant(draws: xr.Dataset, name: str) -> FloatArray:
    return _flat(_variable(draws, name).expand_dims("constant"), "constant")


def _coefficients(draws: xr.Dataset, name: str, dim: str, labels: tuple[str, ...]) -> FloatArray:
    """One variable's coefficients in the order of `labels`, shape (labels, chains * draws)."""
    variable = _variable(draws, name, dim)
    found = [str(label) for label in variable[dim].values]
    if sorted(found) != sorted(labels):
        raise ValueError(
            f"posterior variable {name!r} has the {dim} labels {found}, the patients have {list(labels)}: "
            "use the TrialSpec and the trial that the model was fitted with"
        )
    return _flat(variable.assign_coords({dim: found}).sel({dim: list(labels)}), dim)


def _variable(draws: xr.Dataset, name: str, *dims: str) -> xr.DataArray:
    if name not in draws:
        raise ValueError(f"the posterior has no variable {name!r}; it has {sorted(map(str, draws.data_vars))}")
    variable = draws[name]
    expected = {"chain", "draw", *dims}
    if set(variable.dims) != expected:
        raise ValueError(f"posterior variable {name!r} must have the dims {sorted(expected)}, not {variable.dims}")
    if variable.size == 0 or not np.isfinite(variable.values).all():
        raise ValueError(f"posterior variable {name!r} is empty or has values that are not finite")
    return variable


def _flat(variable: xr.DataArray, dim: str) -> FloatArray:
    values = variable.transpose(dim, "chain", "draw").values.astype(np.float64)
    return cast("FloatArray", values.reshape(values.shape[0], -1))
