"""Everything that the statements are about: the trial, its truth, and the two readings of the paper's posterior.

The event is bleeding: a log odds ratio or risk difference above 0 is harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hte_utils.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.evaluation import PointMetrics, point_metrics
from hte_utils.paper_effects_compared import at_table_4_margins, cate_of_table_4
from hte_utils.strata import stratify_by_risk
from hte_utils.true_effects import true_effects_by_stratum

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from hte_utils.audit.confounding import Allocation
    from hte_utils.audit.listings import JagsModel
    from hte_utils.trial import TrialTruth
    from hte_utils.trial_design import TrialDesign

_THINNING: Final = 10  # of the book's 20 000 draws: no verdict hangs on the Monte Carlo error that is left
_REPLICATES: Final = 20  # of the Monte Carlo errors, which are not used here


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Effects and risks of the trial's patients, by one way of computing them from the posterior of Listing 2."""

    cate: NDArray[np.float64]  # posterior mean of each patient's effect, log odds ratio
    risk_difference: NDArray[np.float64]  # the same as difference of probabilities
    risk: NDArray[np.float64]  # posterior mean probability of bleeding without treatment
    group: NDArray[np.int64]  # risk quintile, 1 = lowest
    log_odds: pd.DataFrame  # Table 8 by `strata.stratify_by_risk`, effects as log odds ratios
    points: pd.DataFrame  # the same, effects as risk differences
    true: pd.DataFrame  # of the patients of each quintile, by `true_effects.true_effects_by_stratum`


@dataclass(frozen=True, slots=True, eq=False)
class Proofs:
    """The computations that several statements rest on, gathered once by the chapter that shows them."""

    variants: pd.DataFrame  # data_variants.tables_by_variant
    laws: pd.DataFrame  # table_2_laws.against_the_trial
    code: Mapping[str, tuple[str, ...]]  # listings.listing_1_code
    r_trial: pd.DataFrame  # listings.listing_1_trial: what R made with it
    jags: JagsModel  # listings.listing_2_model
    jags_posterior: pd.DataFrame  # listings.listing_2_posterior
    bleeds: pd.DataFrame  # decisions.bleeds_by_rule
    randomised: Allocation  # these three: the functions of `confounding`
    by_risk: Allocation
    by_hidden_factor: Allocation


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The paper's analysis, with the truth beside it.

    The posterior (a tenth of the book's draws) is moved to the means and SDs that Table 4 prints. So what is computed
    from it is the paper's up to the rounding of its Table 4, without the Monte Carlo error of its run.
    """

    trial: pd.DataFrame
    truth: TrialTruth  # what Listing 1 knows of the patients
    design: TrialDesign  # what Listing 2 sees of them
    posterior: xr.DataTree
    as_computed: Reading  # the gender effects left out: how the paper made Tables 7 and 8
    as_implied: Reading  # the gender effects in: what the paper's model says

    def metrics_of_table_4(self, *, gender_effects: bool) -> PointMetrics:
        """Compare true effects with those computed from the means that Table 4 prints; no draw is involved."""
        predicted = cate_of_table_4(self.design, gender_effects=gender_effects)
        return point_metrics(predicted, self.truth.treatment_effect)


def assemble(trial: pd.DataFrame, truth: TrialTruth, design: TrialDesign, posterior: xr.DataTree) -> Case:
    """Compute both readings of the posterior."""
    draws = at_table_4_margins(posterior.isel(draw=slice(None, None, _THINNING)), design)
    computed, implied = (_read(draws, design, truth, how) for how in (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED))
    return Case(trial, truth, design, draws, computed, implied)


def _read(draws: xr.DataTree, design: TrialDesign, truth: TrialTruth, how: GroupEffects) -> Reading:
    risk = baseline_risk_draws(draws, design, group_effects=how)
    cate = cate_draws(draws, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=how)
    difference = cate_draws(draws, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=how)
    strata = stratify_by_risk(risk, cate, n_replicates=_REPLICATES)
    return Reading(
        cate=_mean(cate),
        risk_difference=_mean(difference),
        risk=_mean(risk),
        group=strata.group,
        log_odds=strata.table,
        points=stratify_by_risk(risk, difference, n_replicates=_REPLICATES).table,
        true=true_effects_by_stratum(truth, strata),
    )


def _mean(draws: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(draws.mean(["chain", "draw"]))
