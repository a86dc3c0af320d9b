"""Small posteriors made by hand, for the tests of everything that is computed from one."""

from __future__ import annotations

from functools import cache

import numpy as np
import xarray as xr

from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_trial

LABELS = {
    "prognostic": list(PAPER_SPEC.prognostic_labels),
    "modifier": list(PAPER_SPEC.modifiers),
    "group": ["Male", "Female"],
}
DIMS = {
    "b_intercept": (),
    "b_trt": (),
    "b_prognostic": ("prognostic",),
    "b_interaction": ("modifier",),
    "re": ("group",),
    "re_trt": ("group",),
}


@cache
def small_design(n_patients: int = 300) -> TrialDesign:
    """The first patients of a simulated trial, as the paper's model sees them."""
    return PAPER_SPEC.design(simulate_trial(n_subjects=n_patients, seed=123))


def posterior_of(variables: dict[str, np.ndarray]) -> xr.DataTree:
    """Posterior with the given arrays of shape (chain, draw, labels...)."""
    data = {name: (("chain", "draw", *DIMS[name]), values) for name, values in variables.items()}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(data, coords=LABELS)})


def random_posterior(seed: int, n_chains: int = 2, n_draws: int = 200, autocorrelation: float = 0.0) -> xr.DataTree:
    """Posterior of about the paper's size: normal, independent or first-order autoregressive draws."""
    rng = np.random.default_rng(seed)
    centre = {
        "b_intercept": (-1.7, 0.9),
        "b_trt": (-0.1, 0.6),
        "b_prognostic": ([0.2, 0.6, 0.1, -0.1, 1.4], 0.2),
        "b_interaction": ([0.3, 0.6, 0.3], 0.3),
        "re": ([-1.9, -1.6], 0.9),
        "re_trt": ([0.1, -0.3], 0.6),
    }
    variables = {}
    for name, (mean, sd) in centre.items():
        noise = rng.standard_normal((n_chains, n_draws, *np.shape(mean)))
        for draw in range(1, n_draws if autocorrelation else 0):
            noise[:, draw] *= np.sqrt(1 - autocorrelation**2)
            noise[:, draw] += autocorrelation * noise[:, draw - 1]
        variables[name] = np.asarray(mean) + sd * noise
    return posterior_of(variables)
