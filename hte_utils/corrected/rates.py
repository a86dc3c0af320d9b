"""How often the intervals of chapters 9 and 10 err: rejection under a null, coverage and power, by simulation.

Every interval and test that the book uses on estimated effects is applied, by the same functions, to trials in which
the truth is known:

- *constant odds ratio*: the covariates and the allocation of the paper's own trial, outcomes from a logistic regression
  without interactions that was fitted to it. Effects on the log odds do not differ between patients; on the risk
  difference they do, since baseline risks differ;
- *constant risk difference*: the same baseline risks, and the same number of points added to each by treatment. Effects
  on the log odds differ now;
- *the paper's design*: new trials of Listing 1. Here, too, predictions of the paper's trial show why the integrated
  calibration index has no interval.

``python -m hte_utils.corrected.rates --store DIR --trials 300 --to FILE`` runs what is not in DIR yet, trial by
trial, and writes FILE. It may be stopped at any time.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.corrected import subgroups
from hte_utils.corrected.calibration import Estimate, calibrate_risk, calibrate_risk_against_truth
from hte_utils.corrected.cross_fitting import (
    AGE,
    ALL_MODIFIERS,
    COMPUTED,
    IMPLIED,
    MODELS,
    N_FOLDS,
    arm_balanced_folds,
    bayesian,
    cross_fit,
    groups_within_folds,
    predict_sequentially,
    predictors,
)
from hte_utils.corrected.decisions import doubly_robust_scores, policy_difference
from hte_utils.corrected.effect_calibration import effects_by_predicted_group
from hte_utils.corrected.predictions import Cohort, EffectPredictions, predict_effects
from hte_utils.corrected.validation import NOTHING, benefit_estimates, sequential_inference, true_benefit_values
from hte_utils.effects.averages import standardised_risks
from hte_utils.effects.cate import GroupEffects
from hte_utils.effects.interaction_tests import listing_2_interactions
from hte_utils.effects.logistic import fit_replicates
from hte_utils.ledger.notebooks import Project
from hte_utils.ledger.report import Proof
from hte_utils.model.candidates import PAPER_MODEL
from hte_utils.model.fit import library_versions
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.trial import P_TREATED, simulate_truth, trial_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONSTANT_RATIO: Final = "constant odds ratio"
CONSTANT_DIFFERENCE: Final = "constant risk difference"
PAPER_DESIGN: Final = "the paper's design"
DESIGNS: Final = (CONSTANT_RATIO, CONSTANT_DIFFERENCE, PAPER_DESIGN)
SEQUENTIAL_METHODS: Final = (IMPLIED, COMPUTED, ALL_MODIFIERS, AGE)
POOLED, ICI = "pooled cross-fitting", "ICI"
INTERACTIONS, GROUPS, POLICY, CONTRASTS = "interaction test", "groups", "policy", "contrasts"
COLUMNS: Final = ("design", "trial", "method", "statistic", "value", "se", "lower", "upper", "true")
SHARE_OF_SD: Final = 0.05
_ONE_PATIENT: Final = {GROUPS: 0.0125, POLICY: 0.002, "C-for-benefit": 0.005}
_LEVEL: Final = 0.05
_N_PATIENTS, _N_GROUPS, _EFFECTIVE_DRAWS, _ENTROPY = 2000, 5, 1000, 20_260_824


def simulated_trial(design: str, number: int) -> tuple[pd.DataFrame, Cohort]:
    """One trial of a design, and its truth."""
    if design == PAPER_DESIGN:
        truth = simulate_truth(_N_PATIENTS, 10_000 + number)
        return trial_table(truth), Cohort.of(truth)
    own = trial_table(simulate_truth(_N_PATIENTS, 123))
    untreated, treated = constant_effect_risks(own, design)
    arm = PAPER_MODEL.design(own).treatment.astype(np.int64)
    rng = np.random.default_rng((_ENTROPY, DESIGNS.index(design), number))
    event = (rng.random(_N_PATIENTS) < np.where(arm == 1, treated, untreated)).astype(np.int64)
    effects = (treated - untreated, logit(treated) - logit(untreated))
    return own.assign(event=event), Cohort(event, arm, untreated, *effects, P_TREATED)


def constant_effect_risks(trial: pd.DataFrame, design: str) -> tuple[np.ndarray, np.ndarray]:
    """Risks without and with treatment, shape (patients,) each, by a regression without interactions."""
    fitted = PAPER_MODEL.design(trial)
    groups = np.eye(len(fitted.group_labels))[fitted.group]
    main = np.column_stack([groups, fitted.prognostic])
    coefficients = fit_replicates(np.column_stack([main, fitted.treatment]), fitted.outcome)[0]
    log_odds = main @ coefficients[:-1]
    untreated, treated = expit(log_odds), expit(log_odds + coefficients[-1])
    if design == CONSTANT_DIFFERENCE:
        treated = untreated + (treated - untreated).mean()
    return untreated, treated


def analyse(design: str, number: int) -> pd.DataFrame:
    """Every interval and test on one simulated trial: columns `COLUMNS`."""
    trial, cohort = simulated_trial(design, number)
    rows = [
        *_sequential(trial, cohort, number),
        *_cross_fitted(trial, cohort, number),
        *_contrasts(trial, cohort, number),
        (INTERACTIONS, "p", listing_2_interactions(trial).p_value, *[np.nan] * 4),
    ]
    return pd.DataFrame([(design, number, *row) for row in rows], columns=list(COLUMNS))


type _Row = tuple[str, str, float, float, float, float, float]


def _row(method: str, statistic: str, found: Estimate, true: float) -> _Row:
    return method, statistic, found.value, found.se, found.lower, found.upper, float(true)


def _sequential(trial: pd.DataFrame, cohort: Cohort, number: int) -> Iterator[_Row]:
    for predictor in predictors():
        for label, deals in predict_sequentially(trial, cohort.treatment, predictor, seed=number).items():
            table = sequential_inference(deals, cohort)
            for statistic, value, se, lower, upper, true in table.drop(columns="over_deals").itertuples():
                yield label, str(statistic), value, se, lower, upper, true


def _cross_fitted(trial: pd.DataFrame, cohort: Cohort, number: int) -> Iterator[_Row]:
    predictor = bayesian(PAPER_MODEL, {IMPLIED: GroupEffects.INCLUDED}, draws=2 * _EFFECTIVE_DRAWS)
    predictions = cross_fit(trial, cohort.treatment, predictor, seed=number)[IMPLIED]
    true = true_benefit_values(predictions, cohort)
    for statistic, found in benefit_estimates(predictions, cohort).items():
        yield _row(POOLED, statistic, found, true[statistic])
    fold = arm_balanced_folds(cohort.treatment, N_FOLDS, number)
    group = groups_within_folds(predictions.risk_difference, fold, _N_GROUPS)
    for place, row in effects_by_predicted_group(predictions, cohort, group).iterrows():
        yield GROUPS, f"Q{place}", row["observed"], np.nan, row["lower"], row["upper"], row["true"]
    scores = doubly_robust_scores(predictions, cohort.outcome, cohort.treatment, p_treated=cohort.p_treated)
    policy = predictions.risk_difference < 0
    nobody = np.zeros_like(policy)
    true_gain = policy_difference(policy, nobody, cohort.risk_difference).value
    yield _row(POLICY, "against nobody", policy_difference(policy, nobody, scores), true_gain)


def _contrasts(trial: pd.DataFrame, cohort: Cohort, number: int) -> Iterator[_Row]:
    members = subgroups.memberships(trial)
    pairs = subgroups.neighbouring_levels(members)
    means = {name: cohort.risk_difference[members[name].to_numpy()].mean() for name in members.columns}
    for model, _ in MODELS:
        design = model.design(trial)
        seed = np.random.SeedSequence((number, 0))
        posterior = quick_posterior(design, priors=model.priors, draws=_EFFECTIVE_DRAWS, seed=seed).tree()
        risks = standardised_risks(posterior, design, members)
        table = subgroups.subgroup_contrasts(risks, pairs)
        for (first, second), (mean, lower, upper) in zip(pairs, table.to_numpy(), strict=True):
            true = float(means[second] - means[first])
            yield f"{CONTRASTS}, {model.label}", second.split(":")[0], mean, np.nan, lower, upper, true


def bootstrapped_ici(number: int, predicted: Callable[[pd.DataFrame], EffectPredictions]) -> pd.DataFrame:
    """Percentile interval of the ICI in a new trial of the paper's design: columns `COLUMNS`.

    `predicted`: Predicts the patients of a table, from a model that has not seen them.
    """
    trial, cohort = simulated_trial(PAPER_DESIGN, number)
    risk = predicted(trial).risk_under(cohort.treatment)
    found = calibrate_risk(cohort.outcome, risk, strata=cohort.treatment, seed=number)
    lower, upper = np.quantile(found.ici_replicates, (0.025, 0.975))
    true = calibrate_risk_against_truth(cohort.factual_risk, risk).ici
    interval = Estimate(found.ici, float(np.std(found.ici_replicates, ddof=1)), float(lower), float(upper))
    return pd.DataFrame(
        [(PAPER_DESIGN, number, *_row(ICI, "percentile bootstrap", interval, true))], columns=list(COLUMNS)
    )


def run(store: Path, trials: int) -> pd.DataFrame:
    """Analyse what is not in `store` yet, one file a trial, and return all of it."""
    store.mkdir(parents=True, exist_ok=True)
    design = PAPER_MODEL.design(trial_table(simulate_truth(_N_PATIENTS, 123)))
    posterior = quick_posterior(design, priors=PAPER_MODEL.priors, draws=_EFFECTIVE_DRAWS, seed=1).tree()

    def predicted(trial: pd.DataFrame) -> EffectPredictions:
        """By Listing 2, as implied, fitted to the paper's trial."""
        return predict_effects(posterior, design.apply(trial), group_effects=GroupEffects.INCLUDED)

    tables = []
    for number in range(trials):
        for place, name in enumerate(DESIGNS):
            file = store / f"{place}-{number:05}.parquet"
            if not file.exists():
                part = file.with_suffix(".part")
                analyse(name, number).to_parquet(part)
                part.rename(file)
            tables.append(pd.read_parquet(file))
        tables.append(bootstrapped_ici(number, predicted))
    return pd.concat(tables, ignore_index=True)


def write(found: pd.DataFrame, path: Path) -> None:
    """Store the results, in single precision, with their provenance."""
    numbers = dict.fromkeys(COLUMNS[4:], np.float32)
    words = dict.fromkeys(("design", "method", "statistic"), "category")
    table = found.astype(numbers | words | {"trial": np.int16})
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    table.attrs = {
        "made_by": "python -m hte_utils.corrected.rates",
        "made_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": versions,
    }
    table.to_parquet(path, index=False, compression="zstd")


def stored() -> pd.DataFrame:
    """What `write` stored beside the book."""
    table = pd.read_parquet(Project.find().stored_results / "effect_inference.parquet")
    return table.astype(dict.fromkeys(COLUMNS[4:], np.float64) | dict.fromkeys(("design", "method", "statistic"), str))


def prove(found: pd.DataFrame, design: str, number: int) -> Proof:
    """Analyse one trial again and hold every number against the one `found` before.

    Other arithmetic may exchange two patients with nearly equal predictions, and a draw or two of a posterior. So a
    value may move by `SHARE_OF_SD` of its standard deviation over the trials, and by what one patient moves a group, a
    pair or a policy.
    """
    keys = ["method", "statistic"]
    trials = found[(found["design"] == design) & (found["method"] != ICI)]
    spread = trials.groupby(keys)["value"].std().rename("sd").reset_index()
    sides = {"stored": trials[trials["trial"] == number], "again": analyse(design, number)}
    long = [
        table.rename(columns={"value": "estimate"}).melt(
            keys, ["estimate", *COLUMNS[5:]], var_name="number", value_name=side
        )
        for side, table in sides.items()
    ]
    compared = long[0].merge(long[1], on=[*keys, "number"], how="outer").merge(spread, on=keys)
    one = compared["method"].map(_ONE_PATIENT).fillna(compared["statistic"].map(_ONE_PATIENT)).fillna(0.0)
    compared["allowed"] = SHARE_OF_SD * compared["sd"] + one
    done = f"Trial {number} of “{design}” was simulated and analysed again: {len(compared)} numbers were compared."
    return Proof.by_tolerance("effect_inference", done, compared.drop(columns="sd"))


def rates(found: pd.DataFrame) -> pd.DataFrame:
    """Rejection under the null, power and coverage of each procedure.

    `found`: Columns `COLUMNS`.

    Index `method`, `statistic` (the five groups, and a model's four contrasts, are taken together: mean rates over
    them). `null`, the design in which there is nothing to find ("" if none); `null_rate`, the share of its trials in
    which the interval excludes "nothing" or the test has p < 0.05 (of the groups: an interval excludes the common
    difference); `power`, the same in the paper's design (not of the groups); `coverage` of what is true, in the paper's
    design; each with the Monte Carlo standard error over trials, `..._mcse`; and `trials`, their number a design. NaN
    where there is no such thing.
    """
    table = found.assign(nothing=found["statistic"].map(NOTHING).fillna(0.0))
    several = table["method"].str.startswith(CONTRASTS) | (table["method"] == GROUPS)
    table["statistic"] = table["statistic"].where(~several, "each")
    with_interval = table["lower"].notna()
    outside = (table["lower"] > table["nothing"]) | (table["upper"] < table["nothing"])
    covers = (table["lower"] <= table["true"]) & (table["true"] <= table["upper"])
    table["rejects"] = outside.where(with_interval, table["value"] < _LEVEL).astype(float)
    table["covers"] = covers.astype(float).where(with_interval)
    groups = table["method"] == GROUPS
    table.loc[groups, "rejects"] = 1.0 - table.loc[groups, "covers"]
    rows = {}
    for (method, statistic), each in table.groupby(["method", "statistic"], sort=False):
        null = _null(str(method), str(statistic))
        finds = "" if method in (GROUPS, ICI) or str(statistic).startswith("intercept") else PAPER_DESIGN
        row: dict[str, object] = {"null": null, "trials": each["trial"].nunique()}
        for name, design, column in (
            ("null_rate", null, "rejects"),
            ("power", finds, "rejects"),
            ("coverage", PAPER_DESIGN, "covers"),
        ):
            by_trial = each[each["design"] == design].groupby("trial")[column].mean()
            row |= {name: by_trial.mean(), f"{name}_mcse": by_trial.sem()}
        rows[method, statistic] = row
    index = pd.MultiIndex.from_tuples(rows, names=["method", "statistic"])
    return pd.DataFrame(list(rows.values()), index=index)


def _null(method: str, statistic: str) -> str:
    """The design in which a procedure should find nothing."""
    if method in (POLICY, ICI) or statistic.startswith("intercept"):
        return ""
    return CONSTANT_RATIO if method == INTERACTIONS or statistic == "slope (log odds)" else CONSTANT_DIFFERENCE


def rates_table(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `rates` for readers: per cent, ± the Monte Carlo standard error."""
    shown = {}
    for name, label in (
        ("null_rate", "nothing there"),
        ("power", "the paper's design"),
        ("coverage", "holds the truth"),
    ):
        pairs = zip(table[name], table[f"{name}_mcse"], strict=True)
        shown[label] = ["–" if np.isnan(rate) else f"{100 * rate:.1f} % ± {100 * mcse:.1f}" for rate, mcse in pairs]
    return pd.DataFrame(shown, index=table.index)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m hte_utils.corrected.rates", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="folder for one file a trial")
    parser.add_argument("--trials", type=int, default=300, help="trials of each design")
    parser.add_argument("--to", type=Path, help="the file to write, if any")
    options = parser.parse_args(arguments)
    found = run(options.store, options.trials)
    if options.to:
        write(found, options.to)


if __name__ == "__main__":
    main()
