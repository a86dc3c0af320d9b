"""The draws of Listing 2: from points of the sums form to a labelled posterior, and by the paper's names.

The posterior holds labelled vectors (``b_prognostic`` over `prognostic`, ...); the paper writes one scalar each:
``b_age``, ``b_trt_age``, ``re[1]``, ``te_gender[2]``. Groups count from 1 there: 1 = Male, 2 = Female.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from hte_utils.priors import Priors, draw_split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hte_utils.spec import Patients
    from hte_utils.sums_density import Coordinates
    from hte_utils.trial_checks import FloatArray

GROUP_COLUMN: Final = "group_column"
"""Attribute of the group `posterior` that names the grouping factor: the ``gender`` of ``te_gender``."""

_OWN_DIM = {
    "b_prognostic": "prognostic",
    "b_interaction": "modifier",
    "re": "group",
    "re_trt": "group",
    "te_group": "group",
}


def listing2_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws of every scalar of Listing 2 under the paper's name, in the alphabetical order in which coda prints them.

    Effects are log odds ratios of the event (positive = harm, the event being major bleeding), precisions have the
    inverse square of that unit; ``sd_interaction`` is there where the prior has it. Each has the dims chain, draw.
    """
    draws = posterior["posterior"].to_dataset()
    stems = {"b_prognostic": "b", "b_interaction": "b_trt", "te_group": f"te_{draws.attrs.get(GROUP_COLUMN, 'group')}"}
    scalars = {}
    for name, variable in draws.data_vars.items():
        if name not in _OWN_DIM:
            scalars[str(name)] = variable
            continue
        dim, stem = _OWN_DIM[str(name)], stems.get(str(name), name)
        for place, label in enumerate(draws[dim].values, start=1):
            scalar = f"{stem}[{place}]" if dim == "group" else f"{stem}_{label}"
            scalars[scalar] = variable.sel({dim: label}, drop=True)
    return xr.Dataset(dict(sorted(scalars.items())))


def table4_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws of those scalars that Tables 4 to 6 report: the fixed effects ``b_`` and the group effects ``te_``."""
    scalars = listing2_draws(posterior)
    return scalars[[name for name in scalars.data_vars if str(name).startswith(("b_", "te_"))]]


def sums_of(points: FloatArray, at: Coordinates) -> dict[str, FloatArray]:
    """Name what stands in points of the sums form, shape (..., coordinates); precisions and scale leave their log."""
    sums = {
        "alpha": points[..., at.alpha],
        "delta": points[..., at.delta],
        "b_prognostic": points[..., at.prognostic],
        "b_interaction": points[..., at.interaction],
        "tau_re": np.exp(points[..., at.log_tau[0]]),
        "tau_re_trt": np.exp(points[..., at.log_tau[1]]),
    }
    if at.has_scale:
        sums["sd_interaction"] = np.exp(points[..., at.log_scale])
    return sums


def split_sums(sums: Mapping[str, FloatArray], priors: Priors, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Take the sums apart (`hte_utils.priors.draw_split`): the variables of Listing 2 by name."""
    b_intercept, re = draw_split(sums["alpha"], sums["tau_re"], priors.shared_intercept, rng)
    b_trt, re_trt = draw_split(sums["delta"], sums["tau_re_trt"], priors.shared_effect, rng)
    kept = {name: values for name, values in sums.items() if name not in ("alpha", "delta")}
    return {"b_intercept": b_intercept, "b_trt": b_trt, "re": re, "re_trt": re_trt, "te_group": sums["delta"]} | kept


def posterior_tree(draws: Mapping[str, FloatArray], stats: xr.Dataset | None, patients: Patients) -> xr.DataTree:
    """Label the variables of Listing 2, whose first two axes are chain and draw; `stats` is what a sampler says."""
    n_chains, n_draws = draws["b_intercept"].shape
    steps = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
    posterior = xr.Dataset(
        {
            name: (("chain", "draw", _OWN_DIM[name]) if name in _OWN_DIM else ("chain", "draw"), values)
            for name, values in draws.items()
        },
        coords={
            **steps,
            "prognostic": list(patients.prognostic_labels),
            "modifier": list(patients.modifier_labels),
            "group": list(patients.group_labels),
        },
        attrs={GROUP_COLUMN: patients.coding.spec.group},
    )
    groups = {"posterior": posterior} | ({} if stats is None else {"sample_stats": stats.assign_coords(steps)})
    return xr.DataTree.from_dict(groups)
