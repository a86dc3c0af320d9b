"""How often the intervals of chapters 9 and 10 err: rejection under a null, coverage and power, by simulation.

Every interval and test that the book uses on estimated effects is applied, by the same functions, to trials in which
the truth is known: of a *constant odds ratio* (the patients and the allocation of the paper's own trial, outcomes from
a logistic regression without interactions that was fitted to it), of a *constant risk difference* (the same baseline
risks, and the same number of points added to each by treatment), and of *the paper's design* (Listing 1). The last also
show, by predictions of the paper's trial, why the integrated calibration index has no interval.

``python -m hte_utils.corrected.rates --store DIR --trials 300 --workers 2 --to FILE`` runs what is not in DIR yet,
trial by trial, and writes FILE. It may be stopped at any time; the number of workers changes no number.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from tqdm import tqdm

from hte_utils.corrected import cross_fitting, subgroups
from hte_utils.corrected.calibration import calibrate_risk, calibrate_risk_against_truth
from hte_utils.corrected.cross_fitting import IMPLIED, MODELS, Cohort, EffectPredictions, predict_effects
from hte_utils.corrected.decisions import doubly_robust_scores, policy_difference
from hte_utils.corrected.effect_calibration import effects_by_predicted_group
from hte_utils.corrected.effects_report import rate_with_error
from hte_utils.corrected.stored_checks import write_table
from hte_utils.corrected.validation import NOTHING, benefit_estimates, sequential_inference, true_benefit_values
from hte_utils.effects.averages import standardised_risks
from hte_utils.effects.cate import GroupEffects
from hte_utils.effects.logistic import fit_replicates, listing_2_interactions
from hte_utils.ledger.notebooks import Project
from hte_utils.ledger.report import Proof
from hte_utils.model.candidates import PAPER_MODEL
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.model.threads import one_thread
from hte_utils.trial import P_TREATED, simulate_truth, trial_table

CONSTANT_RATIO: Final = "constant odds ratio"
CONSTANT_DIFFERENCE: Final = "constant risk difference"
PAPER_DESIGN: Final = "the paper's design"
DESIGNS: Final = (CONSTANT_RATIO, CONSTANT_DIFFERENCE, PAPER_DESIGN)
POOLED, ICI = "pooled cross-fitting", "ICI"
INTERACTIONS, GROUPS, POLICY, CONTRASTS = "interaction test", "groups", "policy", "contrasts"
_WORDS, _NUMBERS = ("design", "method", "statistic"), ("value", "se", "lower", "upper", "true")
COLUMNS: Final = ["design", "trial", "method", "statistic", *_NUMBERS]
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
    tables = {
        label: sequential_inference(deals, cohort)
        for predictor in cross_fitting.predictors()
        for label, deals in cross_fitting.predict_sequentially(trial, cohort.treatment, predictor, seed=number).items()
    }
    tables |= _cross_fitted(trial, cohort, number) | _contrasts(trial, cohort, number)
    tables[INTERACTIONS] = pd.DataFrame({"value": listing_2_interactions(trial).p_value}, index=["p"])
    found = pd.concat(tables, names=["method", "statistic"]).reset_index()
    return found.assign(design=design, trial=number).reindex(columns=COLUMNS)


def _cross_fitted(trial: pd.DataFrame, cohort: Cohort, number: int) -> dict[str, pd.DataFrame]:
    """Columns `value`, `se`, `lower`, `upper`, `true`, by method; index statistic."""
    predictor = cross_fitting.bayesian(PAPER_MODEL, {IMPLIED: GroupEffects.INCLUDED}, draws=2 * _EFFECTIVE_DRAWS)
    predictions = cross_fitting.cross_fit(trial, cohort.treatment, predictor, seed=number)[IMPLIED]
    pooled = pd.DataFrame(list(benefit_estimates(predictions, cohort).values()), index=list(NOTHING))
    fold = cross_fitting.arm_balanced_folds(cohort.treatment, cross_fitting.N_FOLDS, number)
    group = cross_fitting.groups_within_folds(predictions.risk_difference, fold, _N_GROUPS)
    groups = effects_by_predicted_group(predictions, cohort, group).rename(columns={"observed": "value"})
    scores = doubly_robust_scores(predictions, cohort.outcome, cohort.treatment, p_treated=cohort.p_treated)
    policy = predictions.risk_difference < 0
    nobody = np.zeros_like(policy)
    gain, true_gain = (policy_difference(policy, nobody, each) for each in (scores, cohort.risk_difference))
    return {
        POOLED: pooled.assign(true=pd.Series(true_benefit_values(predictions, cohort))),
        GROUPS: groups.set_axis([f"Q{number}" for number in groups.index]),
        POLICY: pd.DataFrame([gain], index=["against nobody"]).assign(true=true_gain.value),
    }


def _contrasts(trial: pd.DataFrame, cohort: Cohort, number: int) -> dict[str, pd.DataFrame]:
    members = subgroups.memberships(trial)
    pairs = subgroups.neighbouring_levels(members)
    means = {name: cohort.risk_difference[members[name].to_numpy()].mean() for name in members.columns}
    found = {}
    for model, _ in MODELS:
        design = model.design(trial)
        seed = np.random.SeedSequence((number, 0))
        posterior = quick_posterior(design, priors=model.priors, draws=_EFFECTIVE_DRAWS, seed=seed).tree()
        risks = standardised_risks(posterior, design, members)
        table = subgroups.subgroup_contrasts(risks, pairs).rename(columns={"mean": "value"})
        table = table.set_axis([second.split(":")[0] for _, second in pairs])
        found[f"{CONTRASTS}, {model.label}"] = table.assign(
            true=[means[second] - means[first] for first, second in pairs]
        )
    return found


def bootstrapped_ici(number: int, predicted: Callable[[pd.DataFrame], EffectPredictions]) -> pd.DataFrame:
    """Percentile interval of the ICI in a new trial of the paper's design: columns `COLUMNS`.

    `predicted` predicts the patients of a table, from a model that has not seen them.
    """
    trial, cohort = simulated_trial(PAPER_DESIGN, number)
    risk = predicted(trial).risk_under(cohort.treatment)
    found = calibrate_risk(cohort.outcome, risk, strata=cohort.treatment, seed=number)
    lower, upper = np.quantile(found.ici_replicates, (0.025, 0.975))
    true = calibrate_risk_against_truth(cohort.factual_risk, risk).ici
    se = np.std(found.ici_replicates, ddof=1)
    row = (PAPER_DESIGN, number, ICI, "percentile bootstrap", found.ici, se, lower, upper, true)
    return pd.DataFrame([row], columns=COLUMNS)


def run(store: Path, trials: int, workers: int = 1) -> pd.DataFrame:
    """Analyse what is not in `store` yet, one file a trial, in so many processes, and return all of it.

    A script that asks for workers needs ``if __name__ == "__main__":``.
    """
    store.mkdir(parents=True, exist_ok=True)
    parts = list(product(range(trials), DESIGNS))
    missing = [part for part in parts if not _file(store, *part).exists()]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(tqdm(pool.map(partial(_store, store), missing), total=len(missing), unit="trial", disable=None))
    design = PAPER_MODEL.design(trial_table(simulate_truth(_N_PATIENTS, 123)))
    posterior = quick_posterior(design, priors=PAPER_MODEL.priors, draws=_EFFECTIVE_DRAWS, seed=1).tree()

    def predicted(trial: pd.DataFrame) -> EffectPredictions:
        """By Listing 2, as implied, fitted to the paper's trial."""
        return predict_effects(posterior, design.apply(trial), group_effects=GroupEffects.INCLUDED)

    tables = [pd.read_parquet(_file(store, *part)) for part in parts]
    tables += [bootstrapped_ici(number, predicted) for number in range(trials)]
    return pd.concat(tables, ignore_index=True)


def _file(store: Path, number: int, design: str) -> Path:
    return store / f"{DESIGNS.index(design)}-{number:05}.parquet"


def _store(store: Path, number_and_design: tuple[int, str]) -> None:
    number, design = number_and_design
    file = _file(store, number, design)
    part = file.with_suffix(".part")
    with one_thread():
        analyse(design, number).to_parquet(part)
    part.rename(file)


def write(found: pd.DataFrame, path: Path) -> None:
    """Store the results, in single precision, with their provenance."""
    table = found.astype(dict.fromkeys(_NUMBERS, np.float32) | dict.fromkeys(_WORDS, "category") | {"trial": np.int16})
    write_table(table, path, "python -m hte_utils.corrected.rates")


def stored() -> pd.DataFrame:
    """What `write` stored beside the book."""
    table = pd.read_parquet(Project.find().stored_results / "effect_inference.parquet")
    return table.astype(dict.fromkeys(_NUMBERS, np.float64) | dict.fromkeys(_WORDS, str))


def prove(found: pd.DataFrame, design: str, number: int) -> Proof:
    """Analyse one trial again and hold every number against the one `found` before.

    Other arithmetic may exchange two patients with nearly equal predictions, or a draw or two. So a value may move by
    `SHARE_OF_SD` of its standard deviation over the trials, and by what one patient moves a group, a pair or a policy.
    """
    keys = ["method", "statistic", "number"]
    trials = found[(found["design"] == design) & (found["method"] != ICI)]
    before, again = (
        table.rename(columns={"value": "estimate"}).melt(keys[:2], ["estimate", *_NUMBERS[1:]], var_name="number")
        for table in (trials[trials["trial"] == number], analyse(design, number))
    )
    spread = trials.groupby(keys[:2])["value"].std().rename("sd").reset_index()
    compared = before.merge(again, on=keys, how="outer").merge(spread, on=keys[:2])
    compared = compared.rename(columns={"value_x": "stored", "value_y": "again"})
    one_patient = compared["method"].map(_ONE_PATIENT).fillna(compared["statistic"].map(_ONE_PATIENT)).fillna(0.0)
    compared["allowed"] = SHARE_OF_SD * compared["sd"] + one_patient
    done = f"Trial {number} of “{design}” was simulated and analysed again: {len(compared)} numbers were compared."
    return Proof.by_tolerance("effect_inference", done, compared.drop(columns="sd"))


def rates(found: pd.DataFrame) -> pd.DataFrame:
    """Rejection under the null, power and coverage of each procedure, from columns `COLUMNS`.

    Index `method`, `statistic` (the five groups, and a model's four contrasts, are taken together: mean rates over
    them). `null`, the design in which there is nothing to find ("" if none); `null_rate`, the share of its trials in
    which the interval excludes "nothing" or the test has p < 0.05; `power`, the same in the paper's design; `coverage`
    of what is true, in the paper's design; each with the Monte Carlo standard error over trials, `..._mcse`; and
    `trials`, their number a design. NaN where there is no such thing.
    """
    several = found["method"].str.startswith(CONTRASTS) | (found["method"] == GROUPS)
    covers = (found["lower"] <= found["true"]) & (found["true"] <= found["upper"])
    # In the null design of the groups all true differences are the common one.
    nothing = found["statistic"].map(NOTHING).fillna(0.0).mask(found["method"] == GROUPS, found["true"])
    outside = (found["lower"] > nothing) | (found["upper"] < nothing)
    with_interval = found["lower"].notna()
    table = found.assign(
        statistic=found["statistic"].mask(several, "each"),
        rejects=outside.where(with_interval, found["value"] < _LEVEL).astype(float),
        covers=covers.astype(float).where(with_interval),
    )
    rows = {}
    for (method, statistic), each in table.groupby(["method", "statistic"], sort=False):
        on_log_odds = method == INTERACTIONS or statistic == "slope (log odds)"
        is_intercept = str(statistic).startswith("intercept")
        nothing_there = CONSTANT_RATIO if on_log_odds else CONSTANT_DIFFERENCE
        null = "" if method in (POLICY, ICI) or is_intercept else nothing_there
        finds = "" if method in (GROUPS, ICI) or is_intercept else PAPER_DESIGN
        row: dict[str, object] = {"null": null, "trials": each["trial"].nunique()}
        asked = {"null_rate": (null, "rejects"), "power": (finds, "rejects"), "coverage": (PAPER_DESIGN, "covers")}
        for name, (design, column) in asked.items():
            by_trial = each[each["design"] == design].groupby("trial")[column].mean()
            row |= {name: by_trial.mean(), f"{name}_mcse": by_trial.sem()}
        rows[method, statistic] = row
    index = pd.MultiIndex.from_tuples(rows, names=["method", "statistic"])
    return pd.DataFrame(list(rows.values()), index=index)


def rates_table(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `rates` for readers: `rate_with_error`."""
    labels = {"null_rate": "nothing there", "power": "the paper's design", "coverage": "holds the truth"}
    shown = {
        label: [
            rate_with_error(*row) for row in table[[name, f"{name}_mcse", "trials"]].itertuples(index=False, name=None)
        ]
        for name, label in labels.items()
    }
    return pd.DataFrame(shown, index=table.index)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m hte_utils.corrected.rates", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="folder for one file a trial")
    parser.add_argument("--trials", type=int, default=300, help="trials of each design")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--to", type=Path, help="the file to write, if any")
    options = parser.parse_args(arguments)
    found = run(options.store, options.trials, options.workers)
    if options.to:
        write(found, options.to)


if __name__ == "__main__":
    main()
