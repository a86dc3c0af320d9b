"""Findings on section 2.2 and Appendix B: the model as described, against the text that JAGS was given."""

from __future__ import annotations

from typing import Final

from hte_utils.audit.case import Case, rows
from hte_utils.audit.listings import INDIVIDUAL, POPULATION, SUBGROUP, JagsModel
from hte_utils.ledger.entries import Reproduced, judge
from hte_utils.ledger.report import Finding
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction.table_1 import COVARIATES
from hte_utils.reproduction.tables_5_6 import TABLES, joint_test, recorded_runs

LEVEL: Final = (
    0.01  # of the joint test of a table of diagnostics: so often a run of JAGS is taken for another sampler's
)


def model(case: Case) -> dict[str, Finding]:
    """Findings on section 2.2."""
    return _run(case) | _levels(case) | _equations(case)


def listing_2(case: Case) -> dict[str, Finding]:
    """Findings on Appendix B."""
    average = float(case.as_implied.cate[case.design.group == 0].mean())
    printed = printed_number("table4.te_gender[1].Mean")
    posterior = case.jags_posterior
    quantities = {name.partition("[")[0] for name in posterior.index}
    return {
        "statement.caption-listing-2": Finding(
            {"JAGS runs it": set(case.jags.nodes.index) - {"y"} <= quantities},
            f"JAGS's run of it is recorded with its script: {len(posterior)} quantities, at least "
            f"{posterior['ess'].min():.0f} effective draws.",
        ),
        "statement.gender-specific-effects": Finding(
            {"te_gender is the average effect of that gender": abs(average - printed) < 0.01},
            f"te_gender[1] is {printed:+.3f} in Table 4: a man of average age without anticoagulants and diabetes. "
            f"The average over the men of the trial is {average:+.2f} (log odds ratio of bleeding).",
        ),
    }


def _run(case: Case) -> dict[str, Finding]:
    runs = recorded_runs()
    found = {table: joint_test(table, runs) for table in TABLES}
    # Is each mean of Table 4 that of the long run of JAGS, by the ledger's rule?
    means = {}
    for entry in entries_of("Table 4"):
        if entry.quantity == "Mean":
            own = rows(case.jags_posterior)[entry.row]
            error = printed_number(f"table4.{entry.row}.Time.series.SE")
            ours = Reproduced(own["mean"], mcse=own["mcse_mean"], printed_mcse=error)
            means[entry.row] = not judge(entry.id, ours).fails
    return {
        "statement.implemented-in-jags": Finding(
            {"Tables 5 and 6 are such as runs of JAGS print": min(found.values()) >= LEVEL},
            f"All numbers of a table together, among independent runs of JAGS's default samplers: "
            f"{' and '.join(f'p = {p:.2f} ({table})' for table, p in found.items())}. Another run of JAGS would fail "
            f"at {LEVEL} in one or the other in at most {2 * LEVEL:.0%}.",
        ),
        "statement.listing-2-is-the-model": Finding(
            {"JAGS, given Listing 2, has the posterior means of Table 4": all(means.values())},
            f"{sum(means.values())} of {len(means)} agree within Monte Carlo error.",
        ),
    }


def _levels(case: Case) -> dict[str, Finding]:
    jags = case.jags
    of_effect, of_risk = (set(jags.covariates(of_effect=which)) for which in (True, False))
    # The columns by which random effects of treatment are grouped.
    grouped = [term for term in jags.terms if "treatment" in term and term & set(jags.random_effects)]
    groups = set().union(*grouped) - set(jags.nodes.index) - {"treatment"}
    by_groups, beside = " and ".join(sorted(groups)), sorted(of_effect - groups)
    there = {level: jags.at_level(level) for level in (POPULATION, SUBGROUP, INDIVIDUAL)}
    named = ", ".join(f"{level}: {' '.join(nodes) or 'none'}" for level, nodes in there.items())
    absent = [name for name in COVARIATES if not {name, name.removesuffix("ulant")} & (of_effect | of_risk)]
    average, printed = float(case.as_implied.cate.mean()), printed_number("table4.b_trt.Mean")
    return {
        "statement.three-levels": Finding(
            {"Listing 2 has variables of all three": all(there.values())}, f"In the JAGS text, {named}."
        ),
        "statement.population-level": Finding(
            {"treatment has one": "b_trt" in jags.fixed_effects, "the baseline covariates have": not absent},
            f"Listing 2 leaves out {', '.join(absent) or 'none'}. Of these, systolic pressure is in equation (1).",
        ),
        "statement.subgroup-level": Finding(
            {
                "subgroups have random effects of treatment": bool(groups),
                "subgroups by age or anticoagulant use have": bool(groups & {"age", "anticoag"}),
            },
            f"The only subgroups are those of {by_groups}. Age and anticoagulant use modify the "
            "effect as fixed interactions.",
        ),
        "statement.individual-level": Finding(
            {"Listing 2 has a random effect for each individual": bool(there[INDIVIDUAL])},
            f"In the JAGS text, {named}.",
        ),
        "statement.mu-tau": Finding(
            {"the mean of the subgroups' effects, b_trt, is the average effect": abs(average - printed) < 0.01},
            f"b_trt is {printed:+.3f} in Table 4; the model's effects of the {case.design.n_patients} patients average "
            f"{average:+.2f} (log odds ratio of bleeding). b_trt is of patients of average age without anticoagulants "
            "and diabetes.",
        ),
        "statement.sigma-tau": Finding(
            {"nothing else in Listing 2 lets effects differ between subgroups": not beside},
            f"The variance 1/tau_re_trt is that between the groups by {by_groups}; between subgroups by "
            f"{', '.join(beside) or 'nothing else'} effects differ by fixed interactions, outside it.",
        ),
        "statement.sigma-eta": Finding(
            {"Listing 2 has a variance of effects within subgroups": bool(there[INDIVIDUAL])},
            "Two patients with the same age, anticoagulants, diabetes and gender have the same effect in it.",
        ),
    }


def _equations(case: Case) -> dict[str, Finding]:
    jags = case.jags
    without_treatment = sum("treatment" not in term for term in jags.terms)
    interactions = [term for term in jags.terms if "treatment" in term and len(term) > 2 and "re_trt" not in term]
    as_printed = bool(jags.at_level(INDIVIDUAL)) and not interactions
    about_the_mean = jags.have_law(["re_trt"], "dnorm", "0", "tau_re_trt")
    own_effect = about_the_mean and jags.sums.get("te_gender") == "b_trt + re_trt"
    estimated = jags.have_law(["b_trt"], "dnorm", "0", "1") and "tau_re_trt" in jags.nodes.index
    both = [("re", "tau_re"), ("re_trt", "tau_re_trt")]
    return {
        "statement.equation-5": Finding(
            {"it is a treatment effect: nothing is in it without treatment": without_treatment == 0},
            f"{without_treatment} of the {len(jags.terms)} terms of Listing 2's predictor are there without "
            "treatment. It is the log odds of bleeding; the treatment effect in it is its second term.",
        ),
        "statement.equation-6": Finding(
            {"the subgroups' effects are normal about a common mean": own_effect and estimated},
            "te_gender = b_trt + re_trt, with b_trt in the part of the mean and 1/tau_re_trt as variance.",
        ),
        "statement.logistic-regression": Finding(
            {"the log odds of the outcome are the sum of effects": "logit p" in jags.sums},
            f"In the JAGS text the logit of p[i] is {jags.sums.get('logit p', 'nothing')}: {len(jags.terms)} terms.",
        ),
        "statement.equation-8": Finding(
            {"these are the terms of Listing 2": as_printed},
            f"Listing 2 has {'an' if jags.at_level(INDIVIDUAL) else 'no'} effect of the individual, and "
            f"{len(interactions)} interactions with treatment that the equation lacks. As printed, the subgroup's "
            "effect also acts without treatment.",
        ),
        "statement.equation-9": Finding(
            {"the outcome is Bernoulli in Listing 2": jags.have_law(["y"], "dbern", "p[i]", "")},
            f"y[i] ~ {_law(jags, 'y')}",
        ),
        "statement.equation-10": Finding(
            {"every fixed effect of Listing 2 has it": jags.have_law(jags.fixed_effects, "dnorm", "0", "1")},
            f"{len(jags.fixed_effects)} fixed effects: "
            f"{', '.join(sorted({_law(jags, name) for name in jags.fixed_effects}))}, mean and precision.",
        ),
        "statement.equation-11": Finding(
            {
                "both random effects of Listing 2 have it": all(
                    jags.have_law([re], "dnorm", "0", tau) for re, tau in both
                )
            },
            f"re[k] ~ {_law(jags, 're')}, re_trt[k] ~ {_law(jags, 're_trt')}; dnorm's second argument is a precision.",
        ),
        "statement.hyperpriors": Finding(
            {"both precisions of Listing 2 have it": jags.have_law([tau for _, tau in both], "dgamma", "2", "2")},
            ", ".join(f"{tau} ~ {_law(jags, tau)}" for _, tau in both) + "; shape and rate.",
        ),
    }


def _law(jags: JagsModel, name: str) -> str:
    node = rows(jags.nodes)[name]
    return f"{node['law']}({', '.join(filter(None, (node['first'], node['second'])))})"
