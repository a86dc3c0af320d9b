"""All methods by name, from the simplest to the most flexible, with what each assumes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from hte_utils.methods.estimates import MethodResult

    Fitter = Callable[[pd.DataFrame, Sequence[pd.DataFrame], np.random.Generator], MethodResult]


@dataclass(frozen=True, slots=True)
class RegisteredMethod:
    """A `Method`, and what a reader should know of it before it is run.

    Attributes
    ----------
    name, label
        Key in `METHODS`; name in tables and figures.
    home
        ``module:function`` inside `hte_utils.methods`; imported at the first call.
    assumes
        The method's model of the effect, in a few words.
    library
        What does the fitting.
    estimates
        What it estimates directly.
    intervals
        Which 95 % intervals it gives; empty if none.
    slow
        Whether a trial of 2000 patients takes seconds.
    exact
        Whether its numbers follow from the data up to rounding: no random numbers, no penalty or tree chosen by a
        comparison that rounding can turn.
    stream
        The name that its random numbers in a study belong to, where that is not its own.
    """

    name: str
    label: str
    home: str
    assumes: str
    library: str = "this project"
    estimates: str = "log odds ratio"
    intervals: str = ""
    slow: bool = False
    exact: bool = False
    stream: str = ""

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        """Learn from `trial`, and estimate the effects of the patients of each population; see `Method`."""
        if isinstance(populations, pd.DataFrame) or not populations:
            raise ValueError(
                f"populations must be a sequence of at least one DataFrame, not {type(populations).__name__}"
                ": for the trial's own patients give [trial]"
            )
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, not {type(rng).__name__}: numpy.random.default_rng")
        module, function = self.home.split(":")
        fitter = cast("Fitter", getattr(import_module(f"hte_utils.methods.{module}"), function))
        # One thread: results must not depend on the number of processors, and studies run a method on each of them.
        with threadpool_limits(limits=1):
            return fitter(trial, populations, rng)


_WALD = "confidence (Wald, delta method)"
_LINEAR = "log odds ratio linear in the covariates"
_LISTING_2 = "log odds ratio linear in the paper's three modifiers"

_Likelihood = partial(RegisteredMethod, library="statsmodels", intervals=_WALD, exact=True)
_Penalised = partial(RegisteredMethod, library="scikit-learn")
_Learner = partial(RegisteredMethod, library="econml, scikit-learn", estimates="risks")
_Forest = partial(RegisteredMethod, slow=True)
_Bayes = partial(RegisteredMethod, intervals="credible")

_LADDER = (
    _Likelihood("constant", "constant odds ratio", "logistic:fit_constant", "one odds ratio for everybody"),
    _Likelihood(
        "path",
        "risk model x treatment (PATH)",
        "logistic:fit_risk_model",
        "log odds ratio linear in the predicted log odds of the event",
        intervals=f"{_WALD}; the risk model taken as known",
    ),
    _Likelihood("interactions_ml", "interactions, maximum likelihood", "logistic:fit_interactions", _LINEAR),
    _Likelihood(
        "interactions_firth",
        "interactions, Firth",
        "logistic:fit_firth",
        "the same; bias-reduced, intercept corrected (FLIC)",
        library="firthmodels",
    ),
    _Penalised(
        "interactions_ridge", "interactions, ridge", "ridge_and_lasso:fit_ridge", "the same; all coefficients small"
    ),
    _Penalised(
        "interactions_lasso", "interactions, lasso", "ridge_and_lasso:fit_lasso", "the same; most coefficients zero"
    ),
    _Likelihood(
        "listing_2_ml", "Listing 2's terms, maximum likelihood", "logistic:fit_listing_2", f"{_LISTING_2} and gender"
    ),
    _Likelihood(
        "listing_2_ml_no_gender",
        "Listing 2 without gender, maximum likelihood",
        "logistic:fit_listing_2_without_gender",
        _LISTING_2,
    ),
    _Penalised(
        "listing_2_ridge",
        "Listing 2 without gender, N(0, 1) mode",
        "ridge_and_lasso:fit_listing_2_mode",
        "the same; all coefficients of order 1",
        exact=True,
    ),
    _Learner(
        "s_learner",
        "S-learner, boosted trees",
        "learners_and_forests:fit_s_learner",
        "one smooth-enough risk function of covariates and arm",
    ),
    _Learner(
        "t_learner",
        "T-learner, boosted trees",
        "learners_and_forests:fit_t_learner",
        "a risk function for each arm",
    ),
    _Learner(
        "x_learner",
        "X-learner, boosted trees",
        "learners_and_forests:fit_x_learner",
        "risk differences simpler than risks",
        estimates="risk difference",
    ),
    _Forest(
        "causal_forest",
        "causal forest",
        "learners_and_forests:fit_causal_forest",
        "risk difference locally constant",
        library="econml",
        estimates="risk difference",
        intervals="confidence (bootstrap of little bags)",
    ),
    _Forest(
        "bcf",
        "Bayesian causal forest",
        "learners_and_forests:fit_bayesian_causal_forest",
        "sums of shallow trees for risk and effect, probit scale",
        library="stochtree",
        estimates="risks",
        intervals="credible",
    ),
    _Bayes(
        "paper_way",
        "the paper's model, its way",
        "bayesian:fit_paper_way",
        "Listing 2; gender effects left out of risk and effect",
    ),
    _Bayes("paper_corrected", "the paper's model, corrected", "bayesian:fit_paper_corrected", "Listing 2"),
    _Bayes(
        "all_modifiers",
        "the all-modifiers Bayesian model",
        "bayesian:fit_all_modifiers",
        f"{_LINEAR}; shrinkage learned from the data",
        stream="better",  # its name when the stored results were made
    ),
)

METHODS: Mapping[str, RegisteredMethod] = MappingProxyType({method.name: method for method in _LADDER})
"""The ladder, simplest first, the Bayesian models last."""


def named_child(parent: np.random.SeedSequence, *path: str | int) -> np.random.SeedSequence:
    """Return the descendant of `parent` under these names; `parent` itself is not changed.

    A name becomes 64 bits of its SHA-256 digest, where `SeedSequence.spawn` would take a running number; numbers from 0
    are taken as they are.
    """
    words: list[int] = []
    for step in path:
        if isinstance(step, str):
            words += np.frombuffer(hashlib.sha256(step.encode()).digest()[:8], ">u4").tolist()
        else:
            words.append(step)
    return np.random.SeedSequence(parent.entropy, spawn_key=(*parent.spawn_key, *words), pool_size=parent.pool_size)
