"""The study that the book reports, as a plan: which methods meet which scenarios, and how often.

    python -m hte_utils.study.plan --store results --to book/data/study

runs it (two processors: an hour or two) and writes the small copy that the book reads. It can be stopped and started
again at any time. The order of the stages is that of their importance: a study that is cut short has the earlier ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hte_utils.study.replicate import POPULATION, TRIAL
from hte_utils.study.run import run_study, study_client
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS
from hte_utils.study.store import StudyStore, publish

if TYPE_CHECKING:
    from distributed import Client

    from hte_utils.methods.estimates import Method

SEED: Final = 20_241_100
"""The study's seed; of no meaning (the paper is of November 2024)."""

PAPER_METHODS: Final = ("paper_way", "paper_corrected")
RUNGS: Final = ("listing_2_ml", "listing_2_ml_no_gender", "listing_2_ridge")
CORE: Final = (
    *("constant", "path", "interactions_ml", "interactions_firth"),
    *RUNGS,
    *PAPER_METHODS,
    "all_modifiers",
)
PENALISED: Final = ("interactions_ridge", "interactions_lasso")
LEARNERS: Final = ("s_learner", "t_learner", "x_learner")
FORESTS: Final = ("causal_forest", "bcf")
LARGEST: Final = "patients-20000"
"""A trial of so many patients costs ten times as much as the paper's."""

OTHER_SCENARIOS: Final = tuple(name for name in SCENARIOS if name not in {PAPER_DESIGN, LARGEST})


@dataclass(frozen=True, slots=True)
class Stage:
    """Replicates 0 to `replicates` - 1 of every one of the scenarios with every one of the methods."""

    scenarios: tuple[str, ...]
    methods: tuple[str, ...]
    replicates: int


STAGES: Final = (
    Stage((PAPER_DESIGN,), CORE, 500),
    Stage((PAPER_DESIGN,), (*PENALISED, *LEARNERS), 200),
    Stage(OTHER_SCENARIOS, CORE, 40),
    Stage((LARGEST,), CORE, 10),
    Stage((PAPER_DESIGN,), FORESTS, 20),
    Stage((PAPER_DESIGN,), CORE, 2000),
    Stage(OTHER_SCENARIOS, CORE, 200),
    Stage((PAPER_DESIGN,), FORESTS, 100),
    Stage((LARGEST,), CORE, 50),
    Stage(OTHER_SCENARIOS, PENALISED, 100),
)
"""What is run, most important first. A later stage adds to an earlier one and repeats nothing."""

PUBLISHED_MEASURES: Final = (
    *("lor_rmse", "lor_mae", "lor_correlation", "lor_coverage"),
    *("rd_bias", "rd_rmse", "rd_correlation", "rd_slope", "rd_coverage", "rd_width"),
    *("ate_estimate", "ate_lower", "ate_upper", "ate_truth"),
    *("risk_bias", "treated_share", "regret"),
)
"""Measures that the book's copy keeps."""

PROFILE_MEASURES: Final = ("ate_estimate", "ate_lower", "ate_upper", "ate_truth")
"""What it keeps of the profile patients: of a single patient, these say everything about the risk difference."""

PUBLISHED_POPULATIONS: Final = (TRIAL, POPULATION, "profile-typical", "profile-anticoagulated", "profile-high-risk")

PUBLISHED_BITS: Final = 12
"""Precision of its numbers: a relative error of 0.00024 at most in each replicate, and far less in their mean. Bits are
what a repository has to carry."""


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan from the command line; returns the exit status."""
    from hte_utils.methods import METHODS

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
        publish(
            store,
            options.to,
            measures=PUBLISHED_MEASURES,
            populations=PUBLISHED_POPULATIONS,
            of_profiles=PROFILE_MEASURES,
            bits=PUBLISHED_BITS,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
