"""Facts on which several statements rest, so that each of them has one verdict wherever the paper says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import expit, logit

from hte_utils.audit.data_variants import TABLE_1
from hte_utils.ledger.report import Finding
from hte_utils.paper import printed, printed_number
from hte_utils.trial import TrialVariant

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.audit.case import Case, Proofs

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
