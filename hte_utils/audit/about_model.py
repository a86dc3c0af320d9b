"""Findings on section 2.2 and Listing 2: the model as described, against the variables of the model that was run."""

from __future__ import annotations

from math import isclose, sqrt
from typing import TYPE_CHECKING

import numpy as np

from hte_utils import baseline
from hte_utils.audit.common import rows
from hte_utils.audit.data_variants import TABLE_4
from hte_utils.audit.listing_2 import INDIVIDUAL, POPULATION, SUBGROUP, TRIAL_PRECISION
from hte_utils.ledger.statements import Finding
from hte_utils.paper import printed_number
from hte_utils.trial import TrialVariant

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.audit.case import Case
    from hte_utils.audit.proofs import Proofs

MEANS_OF_TABLE_4 = 12


def model(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on section 2.2."""
    return _run(proofs) | _levels(case, proofs) | _equations(case, proofs) | _priors(proofs)


def listing_2(case: Case, proofs: Proofs) -> dict[str, Finding]:
    """Findings on Appendix B."""
    runs, gives = int(proofs.sampler["runs"].sum()), _gives_table_4(proofs)
    men = case.design.group == 0
    average = float(case.as_implied.cate[men].mean())
    printed = printed_number("table4.te_gender[1].Mean")
    reference = float(case.posterior["posterior"]["te_group"].isel(group=0).mean())
    return {
        "statement.caption-listing-2": Finding(
            {"JAGS runs it": runs > 0, **gives.claims},
            f"Its runs with JAGS are recorded with their script. {gives.evidence}",
        ),
        "statement.gender-specific-effects": Finding(
            {
                "it is the effect of a reference patient of that gender": abs(reference - printed) < 0.001,
                "it is the average effect of that gender": abs(average - printed) < 0.01,
            },
            f"te_gender[1] is {printed:+.3f} in Table 4: a man of average age without anticoagulants and diabetes. "
            f"The average over the men of the trial is {average:+.2f} (log odds ratio of bleeding).",
        ),
    }


def _run(proofs: Proofs) -> dict[str, Finding]:
    ratio = (proofs.sampler["distance"] / proofs.sampler["typical"]).to_numpy()
    nearest = int(ratio.argmin())
    sampler, thinning = proofs.sampler.index[nearest]
    best = proofs.sampler.iloc[nearest]
    return {
        "statement.implemented-in-jags": Finding(
            {"runs of JAGS have the time-series errors of Table 4": best["distance"] < 2 * best["typical"]},
            f"Runs of JAGS ({sampler} sampler, thinned by {thinning}) are as far from Table 4 as from one another: "
            f"distance {best['distance']:.1f}, typical {best['typical']:.1f}.",
        ),
        "statement.listing-2-is-the-model": _gives_table_4(proofs),
    }


def _gives_table_4(proofs: Proofs) -> Finding:
    means = rows(proofs.variants)[TrialVariant.AS_PRINTED][TABLE_4]
    return Finding(
        {"it gives Table 4": means == MEANS_OF_TABLE_4},
        f"{means} of the {MEANS_OF_TABLE_4} posterior means agree within Monte Carlo error.",
    )


def _levels(case: Case, proofs: Proofs) -> dict[str, Finding]:
    inside = proofs.variables.query("not observed")
    there = {level: list(inside.index[inside["level"] == level]) for level in (POPULATION, SUBGROUP, INDIVIDUAL)}
    individual = bool(there[INDIVIDUAL])
    columns = [coding.covariate.column for coding in case.design.coding.covariates]
    absent = [name for name in baseline.COVARIATES if name not in columns and name != case.design.coding.spec.group]
    group = case.design.coding.spec.group
    return {
        "statement.three-levels": Finding(
            {
                "a population level": bool(there[POPULATION]),
                "a subgroup level": bool(there[SUBGROUP]),
                "an individual level": individual,
            },
            f"Of the population: {', '.join(there[POPULATION])}. Of the subgroups: {', '.join(there[SUBGROUP])}. Of "
            f"the individuals: {', '.join(there[INDIVIDUAL]) or 'none'}.",
        ),
        "statement.population-level": Finding(
            {
                "treatment and some covariates have one": {"b_trt", "b_prognostic"} <= set(inside.index),
                "all have": not absent,
            },
            f"Listing 2 has {', '.join(columns)}; it leaves out {', '.join(absent)}. Of these, systolic pressure is "
            "in equation (1).",
        ),
        "statement.subgroup-level": Finding(
            {
                "subgroups have random effects": bool(there[SUBGROUP]),
                "subgroups by age or anticoagulant use have": group in ("age", "anticoagulant"),
            },
            f"The only subgroups are those of {group} ({', '.join(case.design.group_labels)}). Age and anticoagulant "
            "use modify the effect as fixed interactions.",
        ),
        "statement.equation-6": Finding(
            {
                "the subgroups' effects are normal": rows(inside)["re_trt"]["law"] == "normal",
                "their mean and their variance are estimated": {"b_trt", "tau_re_trt"} <= set(inside.index),
            },
            "te_gender = b_trt + re_trt, with b_trt in the part of the overall effect and 1/tau_re_trt as variance.",
        ),
        "statement.individual-level": Finding(
            {"Listing 2 has a random effect for each individual": individual},
            f"Its {len(inside)} variables have {inside['number'].sum()} scalars, none of them one patient's.",
        ),
    }


def _equations(case: Case, proofs: Proofs) -> dict[str, Finding]:
    inside, cells = proofs.variables, rows(proofs.variables)
    untreated = np.log(case.as_implied.risk / (1 - case.as_implied.risk))
    return {
        "statement.equation-5": Finding(
            {
                "Listing 2 has these terms": {"b_intercept", "b_trt", "b_prognostic"} <= set(inside.index),
                "it is a treatment effect: zero without treatment": bool(np.allclose(untreated, 0)),
            },
            f"Without treatment it is the log odds of bleeding, on average {untreated.mean():.1f} in the trial; the "
            "treatment effect in it is its second term.",
        ),
        "statement.equation-8": Finding(
            {
                "intercept, treatment and covariates": {"b_intercept", "b_trt", "b_prognostic"} <= set(inside.index),
                "an effect of the subgroup": bool((inside["level"] == SUBGROUP).any()),
                "an effect of the individual": bool((inside.query("not observed")["level"] == INDIVIDUAL).any()),
                "and no other term": "b_interaction" not in inside.index,
            },
            f"Listing 2 has no effect of the individual, and {cells['b_interaction']['number']} interactions with "
            "treatment that the equation lacks. As printed, the subgroup's effect also acts without treatment.",
        ),
        "statement.equation-9": Finding(
            {"the outcome is Bernoulli": cells["event"]["law"] == "bernoulli"},
            f"{cells['event']['number']} outcomes with the law {cells['event']['law']}.",
        ),
    }


def _priors(proofs: Proofs) -> dict[str, Finding]:
    inside = proofs.variables
    fixed = inside[inside.index.str.startswith("b_")]
    random, precisions = inside.loc[["re", "re_trt"]], inside.loc[["tau_re", "tau_re_trt"]]
    sd = 1 / sqrt(TRIAL_PRECISION)
    return {
        "statement.equation-10": Finding(
            {"every fixed effect has it": _all_have(fixed, "normal", 0, 1)},
            f"{fixed['number'].sum()} fixed effects, intercept, treatment and interactions among them: normal, mean "
            "0, standard deviation 1.",
        ),
        "statement.equation-11": Finding(
            {"both have it": _all_have(random, "normal", 0, sd)},
            f"With both precisions at {TRIAL_PRECISION:g}: normal, mean 0, standard deviation "
            f"{random['second'].max():g}.",
        ),
        "statement.hyperpriors": Finding(
            {"both have it": _all_have(precisions, "gamma", 2, 1 / 2)},
            f"Gamma with shape {precisions['first'].max():g} and rate {1 / precisions['second'].max():g}.",
        ),
    }


def _all_have(variables: pd.DataFrame, law: str, first: float, second: float) -> bool:
    return all(
        found["law"] == law and isclose(found["first"], first) and isclose(found["second"], second)
        for found in rows(variables).values()
    )
