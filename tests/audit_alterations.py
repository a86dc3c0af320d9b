"""Worlds in which the paper's statements would have other answers: another truth, model, run or table.

Each is a case and its proofs; `paper_with_other_numbers` and `paper_without_gender` change what the paper prints. A
claim that has the same answer in all of them is one that cannot be false, or cannot be true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from audit_cases import paper_case, paper_proofs, reversed_case
from paper_fits import paper_design
from reference_values import REFERENCE

from hte_utils import paper
from hte_utils.audit import (
    experiments as decisions,
)
from hte_utils.audit import (
    section_2_data as about_data,
)
from hte_utils.audit import (
    section_3 as about_results,
)
from hte_utils.audit import (
    section_4 as about_discussion,
)
from hte_utils.audit.case import Case, Proofs, assemble
from hte_utils.audit.listings import listing_2_model
from hte_utils.paper.statements import statement
from hte_utils.reproduction import table_1 as baseline
from hte_utils.trial import (
    EffectCoefficients,
    ListingCoefficients,
    TrialTruth,
    TrialVariant,
    simulate_trial,
    simulate_truth,
)

World = tuple[Case, Proofs]


def with_effects(**effect: float) -> TrialTruth:
    """The paper's patients, had Listing 1 other coefficients of the effect."""
    return simulate_truth(coefficients=ListingCoefficients(effect=EffectCoefficients(**effect)))


def world(truth: TrialTruth) -> World:
    """The same posterior, another truth."""
    case = assemble(simulate_trial(), truth, paper_design(), paper_case().posterior)
    return case, replace(paper_proofs(), bleeds=decisions.bleeds_by_rule(case))


@cache
def worlds() -> dict[str, World]:
    """Altered truths, models and records, by what is other in them."""
    case, proofs = paper_case(), paper_proofs()
    nobody = dict.fromkeys(("base", "age_per_decade", "anticoagulant", "diabetes", "obese", "prior_bleeding"), 0.0)
    truth = simulate_truth()
    found = {
        "the paper's": (case, proofs),
        "effects reversed": (reversed_case(), replace(proofs, bleeds=decisions.bleeds_by_rule(reversed_case()))),
        "one small benefit for all": world(with_effects(**nobody | {"base": -0.2})),
        "one small harm for all": world(with_effects(**nobody | {"base": 0.2})),
        "harm by obesity": world(with_effects(**nobody | {"base": 0.4, "obese": 0.5, "prior_bleeding": -0.3})),
        "a step at 65": world(replace(truth, treatment_effect=0.8 * (truth.covariates.age > 65) - 0.4)),
        "effects as the model has them": world(replace(truth, treatment_effect=case.as_implied.cate)),
        "effects as Table 7 has them": world(replace(truth, treatment_effect=case.as_computed.cate)),
        "gender in the effect": world(
            replace(truth, treatment_effect=truth.treatment_effect + truth.covariates.gender)
        ),
        "risks upside down": world(_upside_down(truth)),
        "no truth of age and bleeding": world(
            replace(
                truth,
                treatment_effect=np.where(truth.covariates.diabetes == 1, 0.5, 0.0),
                baseline_risk=np.full(2000, 0.05),
            )
        ),
    }
    found["another code"] = case, replace(proofs, code=_another_code(proofs))
    found["another run of R"] = case, replace(proofs, r_trial=_another_run(proofs.r_trial))
    found["a run hardly with effects"] = case, replace(proofs, r_trial=_hardly_any_effect(proofs.r_trial))
    found |= {name: (case, replace(proofs, jags=listing_2_model(text))) for name, text in _other_models().items()}
    posterior = proofs.jags_posterior
    found["another posterior of JAGS"] = case, replace(proofs, jags_posterior=posterior.assign(mean=9.0))
    found["a part of the posterior"] = case, replace(proofs, jags_posterior=posterior.drop(index="tau_re"))
    variants, laws = proofs.variants.copy(), proofs.laws.copy()
    variants.loc[TrialVariant.AS_PRINTED] = [89, 60, 11]
    laws[["same", "other", "at_limit"]] = 1999, 1, 0
    lawful = proofs.laws.assign(same=2000, other=0, at_limit=0)
    found["another trial"] = case, replace(proofs, variants=variants, laws=laws)
    found["Table 2 obeyed"] = case, replace(proofs, laws=lawful)
    seen = replace(proofs.by_hidden_factor, found=0.9)
    found["allocation"] = (
        case,
        replace(proofs, by_hidden_factor=seen, randomised=replace(proofs.randomised, confounding=9.0)),
    )
    found["other rules"] = case, replace(proofs, bleeds=proofs.bleeds.assign(bleeds=proofs.bleeds["bleeds"].iloc[::-1]))
    same = proofs.bleeds.assign(bleeds=100.0)
    found["rules alike"] = case, replace(proofs, bleeds=same)
    found["another table of patients"] = replace(case, trial=_another_table(case.trial)), proofs
    arms = np.argsort(np.argsort(truth.baseline_risk)) % 2000 >= 1000
    found["treatment by risk"] = replace(case, design=replace(case.design, treatment=arms.astype(float))), proofs
    found["the model's reading is Table 8's"] = replace(case, as_implied=case.as_computed), proofs
    found["Table 8 was the model's"] = replace(case, as_computed=case.as_implied), proofs
    return found


def _upside_down(truth: TrialTruth) -> TrialTruth:
    """The highest risks to those who had the lowest."""
    rank = np.argsort(np.argsort(truth.baseline_risk))
    return replace(truth, baseline_risk=np.sort(truth.baseline_risk)[::-1][rank])


def _another_code(proofs: Proofs) -> dict[str, tuple[str, ...]]:
    return {
        **proofs.code,
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
        for module in (about_data, about_discussion):
            patched.setattr(module, "uncovered_items", lambda: ())
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
        patched.setattr(baseline, "COVARIATES", ("age", "anticoagulant", "diabetes"))
        patched.setattr(about_results, "statement", lambda name: replace(statement(name), quote="Calibration"))
        yield


@contextmanager
def _printing(monkeypatch: pytest.MonkeyPatch, entries: list[paper.PaperEntry]) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patched:
        patched.setattr(paper, "paper_entries", lambda: tuple(entries))
        patched.setattr(paper, "_by_id", lambda: {entry.id: entry for entry in entries})
        yield patched
