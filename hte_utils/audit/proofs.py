"""The computations that several statements rest on, gathered once by the chapter that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.audit.confounding import Allocation
    from hte_utils.baseline import Propensity


@dataclass(frozen=True, slots=True, eq=False)
class Proofs:
    """Results by the function that computed them.

    Attributes
    ----------
    variants
        `data_variants.tables_by_variant`.
    laws
        `table_2_laws.against_the_trial`.
    variables
        `listing_2.variables`.
    bleeds
        `decisions.bleeds_by_rule`.
    randomised, by_risk, by_hidden_factor
        The functions of `confounding`.
    propensity
        `hte_utils.baseline.propensity` of the trial.
    sampler
        `hte_utils.paper_sampler.compare_settings`.
    """

    variants: pd.DataFrame
    laws: pd.DataFrame
    variables: pd.DataFrame
    bleeds: pd.DataFrame
    randomised: Allocation
    by_risk: Allocation
    by_hidden_factor: Allocation
    propensity: Propensity
    sampler: pd.DataFrame
