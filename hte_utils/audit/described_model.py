"""The paper's model as its text describes it: equations (5) to (10), with subgroups and individual deviations.

The equations are (k = subgroup, i = patient, T = 1 if treated, X = covariates)::

    (5)  mu_i  = beta_0 + beta_1 T_i + sum_j beta_j X_ij
    (6)  tau_k ~ Normal(mu_tau, sigma_tau²)              deviations of the treatment effect, by subgroup
    (7)  eta_i ~ Normal(tau_k[i], sigma_eta²)            deviations of the treatment effect, by patient
    (8)  logit P_i = beta_0 + beta_1 T_i + sum_j beta_j X_ij + tau_k[i] + eta_i
    (10) beta_j ~ Normal(0, 1)

They leave things open, and each is decided here by name:

- *Whom tau and eta concern.* Equation (8) adds them to the log odds of every patient, treated or not, while the text
  calls them effects of the treatment: see `Reading`.
- *Which subgroups.* The text has "e.g. age >= 60 or anticoagulant use". Each patient has one k[i], so the subgroups may
  not overlap: `paper_subgroups` crosses the two.
- *Priors of mu_tau, sigma_tau, sigma_eta.* There are none in the paper: see `DescribedPriors`.
- *Which covariates.* Those of Listing 2, coded as there.

Effects are log odds ratios of bleeding: positive is harm. Listing 2, the model that was run, is
`hte_utils.model.listing_2`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hte_utils.model.checks import FloatArray, complete_column

if TYPE_CHECKING:
    import pymc as pm

    from hte_utils.model.spec import TrialDesign

OLDER_FROM: Final = 60.0
"""Years: "e.g. age >= 60", Section 2.2 of the paper."""


class Reading(StrEnum):
    """What equation (8) is taken to mean."""

    LITERAL = "literal"
    """``+ tau_k[i] + eta_i`` for every patient, as printed. As eta_i has mean tau_k[i], the subgroup counts twice. It
    moves both arms alike: the treatment effect is beta_1 for everybody."""
    CHARITABLE = "charitable"
    """``+ T_i eta_i``: the deviations concern the treated, as the text says, and tau_k[i] counts once, as the mean of
    eta_i. The treatment effect of patient i is beta_1 + eta_i, and beta_1 + tau_k[i] on average over a subgroup."""


@dataclass(frozen=True, slots=True)
class DescribedPriors:
    """Priors of the described model; the last three are not in the paper.

    `fixed_sd` and `mean_sd` are the SDs of the normal priors (mean 0) of every beta, equation (10), and of mu_tau,
    which acts only through its sum with beta_1 (or beta_0); the others are the scales of the half-normal priors of
    sigma_tau and sigma_eta.
    """

    fixed_sd: float = 1.0
    mean_sd: float = 1.0
    subgroup_scale: float = 1.0
    individual_scale: float = 1.0


def paper_subgroups(trial: pd.DataFrame) -> pd.Categorical[str]:
    """Cross "age >= 60" with "anticoagulant use": each patient's subgroup, one of four, shape (patients,).

    Raises ``ValueError`` if an age or the use of anticoagulants is missing, or a subgroup has no patients.
    """
    older = complete_column(trial, "age").to_numpy() >= OLDER_FROM
    anticoagulated = complete_column(trial, "anticoagulant").to_numpy() == "Yes"
    ages = (f"under {OLDER_FROM:g}", f"{OLDER_FROM:g} or older")
    labels = pd.Index([f"{age}, {drug}" for age in ages for drug in ("no anticoagulant", "anticoagulant")])
    subgroups = pd.Categorical.from_codes(2 * older.astype(np.int8) + anticoagulated, labels)
    empty = labels.difference(pd.Index(subgroups.unique()))
    if not empty.empty:
        raise ValueError(f"each subgroup needs patients, but {list(empty)} has none: take a larger trial")
    return subgroups


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A reading of equation (8) as a linear predictor: ``sums[k[i]]`` + ``fixed`` . row + ``deviates`` * epsilon_i.

    The deviations epsilon_i = eta_i - tau_k[i] are Normal(0, sigma_eta²). The data see the *sums* of the shared effect
    and the subgroups' parts alone, ``sums[k] = shared + tau_weight * sigma_tau * z_k`` with z_k ~ Normal(0, 1): for the
    charitable reading beta_1 + tau_k, for the literal one beta_0 + 2 tau_k.
    """

    rows: FloatArray
    """Shape (patients, subgroups + fixed): what multiplies the sums and the fixed effects."""
    deviates: np.ndarray
    """Boolean, shape (patients,): whose log odds hold an epsilon_i."""
    shared_sd: float
    """Prior SD of the shared part."""
    tau_weight: float
    """How often tau_k counts."""
    n_subgroups: int
    fixed_labels: tuple[str, ...]
    """Names of the fixed effects, in the order of their columns."""


def layout_of(design: TrialDesign, subgroups: pd.Categorical[str], reading: Reading, priors: DescribedPriors) -> Layout:
    """Lay out a trial for one reading of equation (8); ``ValueError`` if there is no such reading."""
    member = np.eye(len(subgroups.categories))[subgroups.codes]
    treated, one = design.treatment[:, None], np.ones((design.n_patients, 1))
    if Reading(reading) is Reading.CHARITABLE:
        rows = np.hstack([member * treated, one, design.prognostic])
        deviates, tau_weight, first = design.treatment == 1.0, 1.0, "intercept"
    else:
        rows = np.hstack([member, treated, design.prognostic])
        deviates, tau_weight, first = np.ones(design.n_patients, dtype=bool), 2.0, "treatment"
    shared_sd = math.hypot(priors.fixed_sd, tau_weight * priors.mean_sd)
    return Layout(rows, deviates, shared_sd, tau_weight, member.shape[1], (first, *design.prognostic_labels))


def described_model(
    design: TrialDesign, subgroups: pd.Categorical[str], reading: Reading, priors: DescribedPriors | None = None
) -> pm.Model:
    """Write equations (5) to (10) down in PyMC, every individual deviation a parameter of its own.

    This is the model for readers, and for the test that holds the posterior of `hte_utils.audit.described_fit`, which
    has the
    deviations integrated out, against NUTS. It has more parameters than patients.
    """
    import pymc as pm

    priors, charitable = priors or DescribedPriors(), Reading(reading) is Reading.CHARITABLE
    labels = {"subgroup": list(subgroups.categories), "prognostic": design.prognostic_labels}
    with pm.Model(coords={**labels, "patient": np.arange(design.n_patients)}) as model:
        beta_0 = pm.Normal("beta_0", 0.0, priors.fixed_sd)
        beta_1 = pm.Normal("beta_1", 0.0, priors.fixed_sd)
        beta = pm.Normal("beta", 0.0, priors.fixed_sd, dims="prognostic")
        mu_tau = pm.Normal("mu_tau", 0.0, priors.mean_sd)
        sigma_tau = pm.HalfNormal("sigma_tau", priors.subgroup_scale)
        sigma_eta = pm.HalfNormal("sigma_eta", priors.individual_scale)
        # Equations (6) and (7), as mean plus SD times a standard normal: the same law, and NUTS can move in it.
        tau = pm.Deterministic("tau", mu_tau + sigma_tau * pm.Normal("z", dims="subgroup"), dims="subgroup")
        eta = tau[subgroups.codes] + sigma_eta * pm.Normal("epsilon", dims="patient")
        population = beta_0 + beta_1 * design.treatment + design.prognostic @ beta  # equation (5)
        deviation = design.treatment * eta if charitable else tau[subgroups.codes] + eta
        pm.Bernoulli("y", logit_p=population + deviation, observed=design.outcome)  # equations (8) and (9)
    return model
