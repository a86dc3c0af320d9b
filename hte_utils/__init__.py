"""Helper package of the book: every number the book shows is computed here.

The names below are the ones a first reader needs, each with an example in its docstring. They are imported when they
are used, so that ``import hte_utils as hte`` itself does no work::

    trial = hte.simulate_trial()                   # the paper's 2000 patients, as R draws them
    design = hte.PAPER_SPEC.design(trial)          # the numbers that the model sees
    posterior = hte.fit(design)                    # Listing 2
    hte.cate(posterior, design)                    # every patient's effect; beside it:
    hte.risk_strata(posterior, design)             # effects by quintile of predicted risk
    hte.average_effects(posterior, design)         # the average effect, on four scales
    hte.evaluate(posterior, design, hte.simulate_truth())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hte_utils.effects.averages import average_effects
    from hte_utils.effects.cate import cate
    from hte_utils.effects.strata import risk_strata
    from hte_utils.effects.truth import evaluate
    from hte_utils.model.fit import fit
    from hte_utils.model.spec import PAPER_SPEC, Covariate, TrialSpec
    from hte_utils.model.store import paper_analysis
    from hte_utils.trial import simulate_trial, simulate_truth
    from hte_utils.trial.r_stream import RRandom

__version__ = "0.1.0"
__all__ = [
    "PAPER_SPEC",
    "Covariate",
    "RRandom",
    "TrialSpec",
    "average_effects",
    "cate",
    "evaluate",
    "fit",
    "paper_analysis",
    "risk_strata",
    "simulate_trial",
    "simulate_truth",
]

_HOME = {
    "PAPER_SPEC": "model.spec",
    "Covariate": "model.spec",
    "RRandom": "trial.r_stream",
    "TrialSpec": "model.spec",
    "average_effects": "effects.averages",
    "cate": "effects.cate",
    "evaluate": "effects.truth",
    "fit": "model.fit",
    "paper_analysis": "model.store",
    "risk_strata": "effects.strata",
    "simulate_trial": "trial",
    "simulate_truth": "trial",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
