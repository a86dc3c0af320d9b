"""From points of the sums form to a labelled posterior with the variables of Listing 2, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hte_utils.parameters import GROUP_COLUMN
from hte_utils.priors import Priors, draw_split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hte_utils.spec import TrialDesign
    from hte_utils.sums_density import Coordinates
    from hte_utils.trial_checks import FloatArray


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


def points_of(draws: Mapping[str, FloatArray], at: Coordinates) -> FloatArray:
    """Go back from variables of Listing 2 to points of the sums form, shape (..., coordinates)."""
    points = np.empty((*draws["b_intercept"].shape, at.size))
    points[..., at.alpha] = draws["b_intercept"][..., None] + draws["re"]
    points[..., at.delta] = draws["te_group"]
    points[..., at.prognostic] = draws["b_prognostic"]
    points[..., at.interaction] = draws["b_interaction"]
    points[..., at.log_tau[0]] = np.log(draws["tau_re"])
    points[..., at.log_tau[1]] = np.log(draws["tau_re_trt"])
    if at.has_scale:
        points[..., at.log_scale] = np.log(draws["sd_interaction"])
    return points


def split_sums(sums: Mapping[str, FloatArray], priors: Priors, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Take the sums apart (`hte_utils.priors.draw_split`): the variables of Listing 2 by name."""
    intercepts = draw_split(sums["alpha"], sums["tau_re"], priors.shared_intercept, rng)
    effects = draw_split(sums["delta"], sums["tau_re_trt"], priors.shared_effect, rng)
    split = {
        "b_intercept": intercepts.shared,
        "b_trt": effects.shared,
        "b_prognostic": sums["b_prognostic"],
        "b_interaction": sums["b_interaction"],
        "re": intercepts.deviations,
        "re_trt": effects.deviations,
        "te_group": sums["delta"],
        "tau_re": sums["tau_re"],
        "tau_re_trt": sums["tau_re_trt"],
    }
    if "sd_interaction" in sums:
        split["sd_interaction"] = sums["sd_interaction"]
    return split


_OWN_DIM = {
    "b_prognostic": "prognostic",
    "b_interaction": "modifier",
    "re": "group",
    "re_trt": "group",
    "te_group": "group",
}


def posterior_tree(draws: Mapping[str, FloatArray], stats: xr.Dataset, design: TrialDesign) -> xr.DataTree:
    """Label the variables of Listing 2, whose first two axes are chain and draw."""
    n_chains, n_draws = draws["b_intercept"].shape
    steps = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
    posterior = xr.Dataset(
        {
            name: (("chain", "draw", _OWN_DIM[name]) if name in _OWN_DIM else ("chain", "draw"), values)
            for name, values in draws.items()
        },
        coords={
            **steps,
            "prognostic": list(design.prognostic_labels),
            "modifier": list(design.modifier_labels),
            "group": list(design.group_labels),
        },
        attrs={GROUP_COLUMN: design.coding.spec.group},
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats.assign_coords(steps)})
