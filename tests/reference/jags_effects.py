"""Tables 7 and 8, computed the paper's way, from many runs of JAGS without its glm module.

    python tests/reference/jags_effects.py chain_1.csv.gz chain_2.csv.gz chain_3.csv.gz

Takes the chains that ``jags_runs.R`` wrote, cuts them into runs that have no draw in common, and writes
``jags_effects_slice.csv`` beside this script, one row a run. Two settings:

- ``thin`` 1, ``chains`` 3: runs of 3 x 1000 draws, many of them, to see how the error of a number depends on the
  effective sizes of the coefficients;
- ``thin`` 10, ``chains`` 1: the thinning at which these chains have the time-series SEs of Table 4; single chains of
  1000 draws (a third of the paper's run, so sqrt(3) times its error), since there are not enough for many threes.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_trial

DRAWS = 1000
VECTORS = {
    "b_prognostic": ("prognostic", {label: f"b_{label}" for label in PAPER_SPEC.prognostic_labels}),
    "b_interaction": ("modifier", {label: f"b_trt_{label}" for label in PAPER_SPEC.modifiers}),
}
TABLE_7 = ["correlation", "rmse", "mae", "coverage"]
TABLE_8 = ["mean_risk", "mean_te", "te_sd", "te_lower", "te_upper"]


def posterior_of(chains: list[pd.DataFrame]) -> xr.DataTree:
    """The coefficients that Tables 7 and 8 need, as `hte_utils.effects.cate` takes them."""
    numbers = {name: np.stack([chain[name] for chain in chains]) for name in ("b_intercept", "b_trt")}
    variables = {name: (("chain", "draw"), values) for name, values in numbers.items()}
    coords = {}
    for name, (dim, columns) in VECTORS.items():
        values = np.stack([chain[list(columns.values())] for chain in chains])
        variables[name] = (("chain", "draw", dim), values)
        coords[dim] = list(columns)
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def tables(posterior: xr.DataTree, design: TrialDesign, truth: np.ndarray) -> dict[str, float]:
    """Both tables as the paper computed them, by ledger id."""
    left_out = GroupEffects.LEFT_OUT
    cate = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=left_out)
    risk = baseline_risk_draws(posterior, design, group_effects=left_out)
    metrics = evaluate_cate(cate, truth, n_replicates=2).metrics()
    strata = stratify_by_risk(risk, cate, n_replicates=2).table
    found = {f"table7.{name}": metrics[name].value for name in TABLE_7}
    return found | {f"table8.{row}.{name}": strata.loc[row, name] for row in strata.index for name in TABLE_8}


def runs(chains: list[pd.DataFrame]) -> list[tuple[dict[str, int], list[pd.DataFrame]]]:
    """The settings of each run, and its chains."""
    length = min(map(len, chains))
    short = [
        ({"thin": 1, "chains": 3}, [chain.iloc[start : start + DRAWS] for chain in chains])
        for start in range(0, length - DRAWS + 1, DRAWS)
    ]
    long = [
        ({"thin": 10, "chains": 1}, [chain.iloc[start : start + 10 * DRAWS : 10]])
        for chain in chains
        for start in range(0, length - 10 * DRAWS + 1, 10 * DRAWS)
    ]
    return short + long


def main(paths: list[str]) -> None:
    """Run as the module's docstring says."""
    if len(paths) != 3:
        sys.exit(__doc__)
    comments = []
    for path in paths:
        with gzip.open(path, "rt") as lines:
            comments += [line.strip() for _, line in zip(range(3), lines, strict=False)]
    trial = simulate_trial()
    design, truth = PAPER_SPEC.design(trial), trial["true_te"].to_numpy()
    chains = [pd.read_csv(path, comment="#") for path in paths]
    table = pd.DataFrame([setting | tables(posterior_of(run), design, truth) for setting, run in runs(chains)])
    target = Path(__file__).with_name("jags_effects_slice.csv")
    part = target.with_suffix(".part")
    lines = [*dict.fromkeys(comments), table.to_csv(index=False, float_format="%.5g", lineterminator="\n")]
    part.write_text("\n".join(lines), encoding="utf-8")
    part.replace(target)


if __name__ == "__main__":
    main(sys.argv[1:])
