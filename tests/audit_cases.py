"""The paper's case and its proofs, computed once a test process; and cases in which something is otherwise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from paper_fits import paper_design, paper_posterior

from hte_utils.audit import (
    experiments as confounding,
)
from hte_utils.audit import (
    experiments as data_variants,
)
from hte_utils.audit import (
    experiments as decisions,
)
from hte_utils.audit import (
    experiments as table_2_laws,
)
from hte_utils.audit import (
    listings,
)
from hte_utils.audit.case import Case, Proofs, assemble
from hte_utils.model.analysis import BOOK_SETTINGS
from hte_utils.trial import simulate_trial, simulate_truth


@cache
def paper_case() -> Case:
    return assemble(simulate_trial(), simulate_truth(), paper_design(), paper_posterior(BOOK_SETTINGS))


@cache
def reversed_case() -> Case:
    """The same trial, had every true effect the opposite sign: the sentence on benefit would then be right."""
    truth = simulate_truth()
    other = replace(truth, treatment_effect=-truth.treatment_effect)
    return assemble(simulate_trial(), other, paper_design(), paper_posterior(BOOK_SETTINGS))


@cache
def paper_proofs() -> Proofs:
    case, rng = paper_case(), np.random.default_rng(1)
    ways = (confounding.randomised, confounding.by_risk, confounding.by_hidden_factor)
    random, chosen, hidden = (way(case.trial, case.truth, 6, rng) for way in ways)
    return Proofs(
        variants=data_variants.tables_by_variant(),
        laws=table_2_laws.against_the_trial(case.truth.covariates),
        code=listings.listing_1_code(),
        r_trial=listings.listing_1_trial(),
        jags=listings.listing_2_model(),
        jags_posterior=listings.listing_2_posterior(),
        bleeds=decisions.bleeds_by_rule(case),
        randomised=random,
        by_risk=chosen,
        by_hidden_factor=hidden,
    )
