"""The scalar quantities of Listing 2 under the paper's names, and where each stands in a posterior.

The posterior holds labelled vectors (``b_prognostic`` over `prognostic`, ...); the paper writes one scalar each:
``b_age``, ``b_trt_age``, ``re[1]``, ``te_gender[2]``. Groups count from 1 there: 1 = Male, 2 = Female.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import xarray as xr

GROUP_COLUMN: Final = "group_column"
"""Attribute of the group `posterior` that names the grouping factor: the ``gender`` of ``te_gender``."""

_EFFECTS = ("b_intercept", "b_trt", "b_prognostic", "b_interaction", "re", "re_trt", "te_group")
_OPTIONAL = ("sd_interaction",)
_VARIABLES = (*_EFFECTS, "tau_re", "tau_re_trt")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One scalar of Listing 2.

    Attributes
    ----------
    name
        As the paper writes it, e.g. ``b_trt_age``.
    variable
        The posterior's variable, e.g. ``b_interaction``.
    dim, label
        Dimension and coordinate of the scalar in that variable, e.g. ``modifier`` and ``age``; None for a scalar.
    """

    name: str
    variable: str
    dim: str | None = None
    label: str | None = None


def parameters_of(posterior: xr.DataTree) -> tuple[Parameter, ...]:
    """Every scalar of Listing 2 in the posterior, in the alphabetical order in which coda (and Table 4) prints them.

    Raises
    ------
    ValueError
        If the tree has no group `posterior` or a variable is missing.
    """
    draws = _draws(posterior)
    prognostic, modifiers, groups = (_labels(draws, dim) for dim in ("prognostic", "modifier", "group"))
    group_column = draws.attrs.get(GROUP_COLUMN, "group")
    scalars = ("b_intercept", "b_trt", "tau_re", "tau_re_trt", *(name for name in _OPTIONAL if name in draws))
    found = [Parameter(name, name) for name in scalars]
    found += [Parameter(f"b_{label}", "b_prognostic", "prognostic", label) for label in prognostic]
    found += [Parameter(f"b_trt_{label}", "b_interaction", "modifier", label) for label in modifiers]
    for variable, stem in (("re", "re"), ("re_trt", "re_trt"), ("te_group", f"te_{group_column}")):
        found += [
            Parameter(f"{stem}[{place}]", variable, "group", label) for place, label in enumerate(groups, start=1)
        ]
    return tuple(sorted(found, key=lambda parameter: parameter.name))


def listing2_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws of every scalar of Listing 2 under the paper's name (and ``sd_interaction``, where the prior has it).

    Effects are log odds ratios of the event (positive = harm, the event being major bleeding), precisions have the
    inverse square of that unit. Each has the dims chain, draw. For the paper's model there are 18.

    Raises
    ------
    ValueError
        If the tree has no group `posterior` or a variable is missing.
    """
    draws = _draws(posterior)
    scalars = {}
    for parameter in parameters_of(posterior):
        variable = draws[parameter.variable]
        if parameter.dim is not None:
            variable = variable.sel({parameter.dim: parameter.label}, drop=True)
        scalars[parameter.name] = variable
    return xr.Dataset(scalars)


def table4_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws of those scalars that Tables 4 to 6 report: the fixed effects ``b_`` and the group effects ``te_``."""
    scalars = listing2_draws(posterior)
    return scalars[[name for name in scalars.data_vars if str(name).startswith(("b_", "te_"))]]


def _draws(posterior: xr.DataTree) -> xr.Dataset:
    if "posterior" not in posterior.children:
        raise ValueError(f"there is no group 'posterior' in this tree, only {list(posterior.children)}")
    draws = posterior["posterior"].to_dataset()
    missing = [name for name in _VARIABLES if name not in draws]
    if missing:
        raise ValueError(f"the posterior lacks {missing} of Listing 2; it holds {list(draws.data_vars)}")
    return draws


def _labels(draws: xr.Dataset, dim: str) -> list[str]:
    return [str(label) for label in draws[dim].values]
