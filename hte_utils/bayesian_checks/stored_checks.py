"""Results of the Bayesian checks that take minutes, kept beside the book, and proved by doing some of them again.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logit

from hte_utils.bayesian_checks.candidate_evaluation import evaluate_candidates
from hte_utils.bayesian_checks.sbc import Calibration, arms_without_event, calibrate, simulated_from_prior
from hte_utils.candidate_models import ALL_MODIFIERS_MODEL, CANDIDATES, PAPER_MODEL, CandidateModel
from hte_utils.fit_record import library_versions
from hte_utils.ledger.proof import Proof
from hte_utils.priors import Priors
from hte_utils.trial import simulate_trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.trial_design import TrialDesign

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
        ranks = run_calibration(name, workers=workers).ranks.to_dataframe().reset_index()
        long = ranks.melt(["trial", "by_nuts"], var_name="quantity", value_name="rank")
        long = long.astype({"trial": "int16", "rank": "int16"})
        tables.append(long.assign(scenario=name))
    _write(pd.concat(tables, ignore_index=True).astype({"quantity": str}), directory / RANKS_FILE)


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
    failures, equal, compared = [], 0, 0
    for name, calibration in stored.items():
        # Other arithmetic lets a chain of NUTS take another path, so that its ranks do not come out again.
        known = calibration.ranks["trial"].to_numpy()[~calibration.ranks["by_nuts"].to_numpy()]
        trials = rng.choice(known, size=number, replace=False).tolist()
        again = run_calibration(name, only=trials).ranks
        for quantity in calibration.ranks:
            before, now = calibration.ranks[quantity].sel(trial=trials).to_numpy(), again[quantity].to_numpy()
            compared, equal = compared + len(now), equal + int((before == now).sum())
            rows = zip(trials, before, now, strict=True)
            failures += [(name, quantity, t, b, n) for t, b, n in rows if abs(int(b) - int(n)) > RANKS_APART]
    done = (
        f"{number} trials of each calibration were run again: of {compared} ranks {equal} are equal, and may be "
        f"{RANKS_APART} of {DRAWS} apart."
    )
    columns = ["scenario", "quantity", "trial", "stored", "again"]
    return Proof("calibrations", done, pd.DataFrame(failures, columns=columns))


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
    undefined = table["stored"].isna() & table["again"].isna()  # a correlation with a constant
    failed = ~(((table["again"] - table["stored"]).abs() <= table["allowed"]) | undefined)
    done = f"Trial {seed} was simulated and fitted again with {len(models)} models: {len(table)} numbers were compared."
    return Proof("candidates", done, table.loc[failed, ["seed", *keys, "stored", "again", "allowed"]])


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
