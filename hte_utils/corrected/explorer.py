"""The patient explorer: what a browser needs to evaluate the models for one patient, and the same numbers in Python.

``book/_static/explorer.js`` does in the browser what `patient_effects` asks of the package; a test compares the two.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.cate import EffectScale, GroupEffects, cate, predicted_risk
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.spec import TrialDesign
from hte_utils.model.store import paper_analysis
from hte_utils.trial import LISTING_BASELINE, LISTING_EFFECT

N_DRAWS: Final = 1000
_DIGITS: Final = 4
POINTS: Final = 100.0

VERSIONS: Final = {
    "Listing 2, corrected": (PAPER_MODEL, GroupEffects.INCLUDED),
    "all-modifiers model": (ALL_MODIFIERS_MODEL, GroupEffects.INCLUDED),
    "the paper's way (gender effects left out)": (PAPER_MODEL, GroupEffects.LEFT_OUT),
}
"""The models that the page offers, the recommended one first, and what becomes of the group effects."""


@cache
def _thinned(model: CandidateModel) -> tuple[TrialDesign, xr.DataTree]:
    """The paper's trial as a model sees it, and some thousand rounded draws, evenly spaced over all chains."""
    analysis = paper_analysis(model)
    draws = analysis.posterior["posterior"].to_dataset()
    flat = draws.stack(sample=("chain", "draw"), create_index=False).drop_vars(["chain", "draw"])  # noqa: PD013
    some = flat.isel(sample=np.linspace(0, flat.sizes["sample"] - 1, N_DRAWS).astype(int)).round(_DIGITS)
    one_chain = some.rename(sample="draw").expand_dims(chain=[0]).assign_coords(draw=np.arange(N_DRAWS))
    return analysis.design, xr.DataTree.from_dict({"posterior": one_chain})


def explorer_data() -> dict[str, Any]:
    """Everything the page computes with, as plain numbers: draws of coefficients, scales of covariates, the truth."""
    models = {label: _model(*version) for label, version in VERSIONS.items()}
    return {"models": models, "truth": {"baseline": asdict(LISTING_BASELINE), "effect": asdict(LISTING_EFFECT)}}


def _model(model: CandidateModel, group_effects: GroupEffects) -> dict[str, Any]:
    design, posterior = _thinned(model)
    coding, draws = design.coding, posterior["posterior"].to_dataset().isel(chain=0)
    own = 0.0 if group_effects is GroupEffects.LEFT_OUT else 1.0
    sums = {"alpha": draws["b_intercept"] + own * draws["re"], "delta": draws["b_trt"] + own * draws["re_trt"]}
    risk = predicted_risk(posterior, design, group_effects=group_effects)
    return {
        "covariates": [
            {"column": each.covariate.column, "mean": each.mean, "sd": each.sd} for each in coding.covariates
        ],
        "modifiers": [int(place) for place in coding.spec.modifier_index],
        **{name: {g: _plain(each.sel(group=g)) for g in coding.group_labels} for name, each in sums.items()},
        "main": [_plain(draws["b_prognostic"].sel(prognostic=label)) for label in coding.spec.prognostic_labels],
        "interaction": [_plain(draws["b_interaction"].sel(modifier=label)) for label in coding.spec.modifiers],
        "risks": [round(float(value), 5) for value in np.quantile(risk, np.linspace(0.0, 1.0, 101))],
    }


def _plain(values: xr.DataArray) -> list[float]:
    return [round(float(value), _DIGITS) for value in values.to_numpy()]


def patient_effects(patients: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the explorer's models for patients, with the draws that the page has.

    `patients`: Columns of the trial's table that are known before randomisation. Index: patient and model. Columns, per
    cent and percentage points, means and 95 % intervals over the draws: `untreated`, `treated`, `difference`, `lower`,
    `upper` (positive: harm), and `p_harm`, the probability of a difference above 0.
    """
    tables = {}
    for label, (model, group_effects) in VERSIONS.items():
        design, posterior = _thinned(model)
        own = design.apply(patients)
        found = cate(posterior, own, scale=EffectScale.RISK_DIFFERENCE, group_effects=group_effects)
        untreated = POINTS * predicted_risk(posterior, own, group_effects=group_effects)
        points = {name: POINTS * found[name].to_numpy() for name in ("mean", "lower", "upper")}
        columns = {"untreated": untreated, "treated": untreated + points["mean"], "difference": points.pop("mean")}
        columns |= points | {"p_harm": found["p_harm"].to_numpy()}
        tables[label] = pd.DataFrame(columns, index=patients.index)
    return pd.concat(tables, names=["model", "patient"]).swaplevel()
