"""The models that the book compares on the same trial, each with the reasons for its choices as data.

The reasons use what the designer of a trial knows before it begins: about how often the event occurs, which covariates
are measured, how large effects on bleeding usually are. They use neither the outcomes of the trial nor the truth that
it was simulated from. Effects are log odds ratios of the event, in the paper's trial major bleeding: positive is harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logit

from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import PAPER_SPEC, Covariate, TrialDesign, TrialSpec

DESIGN_EVENT_RATE: Final = 0.05
"""Share of patients with a major bleed that the designer of such a trial would plan with."""


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """A model that can be fitted to a trial.

    `name` is for file names and ledger entries, `label` for tables and figures; `reasons` are triples: what was
    decided, what was chosen, and why. With `constant_effect` all patients have one log odds ratio: neither modifiers
    nor group change the effect, and the group is a prognostic covariate.
    """

    name: str
    label: str
    spec: TrialSpec
    priors: Priors
    reasons: tuple[tuple[str, str, str], ...] = ()
    constant_effect: bool = False

    def design(self, trial: pd.DataFrame) -> TrialDesign:
        """Return the numbers that this model sees of a trial; errors as for `TrialSpec.design`."""
        if not self.constant_effect:
            return self.spec.design(trial)
        copied = Covariate(f"{self.spec.group} (main effect)", f"{self.spec.group}_main")
        spec = replace(self.spec, prognostic=(*self.spec.prognostic, copied))
        design = spec.design(trial.assign(**{copied.column: trial[self.spec.group]}))
        # Nothing multiplies the interactions, and everybody is in the first group: what is left over keeps its prior.
        pooled = np.zeros_like(design.modifiers), np.zeros_like(design.group)
        return TrialDesign(design.prognostic, *pooled, design.coding, design.outcome, design.treatment)

    def reasons_table(self) -> pd.DataFrame:
        """Lay out the reasons: index `choice`, columns `value` and `why`."""
        return pd.DataFrame(self.reasons, columns=["choice", "value", "why"]).set_index("choice")


PAPER_MODEL: Final = CandidateModel(
    name="paper",
    label="the paper's model (Listing 2)",
    spec=PAPER_SPEC,
    priors=Priors(),
    reasons=(
        ("covariates", "age, anticoagulant, BMI, diabetes, prior bleeding", "Listing 2; the paper gives none."),
        ("modifiers", "age, anticoagulant, diabetes", "Listing 2; the paper gives none."),
        ("priors", "Normal(0, 1); precisions Gamma(2, 2)", "Equations (10) and (11); the paper gives none."),
    ),
)

_COVARIATES: Final = (
    *PAPER_SPEC.prognostic,
    Covariate("sbp", "sbp", standardise=True),
    Covariate("smoking", "smoking"),
)

ALL_MODIFIERS_SPEC: Final = replace(
    PAPER_SPEC, prognostic=_COVARIATES, modifiers=tuple(covariate.label for covariate in _COVARIATES)
)
"""Every baseline measurement once, and each also as an effect modifier. Diastolic pressure and hypertension are left
out: both say again what systolic pressure says."""

ALL_MODIFIERS_PRIORS: Final = Priors(
    fixed_sd=1.0,
    precision_shape=2.0,
    precision_rate=0.25,
    intercept_mean=float(logit(DESIGN_EVENT_RATE)),
    intercept_sd=1.0,
    interaction_scale=0.5,
)

_ALL_MODIFIERS_REASONS: Final = (
    (
        "intercept",
        "Normal(logit 0.05, 1)",
        "A trial that counts major bleeds is planned with an event rate of about 5 %. The intercept is the risk of an "
        "untreated patient of average age, BMI and pressure without any of the yes/no risk factors, so it should lie "
        "somewhat below the rate of the whole trial; an SD of 1 (two SD: 0.7 % to 28 %) leaves ample room for that.",
    ),
    (
        "main effects",
        "Normal(0, 1) per SD, or for yes against no",
        "As in Listing 2: odds ratios from 1/7 to 7 in two SD. Risk factors of bleeding rarely have larger ones.",
    ),
    (
        "covariates",
        "age, anticoagulant, BMI, diabetes, prior bleeding, systolic pressure, smoking",
        "Everything measured at baseline, once. Diastolic pressure and hypertension repeat systolic pressure.",
    ),
    (
        "modifiers",
        "all covariates, and gender",
        "Nobody knew beforehand which covariates change the effect. To leave one out is to say that its interaction is "
        "exactly zero; to put it in and shrink it says that it is probably small.",
    ),
    (
        "interactions",
        "Normal(0, ω²), ω ~ HalfNormal(0.5)",
        "Interactions are usually smaller than main effects, and many are near zero. Their common size ω is learned "
        "from the trial; its prior has the median 0.34 and leaves room for ω near 1.",
    ),
    (
        "gender",
        "precisions Gamma(2, 0.25)",
        "The prior median of the deviations' SD is 0.39 instead of the paper's 1.1: men and women may differ like any "
        "other two groups of patients, and not by a factor of four in the odds.",
    ),
    ("treatment", "Normal(0, 1)", "As in Listing 2: benefit and harm are equally likely beforehand."),
)

ALL_MODIFIERS_MODEL: Final = CandidateModel(
    name="all_modifiers",
    label="the all-modifiers model",
    spec=ALL_MODIFIERS_SPEC,
    priors=ALL_MODIFIERS_PRIORS,
    reasons=_ALL_MODIFIERS_REASONS,
)

# From the constant odds ratio to the all-modifiers model: each differs from another by one choice, so that comparing
# two of them judges that choice.
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
