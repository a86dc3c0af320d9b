"""All methods by name, from the simplest to the most flexible, with what each assumes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from hte_utils.methods.estimates import MethodResult
from hte_utils.model.threads import one_thread

if TYPE_CHECKING:
    Fitter = Callable[..., MethodResult]


@dataclass(frozen=True, slots=True)
class RegisteredMethod:
    """A `Method`, and what a reader should know of it before it is run.

    Attributes
    ----------
    home
        The module of `hte_utils.methods` that has its function, ``fit_<name>``; imported at the first call.
    name, label
        Key in `METHODS`; name in tables and figures.
    assumes, estimates
        The method's model of the effect, in a few words, and what it estimates directly.
    library, intervals
        What does the fitting; which 95 % intervals it gives, empty if none.
    slow
        Whether a trial of 2000 patients takes seconds.
    exact
        Whether its numbers follow from the data up to rounding: no random numbers, no penalty or tree chosen by a
        comparison that rounding can turn.
    stream
        The name that its random numbers in a study belong to, where that is not its own.
    """

    home: str
    name: str
    label: str
    assumes: str
    library: str = "this project"
    estimates: str = "log odds ratio"
    intervals: str = ""
    slow: bool = False
    exact: bool = False
    stream: str = ""

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator, **options: Any
    ) -> MethodResult:
        """Learn from `trial`, and estimate the effects of the patients of each population; see `Method`.

        All read the columns of the paper's trial; penalised regressions and forests also those of another `spec`.
        """
        if isinstance(populations, pd.DataFrame) or not populations:
            raise ValueError(
                f"populations must be a sequence of at least one DataFrame, not {type(populations).__name__}"
                ": for the trial's own patients give [trial]"
            )
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, not {type(rng).__name__}: numpy.random.default_rng")
        fitter = cast("Fitter", getattr(import_module(f"hte_utils.methods.{self.home}"), f"fit_{self.name}"))
        # One thread: results must not depend on the number of processors, and studies run a method on each of them.
        with one_thread():
            return fitter(trial, populations, rng, **options)


_WALD = "confidence (Wald, delta method)"
_LINEAR = "log odds ratio linear in the covariates"
_LISTING_2 = "log odds ratio linear in the paper's three modifiers"

_likelihood = partial(RegisteredMethod, "logistic", library="statsmodels", intervals=_WALD, exact=True)
_penalised = partial(RegisteredMethod, "ridge_and_lasso", library="scikit-learn")
_trees = partial(RegisteredMethod, "learners_and_forests")
_learner = partial(_trees, library="econml, scikit-learn")
_bayes = partial(RegisteredMethod, "bayesian", intervals="credible")

_LADDER = (
    _likelihood("constant", "constant odds ratio", "one odds ratio for everybody"),
    _likelihood(
        "path",
        "risk model x treatment (PATH)",
        "log odds ratio linear in the predicted log odds of the event",
        intervals=f"{_WALD}; the risk model taken as known",
    ),
    _likelihood("interactions_ml", "interactions, maximum likelihood", _LINEAR),
    _likelihood(
        "interactions_firth",
        "interactions, Firth",
        "the same; bias-reduced, intercept corrected (FLIC)",
        library="firthmodels",
    ),
    _penalised("interactions_ridge", "interactions, ridge", "the same; all coefficients small"),
    _penalised("interactions_lasso", "interactions, lasso", "the same; most coefficients zero"),
    _likelihood("listing_2_ml", "Listing 2's terms, maximum likelihood", f"{_LISTING_2} and gender"),
    _likelihood("listing_2_ml_no_gender", "Listing 2 without gender, maximum likelihood", _LISTING_2),
    _penalised(
        "listing_2_ridge",
        "Listing 2 without gender, N(0, 1) mode",
        "the same; all coefficients of order 1",
        exact=True,
    ),
    _learner(
        "s_learner",
        "S-learner, boosted trees",
        "one smooth-enough risk function of covariates and arm",
        estimates="risks",
    ),
    _learner("t_learner", "T-learner, boosted trees", "a risk function for each arm", estimates="risks"),
    _learner(
        "x_learner", "X-learner, boosted trees", "risk differences simpler than risks", estimates="risk difference"
    ),
    _learner(
        "dr_learner",
        "DR-learner, boosted trees",
        "risk difference a smooth enough function of the covariates",
        estimates="risk difference",
    ),
    _trees(
        "causal_forest",
        "causal forest",
        "risk difference locally constant",
        library="econml",
        estimates="risk difference",
        intervals="confidence (bootstrap of little bags)",
        slow=True,
    ),
    _trees(
        "bcf",
        "Bayesian causal forest",
        "sums of shallow trees for risk and effect, probit scale",
        library="stochtree",
        estimates="risks",
        intervals="credible",
        slow=True,
    ),
    _bayes("paper_way", "the paper's model, its way", "Listing 2; gender effects left out of risk and effect"),
    _bayes("paper_corrected", "the paper's model, corrected", "Listing 2"),
    _bayes(
        "all_modifiers",
        "the all-modifiers Bayesian model",
        f"{_LINEAR}; shrinkage learned from the data",
        stream="better",  # its name when the stored results were made
    ),
    _bayes(
        "horseshoe",
        "regularised horseshoe",
        f"{_LINEAR}; a few interactions large, the others nearly zero",
        library="pymc, nutpie",
        slow=True,
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
