"""The paper's case, and worlds in which its statements would have other answers: another truth, model, run or table.

Each world is a case; `paper_with_other_numbers` and `paper_without_gender` change what the paper prints. A claim that
has the same answer in all of them is one that cannot be false, or cannot be true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design, paper_posterior
from reference_values import REFERENCE

from hte_utils import paper
from hte_utils.audit import section_2_1, section_2_2, sections_3_4
from hte_utils.audit.case import Case, gather_case, read_posterior
from hte_utils.audit.experiments import BY_COIN, BY_HIDDEN_FACTOR, CONFOUNDING, SEEN, bleeds_by_rule
from hte_utils.audit.listings import listing_2_model
from hte_utils.effects.cate import GroupEffects
from hte_utils.model.store import BOOK_SETTINGS, Analysis
from hte_utils.paper import statement
from hte_utils.trial import (
    EffectCoefficients,
    ListingCoefficients,
    TrialTruth,
    TrialVariant,
    simulate_trial,
    simulate_truth,
)


@cache
def paper_case() -> Case:
    return gather_case(Analysis(simulate_trial(), simulate_truth(), paper_design(), paper_posterior(BOOK_SETTINGS)))


def with_truth(truth: TrialTruth) -> Case:
    """The same posterior, another truth."""
    case = paper_case()
    computed, implied = (
        read_posterior(case.posterior, case.design, truth, how)
        for how in (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED)
    )
    bleeds = bleeds_by_rule(truth, computed.group, implied.risk_difference)
    return replace(case, truth=truth, as_computed=computed, as_implied=implied, bleeds=bleeds)


@cache
def reversed_case() -> Case:
    """The same trial, had every true effect the opposite sign: the sentence on benefit would then be right."""
    truth = simulate_truth()
    return with_truth(replace(truth, treatment_effect=-truth.treatment_effect))


def with_effects(**effect: float) -> TrialTruth:
    """The paper's patients, had Listing 1 other coefficients of the effect."""
    return simulate_truth(coefficients=ListingCoefficients(effect=EffectCoefficients(**effect)))


@cache
def worlds() -> dict[str, Case]:
    """Cases with altered truths, models and records, by what is other in them."""
    case, truth = paper_case(), simulate_truth()
    nobody = dict.fromkeys(("base", "age_per_decade", "anticoagulant", "diabetes", "obese", "prior_bleeding"), 0.0)
    truths = {
        "one small benefit for all": with_effects(**nobody | {"base": -0.2}),
        "one small harm for all": with_effects(**nobody | {"base": 0.2}),
        "harm by obesity": with_effects(**nobody | {"base": 0.4, "obese": 0.5, "prior_bleeding": -0.3}),
        "a step at 65": replace(truth, treatment_effect=0.8 * (truth.covariates.age > 65) - 0.4),
        "effects as the model has them": replace(truth, treatment_effect=case.as_implied.cate),
        "effects as Table 7 has them": replace(truth, treatment_effect=case.as_computed.cate),
        "gender in the effect": replace(truth, treatment_effect=truth.treatment_effect + truth.covariates.gender),
        "risks upside down": _upside_down(truth),
        "no truth of age and bleeding": replace(
            truth,
            treatment_effect=np.where(truth.covariates.diabetes == 1, 0.5, 0.0),
            baseline_risk=np.full(2000, 0.05),
        ),
    }
    found = {"the paper's": case, "effects reversed": reversed_case()}
    found |= {name: with_truth(other) for name, other in truths.items()}
    found |= {name: replace(case, jags=listing_2_model(text)) for name, text in _other_models().items()}
    found["another code"] = replace(case, code=_another_code(case.code))
    found["another run of R"] = replace(case, r_trial=_another_run(case.r_trial))
    found["a run hardly with effects"] = replace(case, r_trial=_hardly_any_effect(case.r_trial))
    found["another posterior of JAGS"] = replace(case, jags_posterior=case.jags_posterior.assign(mean=9.0))
    found["a part of the posterior"] = replace(case, jags_posterior=case.jags_posterior.drop(index="tau_re"))
    variants, laws, confounding = case.variants.copy(), case.laws.copy(), case.confounding.copy()
    variants.loc[TrialVariant.AS_PRINTED] = [89, 60, 11]
    laws[["same", "other", "at_limit"]] = 1999, 1, 0
    found["another trial"] = replace(case, variants=variants, laws=laws)
    found["Table 2 obeyed"] = replace(case, laws=case.laws.assign(same=2000, other=0, at_limit=0))
    confounding.loc[BY_HIDDEN_FACTOR, SEEN] = 90.0
    confounding.loc[BY_COIN, CONFOUNDING] = 9.0
    found["allocation"] = replace(case, confounding=confounding)
    found["other rules"] = replace(case, bleeds=case.bleeds.assign(bleeds=case.bleeds["bleeds"].iloc[::-1]))
    found["rules alike"] = replace(case, bleeds=case.bleeds.assign(bleeds=100.0))
    found["another table of patients"] = replace(case, trial=_another_table(case.trial))
    arms = np.argsort(np.argsort(truth.baseline_risk)) % 2000 >= 1000
    found["treatment by risk"] = replace(case, design=replace(case.design, treatment=arms.astype(float)))
    found["the model's reading is Table 8's"] = replace(case, as_implied=case.as_computed)
    found["Table 8 was the model's"] = replace(case, as_computed=case.as_implied)
    return found


def _upside_down(truth: TrialTruth) -> TrialTruth:
    """The highest risks to those who had the lowest."""
    rank = np.argsort(np.argsort(truth.baseline_risk))
    return replace(truth, baseline_risk=np.sort(truth.baseline_risk)[::-1][rank])


def _another_code(code: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        **code,
        "second_draw": ("rbinom(n_subjects, 1, plogis(age - 55))",),
        "event": ("as.numeric(event_prob > 0.5)",),
        "diabetes": ("rbinom(n_subjects, 1, 0.2)",),
        "treatment_effect": ("-0.3 + 0.5 * (age - 55) / 10",),
    }


def _another_run(trial: pd.DataFrame) -> pd.DataFrame:
    """A trial whose risks are not logistic in the covariates, and whose controls bleed without cause."""
    risk = trial["baseline_risk"] ** 1.1
    return trial.assign(baseline_risk=risk, true_te=0.01 * trial["age"], event_prob=risk + 0.001)


def _hardly_any_effect(trial: pd.DataFrame) -> pd.DataFrame:
    """Effects that are nothing within the noise of floating point, added to the probability."""
    effect = 1e-12 * trial["age"]
    return trial.assign(true_te=effect, event_prob=trial["baseline_risk"] + trial["treatment"] * effect)


def _other_models() -> dict[str, str]:
    text = (REFERENCE / "jags_listing2.txt").read_text(encoding="utf-8")
    text = re.sub(r"\+\s*\n\s*", "+ ", re.sub(r" *#.*", "", text))
    pooled = text.replace(" + re[gender[i] + 1]", "").replace(" + re_trt[gender[i] + 1]", "")
    pooled = pooled.replace("dnorm(0, tau_re", "dnorm(0, 2")
    fixed = re.compile(r"risk\[i\] \+ effect.*|risk\[i\] <- .*|effect\[i\] <- .*")
    described = fixed.sub("", text).replace(
        "logit(p[i]) <- ",
        "logit(p[i]) <- b_trt * treatment[i] + re_trt[anticoag[i] + 1] * treatment[i] + eta[i] * treatment[i]\n"
        "    eta[i] ~ dnorm(0, tau_re)",
    )
    described = described.replace("b_trt + re_trt[k]", "re_trt[k]")
    every = " + ".join(f"b_bmi * {name}[i]" for name in ("sbp", "dbp", "hypertension", "smoking"))
    with_eta = text.replace("+ b_bmi * bmi[i]", "+ b_bmi * bmi[i] + eta[i]").replace(
        "    risk[i] <-", "    eta[i] ~ dnorm(0, 1)\n    risk[i] <-"
    )
    for name in ("age", "anticoag", "diabetes"):
        with_eta = with_eta.replace(f" + b_trt_{name} * {name}[i]", "")
    no_treatment = pooled.replace("effect[i] * treatment[i]", "effect[i]").replace("b_trt ", "b_other ")
    return {
        "no random effects": no_treatment,
        "no fixed effects": described.replace("b_trt * treatment[i] + ", ""),
        "described": described,
        "all columns": text.replace("+ b_bmi * bmi[i]", f"+ b_bmi * bmi[i] + {every}"),
        "no interactions": with_eta,
        "other laws": text.replace("dbern(p[i])", "dpois(p[i])")
        .replace("dnorm(0, 1)", "dt(0, 1)")
        .replace("tau_re)", "2)")
        .replace("tau_re_trt)", "2)")
        .replace("dgamma(2, 2)", "dgamma(1, 1)")
        .replace("logit(p[i]) <-", "p[i] <-"),
    }


def _another_table(trial: pd.DataFrame) -> pd.DataFrame:
    other = trial.assign(
        sbp=trial["age"], dbp=trial["sbp"] + 1, days=1.0, true_te=trial["true_te"].where(trial["subject_id"] > 1)
    )
    other["gender"] = other["gender"].cat.rename_categories({"Male": "Female", "Female": "Male"})
    return other


MODEL_S_OWN = {
    "table1.n.control": "1000",
    **{f"table8.Q{k}.mean_te": value for k, value in enumerate(("-0.215", "-0.159", "-0.006", "0.404", "0.080"), 1)},
    **{f"table8.Q{k}.mean_risk": value for k, value in enumerate(("0.02", "0.03", "0.04", "0.06", "0.11"), 1)},
    **{f"table8.Q{k}.te_sd": value for k, value in enumerate(("0.1", "0.1", "0.1", "0.5", "0.05"), 1)},
    "table8.Q1.n": "401",
    "table4.b_trt_age.SD": "0.010",
    "table4.b_trt.Mean": "0.080",
    "table4.te_gender[1].Mean": "0.290",
    "table5.multivariate": "1.900",
}
NO_GENDER = {f"table4.te_gender[{k}].Mean": "-0.105" for k in (1, 2)}
_HIDDEN = ("re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt")


@contextmanager
def paper_with_other_numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Table 8 as the model has it, all converged, 18 parameters in Tables 4 and 6, a second method in Table 7."""
    changed = [replace(entry, printed=_printed(entry)) for entry in paper.paper_entries()]
    changed = [replace(entry, row="age") if entry.row.startswith(("event", "true_te")) else entry for entry in changed]
    of = {item: next(entry for entry in changed if entry.item == item) for item in ("Table 4", "Table 6", "Table 7")}
    changed += [
        replace(of[item], id=f"{item}.{name}", row=name, quantity="new")
        for item in ("Table 4", "Table 6")
        for name in _HIDDEN
    ]
    changed.append(replace(of["Table 7"], id="table7.other", column="ridge"))
    with _printing(monkeypatch, changed) as patched:
        for module in (section_2_1, sections_3_4):
            patched.setattr(module, "UNCOVERED_ITEMS", ())
        yield


def _printed(entry: paper.PaperEntry) -> str:
    if entry.id in MODEL_S_OWN:
        return MODEL_S_OWN[entry.id]
    return {"Table 5": "1.001", "Table 6": "0.100"}.get(entry.item, entry.printed)


@contextmanager
def paper_without_gender(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The model's effects are those of Table 7; only its modifiers are measured; bad diagnostics; a caption."""
    bad = {"Table 6": "4.000"}
    changed = [
        replace(entry, printed=NO_GENDER.get(entry.id, bad.get(entry.item, entry.printed)))
        for entry in paper.paper_entries()
    ]
    with _printing(monkeypatch, changed) as patched:
        for module in (section_2_2, sections_3_4):
            patched.setattr(module, "COVARIATES", ("age", "anticoagulant", "diabetes"))
        patched.setattr(sections_3_4, "statement", lambda name: replace(statement(name), quote="Calibration"))
        yield


@contextmanager
def _printing(monkeypatch: pytest.MonkeyPatch, entries: list[paper.PaperEntry]) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patched:
        patched.setattr(paper, "paper_entries", lambda: tuple(entries))
        yield patched
