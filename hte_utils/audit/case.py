"""Everything that the statements are about, and the facts on which several of them rest.

The event is bleeding: a log odds ratio or risk difference above 0 is harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.audit import experiments, listings
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import PointMetrics, point_metrics
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.effects.truth import true_effects_by_stratum
from hte_utils.ledger.report import Finding
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.spec import TrialDesign
from hte_utils.model.store import Analysis
from hte_utils.paper import printed, printed_number
from hte_utils.reproduction.table_4 import at_table_4_margins, cate_of_table_4
from hte_utils.trial import TrialTruth, TrialVariant

if TYPE_CHECKING:
    import xarray as xr

FLOAT_NOISE: Final = 1e-9  # by so much two ways of computing the same number may differ
QUINTILES: Final = tuple(f"Q{number}" for number in range(1, 6))
_THINNING: Final = 10  # of the book's 20 000 draws: no verdict hangs on the Monte Carlo error that is left
_REPLICATES: Final = 20  # of the Monte Carlo errors, which are not used here
_AS_IMPLIED: Final = "the effects of the paper's model give it"
_STRONG: Final = 0.7  # from here on a correlation is called strong (Schober et al. 2018, Anesth Analg 126:1763)

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
UNCOVERED_ITEMS: Final = tuple(item for item, column in HAS_BLED.items() if column is None)


@dataclass(frozen=True, slots=True, eq=False)
class Computation:
    """Effects and risks of the trial's patients, by one way of computing them from the posterior of Listing 2."""

    cate: FloatArray  # posterior mean of each patient's effect, log odds ratio
    risk_difference: FloatArray  # the same as difference of probabilities
    risk: FloatArray  # posterior mean probability of bleeding without treatment
    group: IntArray  # risk quintile, 1 = lowest
    log_odds: pd.DataFrame  # Table 8 by `strata.stratify_by_risk`, effects as log odds ratios
    points: pd.DataFrame  # the same, effects as risk differences
    true: pd.DataFrame  # of the patients of each quintile, by `truth.true_effects_by_stratum`

    def true_points(self, *quintiles: str) -> str:
        """True risk differences of groups, in percentage points."""
        return ", ".join(f"{100 * rows(self.true)[quintile]['risk_difference']:+.1f}" for quintile in quintiles)

    def truly_harmed(self, *quintiles: str) -> str:
        """Shares of groups whose risk treatment truly raises."""
        return " and ".join(f"{rows(self.true)[quintile]['share_harmed']:.0%}" for quintile in quintiles)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The paper's analysis with the truth beside it, and the computations that several statements rest on.

    The posterior (a tenth of the book's draws) is moved to the means and SDs that Table 4 prints. So what is computed
    from it is the paper's up to the rounding of its Table 4, without the Monte Carlo error of its run. The methods that
    return a `Finding` judge facts that the paper states more than once, so that each has one verdict.
    """

    trial: pd.DataFrame
    truth: TrialTruth  # what Listing 1 knows of the patients
    design: TrialDesign  # what Listing 2 sees of them
    posterior: xr.DataTree
    as_computed: Computation  # the gender effects left out: how the paper made Tables 7 and 8
    as_implied: Computation  # the gender effects in: what the paper's model says
    variants: pd.DataFrame  # experiments.tables_by_variant
    laws: pd.DataFrame  # experiments.laws_of_table_2
    confounding: pd.DataFrame  # experiments.confounding_by_allocation
    bleeds: pd.DataFrame  # experiments.bleeds_by_rule
    code: Mapping[str, tuple[str, ...]]  # listings.listing_1_code
    r_trial: pd.DataFrame  # listings.listing_1_trial: what R made with it
    jags: listings.JagsModel  # listings.listing_2_model
    jags_posterior: pd.DataFrame  # listings.listing_2_posterior

    def metrics_of_table_4(self, *, gender_effects: bool) -> PointMetrics:
        """Compare true effects with those computed from the means that Table 4 prints; no draw is involved."""
        predicted = cate_of_table_4(self.design, gender_effects=gender_effects)
        return point_metrics(predicted, self.truth.treatment_effect)

    def saves_bleeds(self, rule: str) -> bool:
        """Whether a rule of treatment has fewer expected bleeds than treating nobody and treating everybody."""
        bleeds = self.bleeds["bleeds"]
        return bool(bleeds[rule] < bleeds[[experiments.TREAT_NOBODY, experiments.TREAT_ALL]].min())

    def truncated(self, *names: str) -> bool:
        """Whether Table 2's limits cut values off; a law truncated there puts nobody exactly on them."""
        return not any(rows(self.laws)[name]["at_limit"] for name in names)

    def numbers_of_table(self, table: str) -> int:
        """How many printed numbers of `TABLE_1` or `TABLE_3` Listing 1 gives as it is printed."""
        return int(rows(self.variants)[TrialVariant.AS_PRINTED][table])

    def only_simulated(self) -> Finding:
        """Whether the output of Listing 1 is all the data there are."""
        numbers = self.numbers_of_table(experiments.TABLE_1)
        return Finding(
            {"Listing 1 alone gives Table 1": numbers == 90},
            f"{numbers} of its 90 numbers, to the last digit, with seed 123.",
        )

    def outcome_is_drawn(self) -> Finding:
        """Whether the outcome is 0 or 1, drawn with a probability of baseline risk and effect."""
        trial, drawn = self.r_trial, self.code["event"]
        probability = expit(logit(trial["baseline_risk"]) + trial["treatment"] * trial["true_te"])
        gap = float(np.abs(probability - trial["event_prob"]).max())
        as_a_coin = drawn == ("rbinom(n_subjects, 1, event_prob)",) and gap < FLOAT_NOISE
        return Finding(
            {"it is a draw of 0 or 1 whose log odds are the baseline's plus, when treated, the effect": as_a_coin},
            f"The R code draws {drawn[0]}; R's probabilities of the {len(trial)} events differ from that sum's by "
            f"{gap:.0e} at most.",
        )

    def printed_metric(self, name: str, printed: str) -> Finding:
        """Judge a number of Table 7 that the text repeats with fewer decimals."""
        decimals = len(printed.partition(".")[2])
        without, own = (getattr(self.metrics_of_table_4(gender_effects=included), name) for included in (False, True))
        return Finding(
            {_AS_IMPLIED: f"{own:.{decimals}f}" == printed},
            f"From the means of Table 4, compared with the true effects: {own:.3f}. With the gender effects left out, "
            f"as in Table 7, {without:.3f}.",
        )

    def printed_mean(self, quintile: str) -> Finding:
        """Judge the mean effect of a risk quintile, which the text repeats from Table 8."""
        shown = printed_number(f"table8.{quintile}.mean_te")
        implied, computed = (
            rows(reading.log_odds)[quintile]["mean_te"] for reading in (self.as_implied, self.as_computed)
        )
        return Finding(
            {_AS_IMPLIED: abs(implied - shown) < 0.01},
            f"From Table 4's means and SDs: {implied:.3f}. With the gender effects left out of effects and risks, as "
            f"in Table 8, {computed:.3f}; printed {shown:.3f} (log odds ratio of bleeding).",
        )

    def strong_correlation(self) -> Finding:
        """Whether the model's effects are strongly correlated with the true ones."""
        own = self.metrics_of_table_4(gender_effects=True).correlation
        age_alone = float(np.corrcoef(self.trial["age"], self.truth.treatment_effect)[0, 1])
        return Finding(
            {f"that of the model's own effects is at least {_STRONG}, by custom a strong one": own >= _STRONG},
            f"Correlation with the true effects {own:.2f}; of age alone, without any model, {age_alone:.2f}.",
        )

    def table_7_compares(self) -> Finding:
        """Whether Table 7 compares with the true effects."""
        found = self.metrics_of_table_4(gender_effects=False)
        names = ("correlation", "rmse", "mae")
        exact = [name for name in names if f"{getattr(found, name):.3f}" == printed(f"table7.{name}")]
        return Finding(
            {"correlation, RMSE and MAE of Table 7 come from the true effects of Listing 1": len(exact) == 3},
            f"{len(exact)} of the {len(names)} come out to the last digit from Table 4's means and Listing 1's "
            "effects.",
        )

    def effects_are_the_model_s(self) -> Finding:
        """Whether the effects that Table 7 evaluates are those of the model for the patients."""
        own, shown = self.metrics_of_table_4(gender_effects=True).correlation, printed("table7.correlation")
        return Finding(
            {"they are the effects that the model has for these patients": f"{own:.3f}" == shown},
            f"The model's own effects have the correlation {own:.3f} with the true ones; Table 7 prints {shown}, which "
            "needs the gender effects left out.",
        )


def gather_case(paper: Analysis) -> Case:
    """Compute all that the statements rest on: both readings of the posterior, the experiments, and the listings."""
    draws = at_table_4_margins(paper.posterior.isel(draw=slice(None, None, _THINNING)), paper.design)
    computed, implied = (
        read_posterior(draws, paper.design, paper.truth, how) for how in (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED)
    )
    return Case(
        paper.trial,
        paper.truth,
        paper.design,
        draws,
        as_computed=computed,
        as_implied=implied,
        variants=experiments.tables_by_variant(),
        laws=experiments.laws_of_table_2(paper.truth.covariates),
        confounding=experiments.confounding_by_allocation(paper.trial, paper.truth),
        bleeds=experiments.bleeds_by_rule(paper.truth, computed.group, implied.risk_difference),
        code=listings.listing_1_code(),
        r_trial=listings.listing_1_trial(),
        jags=listings.listing_2_model(),
        jags_posterior=listings.listing_2_posterior(),
    )


def read_posterior(draws: xr.DataTree, design: TrialDesign, truth: TrialTruth, how: GroupEffects) -> Computation:
    """Compute effects and risks with the gender effects left out or in."""
    risk = baseline_risk_draws(draws, design, group_effects=how)
    cate, difference = (
        cate_draws(draws, design, scale=scale, group_effects=how)
        for scale in (EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE)
    )
    strata, points = (stratify_by_risk(risk, effect, n_replicates=_REPLICATES) for effect in (cate, difference))
    effects, differences, risks = (np.asarray(each.mean(["chain", "draw"])) for each in (cate, difference, risk))
    true = true_effects_by_stratum(truth, strata)
    return Computation(effects, differences, risks, strata.group, strata.table, points.table, true)


def table_8_by_reading(case: Case) -> pd.DataFrame:
    """Lay risk (a probability) and effect (log odds ratio) of Table 8 (index: quintile) beside both readings."""
    columns = {}
    for label, name in (("mean risk", "mean_risk"), ("mean effect", "mean_te")):
        columns[label, "printed"] = table_8(name)
        columns[label, "gender effects left out"] = case.as_computed.log_odds[name].to_numpy()
        columns[label, "gender effects in"] = case.as_implied.log_odds[name].to_numpy()
    return pd.DataFrame(columns, index=list(QUINTILES))


def truth_by_quintile(case: Case) -> pd.DataFrame:
    """Lay what the model says of the patients of each group of Table 8 (gender effects in) beside what is true.

    Risk differences in percentage points, positive = more bleeds; share of patients (%) whose risk treatment raises.
    """
    predicted = pd.Series(case.as_implied.risk_difference).groupby(case.as_computed.group).mean()
    true = 100 * case.as_computed.true[["risk_difference", "share_harmed"]].to_numpy()
    columns = np.column_stack([table_8("mean_te"), 100 * predicted, true])
    headings = ("Table 8 (log odds ratio)", "predicted difference", "true difference", "truly harmed (%)")
    return pd.DataFrame(columns, list(QUINTILES), headings)


def table_8(column: str) -> FloatArray:
    """Return a column of the paper's Table 8 as printed numbers, Q1 to Q5."""
    return np.array([printed_number(f"table8.{quintile}.{column}") for quintile in QUINTILES])


def rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a table's cells as plain values, by row and column."""
    return {str(label): {str(k): v for k, v in cells.items()} for label, cells in table.to_dict("index").items()}


def linear_form(values: FloatArray, terms: Mapping[str, Any]) -> tuple[dict[str, float], FloatArray]:
    """Fit a constant and these terms by least squares: coefficients (also of `constant`), and what remains."""
    matrix = np.column_stack([np.ones(values.size), *terms.values()])
    found = np.linalg.lstsq(matrix, values)[0]
    return dict(zip(("constant", *terms), found.tolist(), strict=True)), values - matrix @ found


def figure_without_numbers(chapter: str) -> Finding:
    """A caption of which only the figure could tell whether it is right."""
    return Finding.not_checkable(
        f"the figure shows no numbers with which another could be compared; it is rebuilt in the chapter {chapter}"
    )
