"""A simulation study that can be stopped, continued, spread over machines and proved: ADEMP as code.

    scenario, scenarios     the data-generating mechanisms, as frozen records
    generate, event_rate    trials, the independent population, profile patients, each with its truth
    seeds                   which random numbers belong to what
    replicate, measures     one replicate: a pure function of scenario, methods and seed
    block, supervision      units of work, and what happens when a worker dies
    executors, dask_executor   this process, a pool of processes, a Dask cluster
    run                     what is missing is computed and stored
    cell, table, store      results on disk, and what they are results of
    summary, verify         performance with Monte Carlo errors; the proof of stored replicates by running some again
    plan, protocol          the study that the book reports: what is run, and its protocol as tables
    published               its small copy in the repository
    findings, zip_intervals   what it says, as the tables behind the book's figures

The event is major bleeding: positive effects are harm. ``python -m hte_utils.study --help`` is the command line.
"""

from __future__ import annotations

from hte_utils.study.dask_executor import Dask
from hte_utils.study.executors import Processes, Serial
from hte_utils.study.run import StudyReport, run_study
from hte_utils.study.scenario import Scenario
from hte_utils.study.scenarios import SCENARIOS, select_scenarios
from hte_utils.study.store import StoreError, StoreMismatchError, StudyStore
from hte_utils.study.verify import Verification, verify

__all__ = [
    "SCENARIOS",
    "Dask",
    "Processes",
    "Scenario",
    "Serial",
    "StoreError",
    "StoreMismatchError",
    "StudyReport",
    "StudyStore",
    "Verification",
    "run_study",
    "select_scenarios",
    "verify",
]
