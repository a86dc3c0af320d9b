"""A simulation study that can be stopped, continued, spread over machines and proved: ADEMP as code.

    scenarios               the data-generating mechanisms, as frozen records
    generate                trials, the independent population, profile patients, each with its truth
    replicate               one replicate: a pure function of scenario, methods and seed
    run, store              what is missing is computed, on Dask, and stored with what made it
    verify                  the proof of stored replicates by running some again
    plan                    the study that the book reports: what is run, and its protocol as tables
    performance, findings   performance with Monte Carlo errors; what the study says, as the tables behind the figures

The event is major bleeding: positive effects are harm. ``python -m hte_utils.study --help`` is the command line.
"""

from __future__ import annotations

from hte_utils.study.run import StudyReport, run_study, study_client
from hte_utils.study.scenarios import SCENARIOS, Scenario
from hte_utils.study.store import StoreError, StoreMismatchError, StudyStore
from hte_utils.study.verify import Verification, verify

__all__ = [
    "SCENARIOS",
    "Scenario",
    "StoreError",
    "StoreMismatchError",
    "StudyReport",
    "StudyStore",
    "Verification",
    "run_study",
    "study_client",
    "verify",
]
