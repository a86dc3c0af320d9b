"""All methods by name, from the simplest to the most flexible, with what each assumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import MethodResult

    Fitter = Callable[[pd.DataFrame, Sequence[pd.DataFrame], np.random.Generator], MethodResult]


@dataclass(frozen=True, slots=True)
class RegisteredMethod:
    """A `Method`, and what a reader should know of it before it is run.

    Attributes
    ----------
    name, label
        Key in `METHODS`; name in tables and figures.
    home
        ``module:function`` inside `hte_utils.comparators`; imported at the first call.
    library
        What does the fitting.
    assumes
        The method's model of the effect, in a few words.
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
    library: str
    assumes: str
    estimates: str
    intervals: str
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
        fitter = cast("Fitter", getattr(import_module(f"hte_utils.comparators.{module}"), function))
        # One thread: results must not depend on the number of processors, and studies run a method on each of them.
        with threadpool_limits(limits=1):
            return fitter(trial, populations, rng)


_WALD = "confidence (Wald, delta method)"
_LADDER = (
    RegisteredMethod(
        name="constant",
        label="constant odds ratio",
        home="constant:fit_constant",
        library="statsmodels",
        assumes="one odds ratio for everybody",
        estimates="log odds ratio",
        intervals=_WALD,
        exact=True,
    ),
    RegisteredMethod(
        name="path",
        label="risk model x treatment (PATH)",
        home="risk_modelling:fit_risk_model",
        library="statsmodels",
        assumes="log odds ratio linear in the predicted log odds of the event",
        estimates="log odds ratio",
        intervals=f"{_WALD}; the risk model taken as known",
        exact=True,
    ),
    RegisteredMethod(
        name="interactions_ml",
        label="interactions, maximum likelihood",
        home="interactions:fit_maximum_likelihood",
        library="statsmodels",
        assumes="log odds ratio linear in the covariates",
        estimates="log odds ratio",
        intervals=_WALD,
        exact=True,
    ),
    RegisteredMethod(
        name="interactions_firth",
        label="interactions, Firth",
        home="interactions:fit_firth",
        library="firthmodels",
        assumes="the same; bias-reduced, intercept corrected (FLIC)",
        estimates="log odds ratio",
        intervals=_WALD,
        exact=True,
    ),
    RegisteredMethod(
        name="interactions_ridge",
        label="interactions, ridge",
        home="penalised:fit_ridge",
        library="scikit-learn",
        assumes="the same; all coefficients small",
        estimates="log odds ratio",
        intervals="",
    ),
    RegisteredMethod(
        name="interactions_lasso",
        label="interactions, lasso",
        home="penalised:fit_lasso",
        library="scikit-learn",
        assumes="the same; most coefficients zero",
        estimates="log odds ratio",
        intervals="",
    ),
    RegisteredMethod(
        name="listing_2_ml",
        label="Listing 2's terms, maximum likelihood",
        home="listing_2_terms:fit_with_gender",
        library="statsmodels",
        assumes="log odds ratio linear in the paper's three modifiers and gender",
        estimates="log odds ratio",
        intervals=_WALD,
        exact=True,
    ),
    RegisteredMethod(
        name="listing_2_ml_no_gender",
        label="the same without gender",
        home="listing_2_terms:fit_without_gender",
        library="statsmodels",
        assumes="log odds ratio linear in the paper's three modifiers",
        estimates="log odds ratio",
        intervals=_WALD,
        exact=True,
    ),
    RegisteredMethod(
        name="listing_2_ridge",
        label="the same, Normal(0, 1) priors, mode",
        home="listing_2_terms:fit_mode",
        library="scikit-learn",
        assumes="the same; all coefficients of order 1",
        estimates="log odds ratio",
        intervals="",
        exact=True,
    ),
    RegisteredMethod(
        name="s_learner",
        label="S-learner, boosted trees",
        home="meta_learners:fit_s_learner",
        library="econml, scikit-learn",
        assumes="one smooth-enough risk function of covariates and arm",
        estimates="risks",
        intervals="",
    ),
    RegisteredMethod(
        name="t_learner",
        label="T-learner, boosted trees",
        home="meta_learners:fit_t_learner",
        library="econml, scikit-learn",
        assumes="a risk function for each arm",
        estimates="risks",
        intervals="",
    ),
    RegisteredMethod(
        name="x_learner",
        label="X-learner, boosted trees",
        home="meta_learners:fit_x_learner",
        library="econml, scikit-learn",
        assumes="risk differences simpler than risks",
        estimates="risk difference",
        intervals="",
    ),
    RegisteredMethod(
        name="causal_forest",
        label="causal forest",
        home="causal_forest:fit_causal_forest",
        library="econml",
        assumes="risk difference locally constant",
        estimates="risk difference",
        intervals="confidence (bootstrap of little bags)",
        slow=True,
    ),
    RegisteredMethod(
        name="bcf",
        label="Bayesian causal forest",
        home="bart:fit_bayesian_causal_forest",
        library="stochtree",
        assumes="sums of shallow trees for risk and effect, probit scale",
        estimates="risks",
        intervals="credible",
        slow=True,
    ),
    RegisteredMethod(
        name="paper_way",
        label="the paper's model, its way",
        home="bayesian:fit_paper_way",
        library="this project",
        assumes="Listing 2; gender effects left out of risk and effect",
        estimates="log odds ratio",
        intervals="credible",
    ),
    RegisteredMethod(
        name="paper_corrected",
        label="the paper's model, corrected",
        home="bayesian:fit_paper_corrected",
        library="this project",
        assumes="Listing 2",
        estimates="log odds ratio",
        intervals="credible",
    ),
    RegisteredMethod(
        name="all_modifiers",
        label="the all-modifiers Bayesian model",
        home="bayesian:fit_all_modifiers",
        library="this project",
        assumes="log odds ratio linear in the covariates; shrinkage learned from the data",
        estimates="log odds ratio",
        intervals="credible",
        stream="better",  # its name when the stored results were made
    ),
)

METHODS: Mapping[str, RegisteredMethod] = MappingProxyType({method.name: method for method in _LADDER})
"""The ladder, simplest first, the Bayesian models last."""
