"""The patient explorer: what a browser needs to evaluate the models for one patient, and the same numbers in Python.

``book/_static/explorer.js`` does in the browser what `patient_effects` does here; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.cate import GroupEffects, PatientEffects
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL
from hte_utils.model.store import Analysis, paper_analysis
from hte_utils.trial import LISTING_BASELINE, LISTING_EFFECT

N_DRAWS: Final = 1000
POINTS: Final = 100.0

VERSIONS: Final = {
    "Listing 2, corrected": (PAPER_MODEL, GroupEffects.INCLUDED),
    "all-modifiers model": (ALL_MODIFIERS_MODEL, GroupEffects.INCLUDED),
    "the paper's way (gender effects left out)": (PAPER_MODEL, GroupEffects.LEFT_OUT),
}
"""The models that the page offers, the recommended one first, and what becomes of the group effects."""


def explorer_data() -> dict[str, Any]:
    """Everything the page computes with, as plain numbers: draws of coefficients, scales of covariates, the truth."""
    analyses = {model: paper_analysis(model) for model, _ in VERSIONS.values()}
    models = {label: _model(analyses[model], group_effects) for label, (model, group_effects) in VERSIONS.items()}
    return {"models": models, "truth": {"baseline": asdict(LISTING_BASELINE), "effect": asdict(LISTING_EFFECT)}}


def _model(analysis: Analysis, group_effects: GroupEffects) -> dict[str, Any]:
    coding, draws = analysis.design.coding, _thinned(analysis.posterior)
    out = group_effects is GroupEffects.LEFT_OUT
    shared = {"alpha": draws["b_intercept"], "delta": draws["b_trt"]}
    own = {"alpha": draws["re"], "delta": draws["re_trt"]}
    risk = PatientEffects.of(analysis.posterior, analysis.design, group_effects).untreated(slice(None)).mean(axis=1)
    return {
        "covariates": [
            {"column": each.covariate.column, "mean": each.mean, "sd": each.sd} for each in coding.covariates
        ],
        "modifiers": [int(place) for place in coding.spec.modifier_index],
        **{
            name: {
                group: _rounded(values if out else values + own[name].sel(group=group)) for group in coding.group_labels
            }
            for name, values in shared.items()
        },
        "main": [_rounded(draws["b_prognostic"].sel(prognostic=label)) for label in coding.spec.prognostic_labels],
        "interaction": [_rounded(draws["b_interaction"].sel(modifier=label)) for label in coding.spec.modifiers],
        "risks": [round(float(value), 5) for value in np.quantile(risk, np.linspace(0.0, 1.0, 101))],
    }


def patient_effects(patients: pd.DataFrame, data: Mapping[str, Any]) -> pd.DataFrame:
    """Evaluate the explorer's models for patients, as the page does.

    `patients`: Columns of the trial's table that are known before randomisation. Index: patient and model. Columns, per
    cent and percentage points, means and 95 % intervals over the draws: `untreated`, `treated`, `difference`, `lower`,
    `upper`, and `p_harm`, the probability of a difference above 0.
    """
    rows = {}
    for label, (model, _) in VERSIONS.items():
        design = paper_analysis(model).design.apply(patients)
        own = data["models"][label]
        main, interaction = np.array(own["main"]), np.array(own["interaction"])
        for place, (name, group) in enumerate(zip(patients.index, design.group, strict=True)):
            level = design.group_labels[group]
            log_odds = np.array(own["alpha"][level]) + design.prognostic[place] @ main
            effect = np.array(own["delta"][level]) + design.modifiers[place] @ interaction
            untreated, treated = (POINTS / (1.0 + np.exp(-each)) for each in (log_odds, log_odds + effect))
            difference = treated - untreated
            lower, upper = np.quantile(difference, (0.025, 0.975))
            rows[name, label] = {
                "untreated": untreated.mean(),
                "treated": treated.mean(),
                "difference": difference.mean(),
                "lower": lower,
                "upper": upper,
                "p_harm": (difference > 0.0).mean(),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["patient", "model"])


def _thinned(posterior: xr.DataTree) -> xr.Dataset:
    """Some thousand draws, evenly spaced over all chains."""
    draws = posterior["posterior"].to_dataset().stack(sample=("chain", "draw"))  # noqa: PD013
    return draws.isel(sample=np.linspace(0, draws.sizes["sample"] - 1, N_DRAWS).astype(int))


def _rounded(values: xr.DataArray) -> list[float]:
    return [round(float(value), 4) for value in values.to_numpy()]
