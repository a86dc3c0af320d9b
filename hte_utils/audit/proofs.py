"""The computations that several statements rest on, gathered once by the chapter that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from hte_utils.audit.confounding import Allocation
    from hte_utils.audit.listings import JagsModel


@dataclass(frozen=True, slots=True, eq=False)
class Proofs:
    """Results by the function that computed them.

    Attributes
    ----------
    variants
        `data_variants.tables_by_variant`.
    laws
        `table_2_laws.against_the_trial`.
    code, r_trial
        `listings.listing_1_code` and `listings.listing_1_trial`: Listing 1's R code, and the trial that R made with it.
    jags, jags_posterior
        `listings.listing_2_model` and `listings.listing_2_posterior`: Listing 2, and JAGS's posterior of it.
    bleeds
        `decisions.bleeds_by_rule`.
    randomised, by_risk, by_hidden_factor
        The functions of `confounding`.
    """

    variants: pd.DataFrame
    laws: pd.DataFrame
    code: Mapping[str, tuple[str, ...]]
    r_trial: pd.DataFrame
    jags: JagsModel
    jags_posterior: pd.DataFrame
    bleeds: pd.DataFrame
    randomised: Allocation
    by_risk: Allocation
    by_hidden_factor: Allocation
