"""The models between the constant odds ratio and the all-modifiers model, to see which choice does what.

Each differs from another by one choice, so that comparing two of them judges that choice. All are of the family of
`hte_utils.candidate_models`, and fit, effects and risk groups work unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hte_utils.candidate_models import (
    ALL_MODIFIERS_MODEL,
    ALL_MODIFIERS_PRIORS,
    ALL_MODIFIERS_SPEC,
    PAPER_MODEL,
    CandidateModel,
)
from hte_utils.spec import PAPER_SPEC, Covariate

CONSTANT_MODEL: Final = CandidateModel(
    name="constant",
    label="constant odds ratio",
    spec=PAPER_SPEC,
    priors=replace(ALL_MODIFIERS_PRIORS, interaction_scale=None, precision_shape=50.0, precision_rate=0.05),
    constant_effect=True,
)
"""The paper's covariates and gender as risk factors, and one treatment effect for everybody. Without groups there are
no deviations: a precision near 1000 makes them vanish. Its intercept has the all-modifiers model's prior."""

SBP_MODEL: Final = CandidateModel(
    name="paper_sbp",
    label="the paper's model + systolic pressure",
    spec=replace(PAPER_SPEC, prognostic=(*PAPER_SPEC.prognostic, Covariate("sbp", "sbp", standardise=True))),
    priors=PAPER_MODEL.priors,
)
"""The paper's model with the one risk factor that equation (1) has and Listing 2 lacks."""

FEW_MODIFIERS_MODEL: Final = CandidateModel(
    name="few_modifiers",
    label="better intercept and gender priors, the paper's modifiers",
    spec=replace(ALL_MODIFIERS_SPEC, modifiers=PAPER_SPEC.modifiers),
    priors=replace(ALL_MODIFIERS_PRIORS, interaction_scale=None),
)
"""The all-modifiers model's main effects and priors of intercept and gender, the paper's three modifiers, unshrunk."""

UNSHRUNK_MODEL: Final = CandidateModel(
    name="unshrunk",
    label="the all-modifiers model without shrinkage",
    spec=ALL_MODIFIERS_SPEC,
    priors=replace(ALL_MODIFIERS_PRIORS, interaction_scale=None),
)
"""All modifiers, each with a Normal(0, 1) prior."""

CANDIDATES: Final = (CONSTANT_MODEL, PAPER_MODEL, SBP_MODEL, FEW_MODIFIERS_MODEL, UNSHRUNK_MODEL, ALL_MODIFIERS_MODEL)
"""All models that the book compares, in this order."""
