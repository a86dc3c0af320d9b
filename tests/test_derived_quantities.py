"""Reported quantities against arithmetic by hand, and their diagnostics."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hand_made_posteriors import random_posterior, small_design

from hte_utils.corrected.model_checks import (
    diagnostics_of_quantities,
    diagnostics_of_worst_patients,
    reported_quantities,
)
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws


def test_averages_by_hand() -> None:
    posterior, design = random_posterior(1), small_design()
    found = reported_quantities(posterior, design)
    included = GroupEffects.INCLUDED
    risk = baseline_risk_draws(posterior, design, group_effects=included).to_numpy()
    difference = cate_draws(posterior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=included).to_numpy()
    np.testing.assert_allclose(found["risk untreated"], 100 * risk.mean(axis=2))
    np.testing.assert_allclose(found["risk treated"], 100 * (risk + difference).mean(axis=2))
    highest = np.argsort(risk.mean(axis=(0, 1)))[-60:]
    np.testing.assert_allclose(found["risk difference Q5"], 100 * difference[..., highest].mean(axis=2))
    quintiles = sum(found[f"risk difference Q{k}"] for k in range(1, 6)) / 5
    np.testing.assert_allclose(quintiles, found["average risk difference"])


def test_a_stuck_chain_shows_in_the_derived_quantities() -> None:
    posterior, design = random_posterior(2), small_design()
    good = diagnostics_of_quantities(reported_quantities(posterior, design))
    assert good["r_hat"].max() < 1.05
    assert list(good.columns[:2]) == ["mean", "sd"]
    posterior["posterior"]["b_trt"][1] += 3.0
    bad = diagnostics_of_quantities(reported_quantities(posterior, design))
    assert bad.loc["average log odds ratio", "r_hat"] > 1.5


def test_the_worst_patient_is_found() -> None:
    rng = np.random.default_rng(3)
    effects = xr.DataArray(
        rng.standard_normal((2, 400, 30)),
        dims=("chain", "draw", "patient"),
        coords={"chain": [0, 1], "draw": np.arange(400), "patient": np.arange(30)},
    )
    slow = effects[..., 17].to_numpy()
    for draw in range(1, 400):
        slow[:, draw] = 0.9 * slow[:, draw - 1] + np.sqrt(1 - 0.81) * slow[:, draw]
    table = diagnostics_of_worst_patients(effects, n_worst=5)
    assert table.index[0] == "17"
    assert len(table) == 5
    assert table["ess_bulk"].is_monotonic_increasing
