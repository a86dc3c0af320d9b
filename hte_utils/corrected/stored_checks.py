"""Checks of chapter 11 that take minutes: their results are kept beside the book, and proved by doing some again.

``python benchmarks/bayesian_checks.py`` makes the two files: simulation-based calibration of `sbc.SCENARIOS`, and the
candidate models on many simulated trials. Each carries its provenance (what, when, with which versions) in its own
metadata. A chapter reads them and repeats a few trials, chosen afresh at every build.

Other arithmetic (another processor, another BLAS) moves the draws by rounding, and may turn an acceptance of the chain,
which replaces a draw or two. So a rank may move by `RANKS_APART` of `sbc.DRAWS`; ranks of another seed, prior or
sampler are tens apart. An error of a model may move by `SHARE_OF_SD` of its standard deviation over trials, a share by
one patient. Positive effects are harm; a trial is numbered by the seed that R's generator was set to.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.corrected import sbc
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.report import Proof
from hte_utils.model.candidates import CANDIDATES, CandidateModel
from hte_utils.model.fit import FitWarning, IndependenceSettings, fit, library_versions, record_of
from hte_utils.model.spec import Patients
from hte_utils.trial import TrialTruth, simulate_truth, trial_table

RANKS_FILE: Final = "sbc_ranks.parquet"
CANDIDATES_FILE: Final = "candidate_models.parquet"
EVALUATED_SEEDS: Final = tuple(range(1001, 1101))
"""Trials on which the candidates are evaluated; the paper's is not among them, but stored beside them."""
PAPER_SEED: Final = 123
RANKS_APART: Final = 2
SHARE_OF_SD: Final = 0.05
SCALES: Final = {"log odds ratio": (EffectScale.LOG_ODDS_RATIO, 1.0), "points": (EffectScale.RISK_DIFFERENCE, 100.0)}
# 1000 draws: the Monte Carlo error of a mean is a thirtieth of its posterior SD, far below what varies over trials.
QUICK_SETTINGS: Final = IndependenceSettings(draws=500, chains=2, proposals_per_draw=10)
_COMMAND = "python benchmarks/bayesian_checks.py"
MEASURES: Final = ("correlation", "rmse", "mae", "bias", "calibration_slope", "coverage", "width", "average_covered")


def evaluate_candidates(
    models: Iterable[CandidateModel], seeds: Iterable[int], *, settings: IndependenceSettings = QUICK_SETTINGS
) -> pd.DataFrame:
    """Fit every model to every simulated trial (Listing 1, 2000 patients) and compare with the truth.

    A row for each `seed`, `model` (name) and `scale` (of `SCALES`): `MEASURES`, and `passed`, the fit's checks.
    """
    models = tuple(models)
    rows = []
    for seed in seeds:
        truth = simulate_truth(2000, seed)
        trial = trial_table(truth)
        for model in models:
            design = model.design(trial)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # the table says it
                # Each trial has its own random numbers: else the draws' errors would not average out over trials.
                posterior = fit(design, priors=model.priors, settings=replace(settings, seed=settings.seed + seed))
            passed = record_of(posterior).passed
            for scale in SCALES:
                key = {"seed": seed, "model": model.name, "scale": scale}
                rows.append(key | effect_errors(posterior, design, truth, scale) | {"passed": passed})
    return pd.DataFrame(rows)


def effect_errors(posterior: xr.DataTree, patients: Patients, truth: TrialTruth, scale: str) -> dict[str, float]:
    """Compare the effects that a posterior gives with the true ones of the same patients, the group effects in.

    Of the posterior means, what `hte_utils.effects.evaluation.PointMetrics` says (NaN where a constant effect leaves it
    undefined); `coverage`, `width`: share of patients whose true effect is inside their central 95 % interval, and its
    mean width; `average_covered`: whether (1, 0) that interval of the average effect holds the true average.
    """
    effect_scale, factor = SCALES[scale]
    draws = factor * cate_draws(posterior, patients, scale=effect_scale, group_effects=GroupEffects.INCLUDED)
    matrix = draws.to_numpy().reshape(-1, patients.n_patients)
    true = factor * true_cate(truth, effect_scale)
    lower, upper = np.quantile(matrix, (0.025, 0.975), axis=0)
    average_lower, average_upper = np.quantile(matrix.mean(axis=1), (0.025, 0.975))
    found = point_metrics(matrix.mean(axis=0), true)._asdict() | {
        "coverage": float(((lower <= true) & (true <= upper)).mean()),
        "width": float((upper - lower).mean()),
        "average_covered": float(average_lower <= true.mean() <= average_upper),
    }
    return {measure: found[measure] for measure in MEASURES}


def mean_over_trials(results: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Mean of each measure of `evaluate_candidates` over the trials, with its Monte Carlo standard error.

    Index: model, in the order of `results`; columns: (measure, "mean") and (measure, "mcse").
    """
    return _mean_and_mcse(results[results["scale"] == scale].set_index("model")[list(MEASURES)])


def differences_from(reference: str, results: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Difference of each measure from the reference model's in the same trial, averaged; as `mean_over_trials`."""
    chosen = results[results["scale"] == scale].set_index(["model", "seed"])[list(MEASURES)]
    difference = chosen.sub(chosen.loc[reference], level="seed").drop(index=reference, level="model")
    return _mean_and_mcse(difference.droplevel("seed"))


def mean_and_error(table: pd.DataFrame) -> pd.DataFrame:
    """Such a table as text, a column per measure: mean ± Monte Carlo standard error, a dash where there is none."""
    cells = {
        measure: [f"{mean:.3f} ± {mcse:.3f}" if np.isfinite(mean) else "–" for mean, mcse in table[measure].to_numpy()]
        for measure in table.columns.unique(level=0)
    }
    return pd.DataFrame(cells, index=table.index)


def _mean_and_mcse(values: pd.DataFrame) -> pd.DataFrame:
    grouped = values.dropna(axis="columns", how="all").groupby(level="model", sort=False)
    return pd.concat({"mean": grouped.mean(), "mcse": grouped.sem()}, axis=1).swaplevel(axis=1)


def store_calibrations(directory: Path, *, workers: int = 2) -> None:
    """Run all scenarios and write their ranks to `directory`."""
    ranks = {
        name: _long(sbc.calibrate(scenario, seed=sbc.SEED, workers=workers).ranks)
        for name, scenario in sbc.SCENARIOS.items()
    }
    table = pd.concat([each.assign(scenario=name) for name, each in ranks.items()], ignore_index=True)
    write_table(table.astype({"trial": "int16", "rank": "int16", "quantity": str}), directory / RANKS_FILE, _COMMAND)


def _long(ranks: xr.Dataset) -> pd.DataFrame:
    """One row for each trial and quantity: `trial`, `by_nuts`, `quantity`, `rank`."""
    return ranks.to_dataframe().reset_index().melt(["trial", "by_nuts"], var_name="quantity", value_name="rank")


def stored_calibrations(directory: Path) -> dict[str, sbc.Calibration]:
    """Read what `store_calibrations` wrote: the calibration of each scenario, by its name."""
    stored = _read(directory / RANKS_FILE)
    found = {}
    for name in sbc.SCENARIOS:
        own = stored[stored["scenario"] == name]
        table = own.pivot_table(index=["trial", "by_nuts"], columns="quantity", values="rank", sort=False)
        trials = {"trial": table.index.get_level_values("trial"), "by_nuts": ("trial", table.index.get_level_values(1))}
        ranks = {str(quantity): ("trial", table[quantity].to_numpy().astype(int)) for quantity in table}
        found[name] = sbc.Calibration(xr.Dataset(ranks, trials), sbc.DRAWS, sbc.SEED)
    return found


def prove_calibrations(stored: Mapping[str, sbc.Calibration], number: int, rng: np.random.Generator) -> Proof:
    """Run a number of trials of every scenario again, picked by `rng`; hold their ranks against the stored ones."""
    tables = []
    for name, calibration in stored.items():
        # Other arithmetic lets a chain of NUTS take another path, so that its ranks do not come out again.
        known = calibration.ranks["trial"].to_numpy()[~calibration.ranks["by_nuts"].to_numpy()]
        trials = rng.choice(known, size=number, replace=False).tolist()
        before, again = (
            calibration.ranks.sel(trial=trials),
            sbc.calibrate(sbc.SCENARIOS[name], seed=sbc.SEED, only=trials),
        )
        both = _long(before).merge(_long(again.ranks), on=["trial", "quantity"])
        tables.append(both.rename(columns={"rank_x": "stored", "rank_y": "again"}).assign(scenario=name))
    compared = pd.concat(tables, ignore_index=True).assign(allowed=RANKS_APART)
    equal = int((compared["stored"] == compared["again"]).sum())
    done = (
        f"{number} trials of each calibration were run again: of {len(compared)} ranks {equal} are equal, and may be "
        f"{RANKS_APART} of {sbc.DRAWS} apart."
    )
    columns = ["scenario", "quantity", "trial", "stored", "again", "allowed"]
    return Proof.by_tolerance("calibrations", done, compared[columns])


def store_evaluation(directory: Path) -> None:
    """Fit all candidate models to the paper's trial and those of `EVALUATED_SEEDS`; write the errors to `directory`."""
    write_table(evaluate_candidates(CANDIDATES, (PAPER_SEED, *EVALUATED_SEEDS)), directory / CANDIDATES_FILE, _COMMAND)


def stored_evaluation(directory: Path) -> pd.DataFrame:
    """Read what `store_evaluation` wrote: a table as `candidate_evaluation.evaluate_candidates` gives it."""
    return _read(directory / CANDIDATES_FILE)


def prove_evaluation(stored: pd.DataFrame, seed: int, models: Sequence[CandidateModel] = CANDIDATES) -> Proof:
    """Simulate and fit one trial again, and hold the models' errors against the stored ones."""
    keys = ["model", "scale", "measure"]
    before, again = (
        table.melt(["seed", "model", "scale"], var_name="measure", value_name=side).astype({side: float})
        for side, table in {"stored": stored, "again": evaluate_candidates(models, [seed])}.items()
    )
    sd = before.groupby(keys)["stored"].std().fillna(0.0).rename("sd").reset_index()
    compared = again.merge(before, on=["seed", *keys]).merge(sd, on=keys)
    compared["allowed"] = np.maximum(1e-6 * compared["stored"].abs(), SHARE_OF_SD * compared["sd"])
    compared.loc[compared["measure"] == "coverage", "allowed"] += 1 / 2000  # one patient
    done = (
        f"Trial {seed} was simulated and fitted again with {len(models)} models: {len(compared)} numbers were compared."
    )
    return Proof.by_tolerance("candidates", done, compared[["seed", *keys, "stored", "again", "allowed"]])


def write_table(table: pd.DataFrame, path: Path, made_by: str) -> None:
    """Store a table in one step; its `attrs` say which command made it, when, and with which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    table.attrs = {"made_by": made_by, "made_on": f"{datetime.now(UTC):%Y-%m-%d}", "versions": versions}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        table.to_parquet(temporary, index=False, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: make it with `{_COMMAND}`")
    return pd.read_parquet(path)
