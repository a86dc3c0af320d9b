"""Do the candidate models come near the truth? In one simulated trial, or in many.

The scales are the log odds ratio and the risk difference in percentage points; positive = harm. The group effects are
in. A trial is numbered by the seed that R's generator was set to.

Results of the Bayesian checks that take minutes, kept beside the book, and proved by doing some of them again.

``python benchmarks/bayesian_checks.py`` makes the two files. Each carries its provenance (what, when, with which
versions) in its own metadata. A chapter reads them and repeats a few trials, chosen afresh at every build:
`prove_calibrations` and `prove_evaluation` show whether these come out again.

Other arithmetic (another processor, another BLAS) moves the draws by rounding, and may turn an acceptance of the chain,
which replaces a draw or two. So a rank may move by `RANKS_APART` of `DRAWS`; ranks of another seed, prior or sampler
are tens apart. An error of a model may move by `SHARE_OF_SD` of its standard deviation over trials, a share by one
patient.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logit

from hte_utils.corrected.sbc import Calibration, arms_without_event, calibrate, simulated_from_prior
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.report import Proof
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, CANDIDATES, PAPER_MODEL, CandidateModel
from hte_utils.model.fit import FitWarning, IndependenceSettings, fit, library_versions, record_of
from hte_utils.model.listing_2 import Priors
from hte_utils.trial import TrialTruth, simulate_trial, simulate_truth, trial_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.model.spec import Patients, TrialDesign


SCALES: Final = {"log odds ratio": (EffectScale.LOG_ODDS_RATIO, 1.0), "points": (EffectScale.RISK_DIFFERENCE, 100.0)}
QUICK_SETTINGS: Final = IndependenceSettings(draws=500, chains=2, proposals_per_draw=10)
"""1000 draws: the Monte Carlo error of a mean is a thirtieth of its posterior SD, far below what varies from trial to
trial."""
_LIMITS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class EffectErrors:
    """Estimated against true effects of one trial on one scale.

    `correlation`, `rmse`, `mae`, `bias`, `calibration_slope`: As in `hte_utils.effects.evaluation.PointMetrics`, for
    the
        posterior means. NaN where a constant effect leaves a correlation or a slope undefined.
    `coverage`, `width`: Share of patients whose true effect is inside their central 95 % interval, and the intervals'
        mean width.
    `average_covered`: 1 if the central 95 % interval of the average effect holds the true average, else 0.
    """

    correlation: float
    rmse: float
    mae: float
    bias: float
    calibration_slope: float
    coverage: float
    width: float
    average_covered: float


def effect_errors(posterior: xr.DataTree, patients: Patients, truth: TrialTruth, scale: str) -> EffectErrors:
    """Compare the effects that a posterior gives with the true ones.

    `patients`: The patients of `truth`, as the model codes them.
    """
    effect_scale, factor = SCALES[scale]
    draws = factor * cate_draws(posterior, patients, scale=effect_scale, group_effects=GroupEffects.INCLUDED)
    matrix = draws.to_numpy().reshape(-1, patients.n_patients)
    true = factor * true_cate(truth, effect_scale)
    found = point_metrics(matrix.mean(axis=0), true)
    lower, upper = np.quantile(matrix, _LIMITS, axis=0)
    average_lower, average_upper = np.quantile(matrix.mean(axis=1), _LIMITS)
    return EffectErrors(
        correlation=found.correlation,
        rmse=found.rmse,
        mae=found.mae,
        bias=found.bias,
        calibration_slope=found.calibration_slope,
        coverage=float(((lower <= true) & (true <= upper)).mean()),
        width=float((upper - lower).mean()),
        average_covered=float(average_lower <= true.mean() <= average_upper),
    )


def evaluate_candidates(
    models: Iterable[CandidateModel], seeds: Iterable[int], *, settings: IndependenceSettings = QUICK_SETTINGS
) -> pd.DataFrame:
    """Fit every model to every simulated trial (Listing 1, 2000 patients) and compare with the truth.

    `seeds`: Seeds of the trials; 123 is the paper's.

    One row for each `seed`, `model` (its name) and `scale`; columns: the attributes of `EffectErrors`, and `passed`:
    whether the fit passed its checks.
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
                posterior = fit(design, priors=model.priors, settings=settings)
            passed = record_of(posterior).passed
            for scale in SCALES:
                errors = effect_errors(posterior, design, truth, scale)
                values = {name: getattr(errors, name) for name in EffectErrors.__slots__}
                rows.append({"seed": seed, "model": model.name, "scale": scale, **values, "passed": passed})
    return pd.DataFrame(rows)


def mean_over_trials(results: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Mean of each measure over the trials, with its Monte Carlo standard error.

    Index: model, in the order of `results`; columns: (measure, "mean") and (measure, "mcse").
    """
    chosen = results[results["scale"] == scale]
    measures = [name for name in EffectErrors.__slots__ if chosen[name].notna().any()]
    grouped = chosen.groupby("model", sort=False)[measures]
    mean, sd, number = grouped.mean(), grouped.std(ddof=1), grouped.count()
    columns = {}
    for measure in measures:
        columns[measure, "mean"] = mean[measure]
        columns[measure, "mcse"] = sd[measure] / np.sqrt(number[measure])
    return pd.DataFrame(columns)


def paired_differences(results: pd.DataFrame, scale: str, reference: str) -> pd.DataFrame:
    """Difference of each measure from the reference model's in the same trial: mean over trials and its standard error.

    Index: model, without the reference; columns as in `mean_over_trials`.
    """
    chosen = results[results["scale"] == scale].set_index(["model", "seed"])[list(EffectErrors.__slots__)]
    difference = chosen.sub(chosen.loc[reference], level="seed").drop(index=reference, level="model")
    frame = difference.reset_index().assign(scale=scale)
    return mean_over_trials(frame, scale)


RANKS_FILE: Final = "sbc_ranks.parquet"
CANDIDATES_FILE: Final = "candidate_models.parquet"

EVALUATED_SEEDS: Final = tuple(range(1001, 1101))
"""Trials on which the candidates are evaluated; the paper's is not among them, but stored beside them."""
PAPER_SEED: Final = 123


@dataclass(frozen=True, slots=True)
class CalibrationScenario:
    """What is calibrated.

    `label`: For tables and figures.
    `model`: The model that truths are drawn from.
    `fitted_priors`: The priors of the fit, if they differ: a fault on purpose.
    `quick`: Whether the engine of the simulation study fits, and not the exact chain.
    `trials`: How many are simulated.
    """

    label: str
    model: CandidateModel
    fitted_priors: Priors | None = None
    quick: bool = False
    trials: int = 1000

    def design(self) -> TrialDesign:
        """Return the patients and arms of all its trials: 200 patients of Listing 1."""
        return self.model.design(simulate_trial(_PATIENTS, _PATIENT_SEED))


def _rare(model: CandidateModel) -> CandidateModel:
    return replace(model, priors=replace(model.priors, intercept_mean=float(logit(RARE))))


RARE: Final = 0.005
"""Where events are to be rare, the prior's intercept has its mean at this risk, of a patient without risk factors."""


SCENARIOS: Final = {
    "paper": CalibrationScenario("the paper's model", PAPER_MODEL),
    "all_modifiers": CalibrationScenario("the all-modifiers model", ALL_MODIFIERS_MODEL),
    "fault": CalibrationScenario(
        "the paper's model, its Gamma rate taken for a scale", PAPER_MODEL, Priors(precision_rate=0.5)
    ),
    "quick": CalibrationScenario("quick engine, the paper's model", PAPER_MODEL, quick=True),
    "quick_rare": CalibrationScenario(
        "quick engine, the paper's model, rare events", _rare(PAPER_MODEL), quick=True, trials=4000
    ),
    "quick_rare_all_modifiers": CalibrationScenario(
        "quick engine, all-modifiers model, rare events", _rare(ALL_MODIFIERS_MODEL), quick=True, trials=4000
    ),
}
"""Calibrations by name. JAGS's ``dgamma(2, 2)`` has a rate, the gamma generators of NumPy and SciPy take a scale: the
fault is what a translator of Listing 2 might well write. Rare events leave arms without any; there the quick engine was
found wanting once, so these runs are long enough to see an SD that is a few per cent too small."""

DRAWS: Final = 99
RANKS_APART: Final = 2
SHARE_OF_SD: Final = 0.05
SEED: Final = 20241101
_PATIENTS, _PATIENT_SEED = 200, 1


def run_calibration(name: str, *, only: Sequence[int] | None = None, workers: int = 2) -> Calibration:
    """Run one of `SCENARIOS`, or some of its trials, with 99 draws of each fit."""
    scenario = SCENARIOS[name]
    return calibrate(
        scenario.design(),
        priors=scenario.model.priors,
        fitted_priors=scenario.fitted_priors,
        quick=scenario.quick,
        trials=scenario.trials,
        draws=DRAWS,
        seed=SEED,
        workers=workers,
        only=only,
    )


def store_calibrations(directory: Path, *, workers: int = 2) -> None:
    """Run all scenarios and write their ranks to `directory`."""
    tables = []
    for name in SCENARIOS:
        ranks = _long(run_calibration(name, workers=workers).ranks)
        tables.append(ranks.astype({"trial": "int16", "rank": "int16"}).assign(scenario=name))
    _write(pd.concat(tables, ignore_index=True).astype({"quantity": str}), directory / RANKS_FILE)


def _long(ranks: xr.Dataset) -> pd.DataFrame:
    """One row for each trial and quantity: `trial`, `by_nuts`, `quantity`, `rank`."""
    return ranks.to_dataframe().reset_index().melt(["trial", "by_nuts"], var_name="quantity", value_name="rank")


def stored_calibrations(directory: Path) -> dict[str, Calibration]:
    """Read what `store_calibrations` wrote: the calibration of each scenario, by its name."""
    stored = _read(directory / RANKS_FILE)
    found = {}
    for name in SCENARIOS:
        table = stored[stored["scenario"] == name].pivot_table(
            index="trial", columns="quantity", values="rank", sort=False
        )
        ranks = xr.Dataset({str(quantity): ("trial", table[quantity].to_numpy().astype(int)) for quantity in table})
        by_nuts = stored[stored["scenario"] == name].groupby("trial")["by_nuts"].first().loc[table.index].to_numpy()
        ranks = ranks.assign_coords(trial=table.index.to_numpy(), by_nuts=("trial", by_nuts))
        found[name] = Calibration(ranks, DRAWS, SEED)
    return found


def trials_without_event_in_an_arm(name: str) -> NDArray[np.bool_]:
    """Return which trials of one of `SCENARIOS` have a gender with an arm without any event, shape (trials,)."""
    scenario = SCENARIOS[name]
    design = scenario.design()
    _, outcomes = simulated_from_prior(design, scenario.model.priors, scenario.trials, SEED)
    return arms_without_event(design, outcomes)


def prove_calibrations(stored: Mapping[str, Calibration], number: int, rng: np.random.Generator) -> Proof:
    """Run a number of trials of every scenario again, picked by `rng`; hold their ranks against the stored ones."""
    tables = []
    for name, calibration in stored.items():
        # Other arithmetic lets a chain of NUTS take another path, so that its ranks do not come out again.
        known = calibration.ranks["trial"].to_numpy()[~calibration.ranks["by_nuts"].to_numpy()]
        trials = rng.choice(known, size=number, replace=False).tolist()
        before, again = _long(calibration.ranks.sel(trial=trials)), _long(run_calibration(name, only=trials).ranks)
        both = before.merge(again.drop(columns="by_nuts"), on=["trial", "quantity"])
        tables.append(both.rename(columns={"rank_x": "stored", "rank_y": "again"}).assign(scenario=name))
    compared = pd.concat(tables, ignore_index=True).assign(allowed=RANKS_APART)
    equal = int((compared["stored"] == compared["again"]).sum())
    done = (
        f"{number} trials of each calibration were run again: of {len(compared)} ranks {equal} are equal, and may be "
        f"{RANKS_APART} of {DRAWS} apart."
    )
    return Proof.by_tolerance("calibrations", done, compared)


def store_evaluation(directory: Path) -> None:
    """Fit all candidate models to the paper's trial and those of `EVALUATED_SEEDS`; write the errors to `directory`."""
    _write(evaluate_candidates(CANDIDATES, (PAPER_SEED, *EVALUATED_SEEDS)), directory / CANDIDATES_FILE)


def stored_evaluation(directory: Path) -> pd.DataFrame:
    """Read what `store_evaluation` wrote: a table as `candidate_evaluation.evaluate_candidates` gives it."""
    return _read(directory / CANDIDATES_FILE)


def prove_evaluation(stored: pd.DataFrame, seed: int, models: Sequence[CandidateModel] = CANDIDATES) -> Proof:
    """Simulate and fit one trial again, and hold the models' errors against the stored ones."""
    keys = ["model", "scale", "measure"]
    fresh, before = _one_value_a_row(evaluate_candidates(models, [seed])), _one_value_a_row(stored)
    spread = before.groupby(keys)["value"].std().rename("sd")
    table = fresh.merge(before[before["seed"] == seed], on=["seed", *keys], suffixes=("_again", "_stored"))
    table = table.merge(spread.reset_index(), on=keys).rename(
        columns={"value_stored": "stored", "value_again": "again"}
    )
    table["allowed"] = np.maximum(1e-6 * table["stored"].abs(), SHARE_OF_SD * table["sd"].fillna(0.0))
    table.loc[table["measure"] == "coverage", "allowed"] += 1 / 2000  # one patient
    done = f"Trial {seed} was simulated and fitted again with {len(models)} models: {len(table)} numbers were compared."
    return Proof.by_tolerance("candidates", done, table[["seed", *keys, "stored", "again", "allowed"]])


def _one_value_a_row(results: pd.DataFrame) -> pd.DataFrame:
    long = results.melt(["seed", "model", "scale"], var_name="measure", value_name="value")
    return long.astype({"value": float})


def provenance(table: pd.DataFrame) -> dict[str, str]:
    """How a stored table was made."""
    return {str(key): str(value) for key, value in table.attrs.items()}


def _write(table: pd.DataFrame, path: Path) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    table.attrs = {
        "made_by": "python benchmarks/bayesian_checks.py",
        "made_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": versions,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        table.to_parquet(temporary, index=False, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: make it with `python benchmarks/bayesian_checks.py`")
    return pd.read_parquet(path)
