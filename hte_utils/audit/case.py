"""Everything that the statements are about: the trial, its truth, and the two readings of the paper's posterior.

The event is bleeding: a log odds ratio or risk difference above 0 is harm.

Facts on which several statements rest, so that each of them has one verdict wherever the paper says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import expit, logit

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import PointMetrics, point_metrics
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.effects.truth import true_effects_by_stratum
from hte_utils.ledger.report import Finding
from hte_utils.paper import printed, printed_number
from hte_utils.reproduction.table_4 import at_table_4_margins, cate_of_table_4
from hte_utils.trial import TrialVariant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from hte_utils.audit.experiments import Allocation
    from hte_utils.audit.listings import JagsModel
    from hte_utils.model.spec import TrialDesign
    from hte_utils.trial import TrialTruth


TABLE_1, TABLE_3, TABLE_4 = "Table 1 (of 90)", "Table 3 (of 60)", "means of Table 4 (of 12)"
"""Columns of the table of variants: how many printed numbers come out."""
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


FLOAT_NOISE: Final = 1e-9
"""Two ways of computing the same number may differ by this much."""
QUINTILES: Final = tuple(f"Q{number}" for number in range(1, 6))
STRONG: Final = 0.7
"""From here on a correlation is called strong (Schober, Boer and Schwarte 2018, Anesth Analg 126:1763)."""

HAS_BLED: Final = {
    "hypertension (systolic pressure above 160)": "sbp",
    "abnormal renal function": None,
    "abnormal liver function": None,
    "stroke": None,
    "bleeding history or predisposition": "prior_bleeding",
    "labile INR": None,
    "elderly (above 65)": "age",
    "drugs (antiplatelets, NSAIDs)": None,
    "alcohol": None,
}
"""Items of the score that guidelines name for major bleeding under anticoagulants (Pisters et al. 2010, *Chest*
138:1093), a list made by others of what is "known clinically"; and the trial's column that speaks of each."""

AS_IMPLIED: Final = "the effects of the paper's model give it"


def printed_metric(case: Case, name: str, printed: str) -> Finding:
    """Judge a number of Table 7 that the text repeats with fewer decimals."""
    decimals = len(printed.partition(".")[2])
    without, own = (getattr(case.metrics_of_table_4(gender_effects=included), name) for included in (False, True))
    return Finding(
        {AS_IMPLIED: f"{own:.{decimals}f}" == printed},
        f"From the means of Table 4, compared with the true effects: {own:.3f}. With the gender effects left out, as "
        f"in Table 7, {without:.3f}.",
    )


def printed_mean(case: Case, quintile: str) -> Finding:
    """Judge the mean effect of a risk quintile, which the text repeats from Table 8."""
    shown = printed_number(f"table8.{quintile}.mean_te")
    implied, computed = (rows(reading.log_odds)[quintile]["mean_te"] for reading in (case.as_implied, case.as_computed))
    return Finding(
        {AS_IMPLIED: abs(implied - shown) < 0.01},
        f"From Table 4's means and SDs: {implied:.3f}. With the gender effects left out of effects and risks, as in "
        f"Table 8, {computed:.3f}; printed {shown:.3f} (log odds ratio of bleeding).",
    )


def strong_correlation(case: Case) -> Finding:
    """Whether the model's effects are strongly correlated with the true ones."""
    own = case.metrics_of_table_4(gender_effects=True).correlation
    age_alone = float(np.corrcoef(case.trial["age"], case.truth.treatment_effect)[0, 1])
    return Finding(
        {f"that of the model's own effects is at least {STRONG}, by custom a strong one": own >= STRONG},
        f"Correlation with the true effects {own:.2f}; of age alone, without any model, {age_alone:.2f}.",
    )


def table_7_compares(case: Case) -> Finding:
    """Whether Table 7 compares with the true effects."""
    found = case.metrics_of_table_4(gender_effects=False)
    names = ("correlation", "rmse", "mae")
    exact = [name for name in names if f"{getattr(found, name):.3f}" == printed(f"table7.{name}")]
    return Finding(
        {"correlation, RMSE and MAE of Table 7 come from the true effects of Listing 1": len(exact) == 3},
        f"{len(exact)} of the {len(names)} come out to the last digit from Table 4's means and Listing 1's effects.",
    )


def effects_are_the_model_s(case: Case) -> Finding:
    """Whether the effects that Table 7 evaluates are those of the model for the patients."""
    own = case.metrics_of_table_4(gender_effects=True).correlation
    return Finding(
        {"they are the effects that the model has for these patients": f"{own:.3f}" == printed("table7.correlation")},
        f"The model's own effects have the correlation {own:.3f} with the true ones; Table 7 prints "
        f"{printed('table7.correlation')}, which needs the gender effects left out.",
    )


def outcome_is_drawn(proofs: Proofs) -> Finding:
    """Whether the outcome is 0 or 1, drawn with a probability of baseline risk and effect."""
    trial, code = proofs.r_trial, proofs.code
    probability = expit(logit(trial["baseline_risk"]) + trial["treatment"] * trial["true_te"])
    gap = float(np.abs(probability - trial["event_prob"]).max())
    return Finding(
        {
            "it is a draw of 0 or 1 whose log odds are the baseline's plus, when treated, the effect": (
                code["event"] == ("rbinom(n_subjects, 1, event_prob)",) and gap < FLOAT_NOISE
            )
        },
        f"The R code draws {code['event'][0]}; R's probabilities of the {len(trial)} events differ from that sum's by "
        f"{gap:.0e} at most.",
    )


def truncated(proofs: Proofs, *names: str) -> bool:
    """Whether Table 2's limits cut values off; a law truncated there puts nobody exactly on them."""
    return not any(rows(proofs.laws)[name]["at_limit"] for name in names)


def only_simulated(proofs: Proofs) -> Finding:
    """Whether the output of Listing 1 is all the data there are."""
    numbers = numbers_of_table(proofs, TABLE_1)
    return Finding(
        {"Listing 1 alone gives Table 1": numbers == 90},
        f"{numbers} of its 90 numbers, to the last digit, with seed 123.",
    )


def numbers_of_table(proofs: Proofs, table: str) -> int:
    """How many printed numbers of `TABLE_1` or `TABLE_3` Listing 1 gives as it is printed."""
    return int(rows(proofs.variants)[TrialVariant.AS_PRINTED][table])


def figure_without_numbers(chapter: str) -> Finding:
    """A caption of which only the figure could tell whether it is right."""
    return Finding.not_checkable(
        f"the figure shows no numbers with which another could be compared; it is rebuilt in the chapter {chapter}"
    )


def table_8(column: str) -> np.ndarray:
    """Return a column of the paper's Table 8 as printed numbers, Q1 to Q5."""
    return np.array([printed_number(f"table8.{quintile}.{column}") for quintile in QUINTILES])


def rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a table's cells as plain values, by row and column."""
    return {str(label): {str(k): v for k, v in cells.items()} for label, cells in table.to_dict("index").items()}


def uncovered_items() -> tuple[str, ...]:
    """Names of the items of HAS-BLED on which the trial has no covariate."""
    return tuple(name for name, column in HAS_BLED.items() if column is None)
