"""Helper package of the book: every number the book shows is computed here.

The names below are the ones a first reader needs; they are imported when they are used, so that
``import hte_utils`` itself does no work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hte_utils.model.analysis import paper_analysis
    from hte_utils.model.spec import PAPER_SPEC, TrialSpec
    from hte_utils.trial import TrialVariant, simulate_trial, simulate_truth
    from hte_utils.trial.as_described import simulate_trial_as_described
    from hte_utils.trial.r_stream import RRandom

__version__ = "0.1.0"
__all__ = [
    "PAPER_SPEC",
    "RRandom",
    "TrialSpec",
    "TrialVariant",
    "paper_analysis",
    "simulate_trial",
    "simulate_trial_as_described",
    "simulate_truth",
]

_HOME = {
    "PAPER_SPEC": "model.spec",
    "RRandom": "trial.r_stream",
    "TrialSpec": "model.spec",
    "TrialVariant": "trial",
    "paper_analysis": "model.analysis",
    "simulate_trial": "trial",
    "simulate_truth": "trial",
    "simulate_trial_as_described": "trial",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
