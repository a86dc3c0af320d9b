"""The study that the book reports: which methods meet which scenarios and how often, and its protocol as tables.

    python -m hte_utils.study.plan --store results --to book/data/study

runs it (`cost` says for how many hours) and writes the small copy that the book reads. It can be stopped and started
again at any time. The order of the stages is that of their importance: a study that is cut short has the earlier ones.

The tables are made from the records that the study runs by, so that neither can drift away. Morris, White & Crowther
(2019) call the parts ADEMP: aims, data-generating mechanisms, estimands, methods, performance measures.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hte_utils.methods import METHODS
from hte_utils.methods.estimates import Method
from hte_utils.methods.measures import POINTS, WORTHS
from hte_utils.study.generate import PROFILE_NAMES, population, profiles
from hte_utils.study.replicate import POPULATION, TRIAL
from hte_utils.study.run import run_study, study_client
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS
from hte_utils.study.store import StudyStore

if TYPE_CHECKING:
    from distributed import Client

SEED: Final = 20_241_100
"""The study's seed; of no meaning (the paper is of November 2024)."""

METHOD_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "regressions": ("constant", "path", "interactions_ml", "interactions_firth"),
    "Listing 2's terms": ("listing_2_ml", "listing_2_ml_no_gender", "listing_2_ridge"),
    "hierarchical models": ("paper_way", "paper_corrected", "all_modifiers"),
    "ridge and lasso": ("interactions_ridge", "interactions_lasso"),
    "S-, T-, X-, DR-learner": ("s_learner", "t_learner", "x_learner", "dr_learner"),
    "causal forests": ("causal_forest", "bcf"),
    "horseshoe": ("horseshoe",),
}
"""Methods that are planned and run together."""

_REGRESSIONS, _RUNGS, _HIERARCHICAL, _PENALISED, _LEARNERS, _FORESTS, _HORSESHOE = METHOD_GROUPS.values()
MODELS: Final = (*_REGRESSIONS, *_RUNGS, *_HIERARCHICAL, *_PENALISED)
LARGEST: Final = "patients-20000"
"""A trial of so many patients costs ten times as much as the paper's."""
WITH_FORESTS: Final = (PAPER_DESIGN, "constant-odds-ratio", "u-shaped")
"""Where forests and the horseshoe run too: as in the paper, nothing to find, and what only trees can find."""

OTHER_SCENARIOS: Final = tuple(name for name in SCENARIOS if name not in {PAPER_DESIGN, LARGEST})


@dataclass(frozen=True, slots=True)
class Stage:
    """Replicates 0 to `replicates` - 1 of every one of the scenarios with every one of the methods."""

    scenarios: tuple[str, ...]
    methods: tuple[str, ...]
    replicates: int


STAGES: Final = (
    Stage((PAPER_DESIGN,), (*MODELS, *_LEARNERS), 400),
    Stage(OTHER_SCENARIOS, MODELS, 100),
    Stage(WITH_FORESTS, (*_FORESTS, *_HORSESHOE), 50),
    Stage((PAPER_DESIGN,), MODELS, 2000),
    Stage((LARGEST,), MODELS, 50),
    Stage(OTHER_SCENARIOS, MODELS, 400),
    Stage(OTHER_SCENARIOS, _LEARNERS, 100),
    Stage(WITH_FORESTS, _FORESTS, 100),
    Stage((LARGEST,), MODELS, 100),
    Stage((PAPER_DESIGN,), _LEARNERS, 2000),
)
"""What is run, most important first. A later stage adds to an earlier one and repeats nothing."""

KEPT: Final[Mapping[str, Any]] = {
    "measures": (
        *("lor_rmse", "lor_mae", "lor_correlation", "lor_coverage"),
        *("rd_bias", "rd_rmse", "rd_correlation", "rd_slope", "rd_coverage", "rd_width"),
        *("ate_estimate", "ate_lower", "ate_upper", "ate_truth"),
        *("risk_bias", "treated_share", "regret", *(f"regret_{worth}" for worth in WORTHS), "interaction_p"),
    ),
    # Of a single patient, these say everything about the risk difference.
    "of_profiles": ("ate_estimate", "ate_lower", "ate_upper", "ate_truth"),
    "populations": (TRIAL, POPULATION, "profile-typical", "profile-anticoagulated", "profile-high-risk"),
    # A relative error of 0.00024 at most in each replicate, and far less in their mean.
    "bits": 12,
}
"""What the book's copy keeps (`StudyStore.copy`): bits are what a repository has to carry."""

WANTED_COVERAGE_MCSE: Final = 0.005
_HOUR: Final = 3600.0
_EVERYWHERE: Final = 2000

PERFORMANCE: Final = {
    "bias": "mean over patients of estimated minus true effect",
    "RMSE": "root of the mean over patients of the squared error",
    "MAE": "mean over patients of the absolute error",
    "correlation": "Pearson correlation over patients of estimated and true effects",
    "calibration slope": "least squares of true on estimated effects; below 1: estimated too far apart",
    "coverage": "share of patients whose true effect lies in their own 95 % interval",
    "width": "mean over patients of the width of that interval",
    "policy regret": "bleeds per 1000 patients above the best possible rule, if those with an estimated risk "
    f"difference below 0 are treated; and below {', '.join(map(str, WORTHS))} per 1000, if treatment has a benefit "
    "elsewhere that is worth as many bleeds",
    "rejection rate": "share of trials in which an interaction test has p < 0.05: where nothing is to be found, its "
    "size; else its power",
    "bias of the ATE": "mean over trials of estimated minus true average risk difference",
    "empirical SE of the ATE": "SD over trials of that error",
    "coverage of one effect": "share of trials whose 95 % interval holds the truth: the ATE, or a profile patient's "
    "effect",
    "paired difference": "one method's measure minus another's on the same trials, mean",
}
"""The performance measures, and what each is."""
_OF_A_SHARE: Final = "√(p(1 − p) / n)"
_OTHER_ERRORS: Final = {
    "empirical SE of the ATE": "SE / √(2(n − 1))",
    "coverage of one effect": _OF_A_SHARE,
    "rejection rate": _OF_A_SHARE,
}


def planned_replicates(stages: Sequence[Stage] = STAGES) -> dict[tuple[str, str], int]:
    """How many replicates each scenario and method gets in the end."""
    found: dict[tuple[str, str], int] = {}
    for stage in stages:
        for scenario in stage.scenarios:
            for method in stage.methods:
                found[scenario, method] = max(found.get((scenario, method), 0), stage.replicates)
    return found


def run_plan(stages: Sequence[Stage], methods: Mapping[str, Method], store: StudyStore, client: Client) -> None:
    """Run what a store lacks of a plan, stage by stage, with those of its methods that are given.

    Errors as for `hte_utils.study.run.run_study`.
    """
    for number, stage in enumerate(stages, start=1):
        chosen = [methods[name] for name in stage.methods if name in methods]
        names = ", ".join(method.name for method in chosen)
        sys.stderr.write(f"stage {number} of {len(stages)}: {stage.replicates} replicates of {names or 'nothing'}\n")
        if chosen:
            scenarios = [SCENARIOS[name] for name in stage.scenarios]
            run_study(scenarios, chosen, stage.replicates, SEED, store, client, progress=True)


def commands(store: StudyStore) -> pd.DataFrame:
    """List what made a store's results: a row for each command and commit, in the order of time.

    Columns: ``began`` (its first start, UTC, to the minute), ``commit`` (short), ``command`` and ``cells`` (scenarios
    with methods, how many).
    """
    return pd.DataFrame(
        {
            "began": run["began"][:16].replace("T", " "),
            "commit": run["commit"][:7] + run["commit"][40:],
            "command": run["command"],
            "cells": len(run["cells"]),
        }
        for run in store.runs()
    )


def cost(store: StudyStore) -> pd.DataFrame:
    """What the plan costs: processor hours by group of methods, from the mean seconds of what was run.

    Columns: ``a trial`` (seconds of a run of each method in the paper's design, mean over the group), ``planned``
    (hours of all that is planned) and ``2000 everywhere`` (hours if every method met 2000 trials of every scenario;
    where a method did not meet a scenario, its time in the paper's design in proportion to the patients).
    """
    seconds, planned = store.seconds()["seconds"], planned_replicates()
    own = SCENARIOS[PAPER_DESIGN].n_patients
    rows = {}
    for group, methods in METHOD_GROUPS.items():
        of_run = {
            (name, method): float(seconds.get((name, method), seconds[PAPER_DESIGN, method] * each.n_patients / own))
            for method in methods
            for name, each in SCENARIOS.items()
        }
        rows[group] = {
            "a trial": sum(of_run[PAPER_DESIGN, method] for method in methods) / len(methods),
            "planned": sum(planned.get(key, 0) * each for key, each in of_run.items()) / _HOUR,
            "2000 everywhere": sum(_EVERYWHERE * each for each in of_run.values()) / _HOUR,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="methods")
    return pd.concat([table, table.sum().to_frame("all").T.assign(**{"a trial": math.nan})])


def mechanisms() -> pd.DataFrame:
    """Describe the scenarios by what is true in their large populations.

    Returns
    -------
    pandas.DataFrame
        Index: the scenarios' labels. Columns: `patients` (of a trial), `event_rate` (both arms, per cent), `ate` (mean
        risk difference, percentage points; positive is harm), `sd_rd` and `sd_lor` (how much the effect varies between
        patients: SD of risk differences in points, and of log odds ratios), `helped` (per cent of the patients whose
        risk treatment lowers).
    """
    rows = {}
    for scenario in SCENARIOS.values():
        truth = population(scenario).truth
        treated = truth.baseline_risk + truth.risk_difference
        rows[scenario.label] = {
            "patients": scenario.n_patients,
            "event_rate": POINTS * float(truth.baseline_risk.mean() + treated.mean()) / 2.0,
            "ate": POINTS * float(truth.risk_difference.mean()),
            "sd_rd": POINTS * float(truth.risk_difference.std()),
            "sd_lor": float(truth.log_odds_ratio.std()),
            "helped": POINTS * float((truth.risk_difference < 0.0).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="scenario")


def profile_patients() -> pd.DataFrame:
    """The fixed patients whose effects are followed from trial to trial, with the truth in the paper's design.

    Returns
    -------
    pandas.DataFrame
        Index: their names. Columns: the covariates in words, `risk` (per cent, without treatment) and `effect` (risk
        difference, percentage points; positive is harm).
    """
    patients = profiles(SCENARIOS[PAPER_DESIGN])
    table = patients.covariates
    flags = ["hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding"]
    conditions = [
        ", ".join(name.replace("_", " ") for name in flags if row[name] == "Yes") or "none"
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(
        {
            "age": table["age"].to_numpy().round().astype(int),
            "gender": table["gender"].astype(str).to_numpy(),
            "BMI": table["bmi"].to_numpy().round().astype(int),
            "conditions": conditions,
            "risk": POINTS * patients.truth.baseline_risk,
            "effect": POINTS * patients.truth.risk_difference,
        },
        index=pd.Index(PROFILE_NAMES, name="profile"),
    )


def performance_measures() -> pd.DataFrame:
    """`PERFORMANCE` as a table, with the formula of each Monte Carlo standard error over n replicates."""
    table = pd.DataFrame({"definition": PERFORMANCE}).rename_axis(index="measure")
    return table.assign(monte_carlo_se=[_OTHER_ERRORS.get(name, "SD / √n") for name in table.index])


def replicates_for_coverage(mcse: float = WANTED_COVERAGE_MCSE, coverage: float = 0.95) -> int:
    """How many replicates keep the Monte Carlo standard error of a coverage at `mcse`: p(1 - p) / mcse², rounded up."""
    return math.ceil(round(coverage * (1.0 - coverage) / mcse**2, 9))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hte_utils.study.plan", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="folder for the full results")
    parser.add_argument("--to", type=Path, metavar="DIR", help="also write the small copy that the book reads")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each processor)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that computes instead")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="NAME", help="only these (default: all)")
    options = parser.parse_args(arguments)
    store = StudyStore(options.store)
    with study_client(options.workers, options.scheduler) as client:
        run_plan(STAGES, {name: METHODS[name] for name in options.methods or METHODS}, store, client)
    if options.to is not None:
        store.copy(options.to, **KEPT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
