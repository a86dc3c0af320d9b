"""The models that the book compares on the same trial, each with the reasons for its choices as data.

`PAPER_MODEL` is Listing 2. `ALL_MODIFIERS_MODEL` belongs to the same family (a logistic model with hierarchical group
effects) and differs in its covariates and its priors. Its reasons use what the designer of a trial knows before it
begins: about how often the event occurs, which covariates are measured, how large effects on bleeding usually are. They
use neither the outcomes of the trial nor the truth that it was simulated from.

Effects are log odds ratios of the event; in the paper's trial the event is major bleeding, so positive is harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logit

from hte_utils.priors import Priors
from hte_utils.spec import PAPER_SPEC, Covariate, TrialSpec
from hte_utils.trial_design import TrialDesign

DESIGN_EVENT_RATE: Final = 0.05
"""Share of patients with a major bleed that the designer of such a trial would plan with."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a model is as it is, in one respect.

    Attributes
    ----------
    choice
        What was decided, e.g. "intercept".
    value
        What was chosen, in a formula or a few words.
    why
        The reason, in a sentence or two.
    """

    choice: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """A model that can be fitted to a trial.

    Attributes
    ----------
    name
        Short identifier, for file names and ledger entries.
    label
        Name for tables and figures.
    spec
        Which columns play which part.
    priors
        The priors.
    reasons
        Why so; one entry a choice.
    constant_effect
        Whether all patients have one log odds ratio: neither the modifiers nor the group change the effect. The group
        then enters as a prognostic covariate.
    """

    name: str
    label: str
    spec: TrialSpec
    priors: Priors
    reasons: tuple[Reason, ...] = ()
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
        index = pd.Index([reason.choice for reason in self.reasons], name="choice")
        return pd.DataFrame({"value": [r.value for r in self.reasons], "why": [r.why for r in self.reasons]}, index)


PAPER_MODEL: Final = CandidateModel(
    name="paper",
    label="the paper's model (Listing 2)",
    spec=PAPER_SPEC,
    priors=Priors(),
    reasons=(
        Reason("covariates", "age, anticoagulant, BMI, diabetes, prior bleeding", "Listing 2; the paper gives none."),
        Reason("modifiers", "age, anticoagulant, diabetes", "Listing 2; the paper gives none."),
        Reason("priors", "Normal(0, 1); precisions Gamma(2, 2)", "Equations (10) and (11); the paper gives none."),
    ),
)

_COVARIATES: Final = (
    Covariate("age", "age", standardise=True),
    Covariate("anticoagulant", "anticoag"),
    Covariate("bmi", "bmi", standardise=True),
    Covariate("diabetes", "diabetes"),
    Covariate("prior_bleeding", "prior"),
    Covariate("sbp", "sbp", standardise=True),
    Covariate("smoking", "smoking"),
)

ALL_MODIFIERS_SPEC: Final = TrialSpec(
    outcome=PAPER_SPEC.outcome,
    treatment=PAPER_SPEC.treatment,
    group=PAPER_SPEC.group,
    prognostic=_COVARIATES,
    modifiers=tuple(covariate.label for covariate in _COVARIATES),
    subject_id=PAPER_SPEC.subject_id,
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
    Reason(
        "intercept",
        "Normal(logit 0.05, 1)",
        "A trial that counts major bleeds is planned with an event rate of about 5 %. The intercept is the risk of an "
        "untreated patient of average age, BMI and pressure without any of the yes/no risk factors, so it should lie "
        "somewhat below the rate of the whole trial; an SD of 1 (two SD: 0.7 % to 28 %) leaves ample room for that.",
    ),
    Reason(
        "main effects",
        "Normal(0, 1) per SD, or for yes against no",
        "As in Listing 2: odds ratios from 1/7 to 7 in two SD. Risk factors of bleeding rarely have larger ones.",
    ),
    Reason(
        "covariates",
        "age, anticoagulant, BMI, diabetes, prior bleeding, systolic pressure, smoking",
        "Everything measured at baseline, once. Diastolic pressure and hypertension repeat systolic pressure.",
    ),
    Reason(
        "modifiers",
        "all covariates, and gender",
        "Nobody knew beforehand which covariates change the effect. To leave one out is to say that its interaction is "
        "exactly zero; to put it in and shrink it says that it is probably small.",
    ),
    Reason(
        "interactions",
        "Normal(0, ω²), ω ~ HalfNormal(0.5)",
        "Interactions are usually smaller than main effects, and many are near zero. Their common size ω is learned "
        "from the trial; its prior has the median 0.34 and leaves room for ω near 1.",
    ),
    Reason(
        "gender",
        "precisions Gamma(2, 0.25)",
        "The prior median of the deviations' SD is 0.39 instead of the paper's 1.1: men and women may differ like any "
        "other two groups of patients, and not by a factor of four in the odds.",
    ),
    Reason(
        "treatment",
        "Normal(0, 1)",
        "As in Listing 2: benefit and harm are equally likely beforehand.",
    ),
)

ALL_MODIFIERS_MODEL: Final = CandidateModel(
    name="all_modifiers",
    label="the all-modifiers model",
    spec=ALL_MODIFIERS_SPEC,
    priors=ALL_MODIFIERS_PRIORS,
    reasons=_ALL_MODIFIERS_REASONS,
)
