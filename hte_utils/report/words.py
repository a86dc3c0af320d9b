"""Sentences computed from the numbers of a report. Text only: the page escapes it."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from hte_utils.corrected.effects_report import number_needed, rate_with_error, signed
from hte_utils.report.analysis import Report
from hte_utils.report.columns import OwnTrial
from hte_utils.report.heterogeneity import ANY, LEVEL, MEAN
from hte_utils.report.intervals import PATIENTS

LONGEST = 60
"""Characters of a name or level that are shown in a sentence."""


def short(text: str) -> str:
    """A name on one line, no longer than `LONGEST`."""
    line = " ".join(text.split()) or "(blank)"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def points(row: Any) -> str:
    """A risk difference with its interval in percentage points: ``+1.5 (−0.6 to +3.5)``."""
    if not math.isfinite(row["estimate"]):
        return "–"
    value, lower, upper = (signed(100.0 * row[key], "+.1f") for key in ("estimate", "lower", "upper"))
    return f"{value} ({lower} to {upper})"


def ratio(row: Any, prefix: str = "") -> str:
    """A ratio with its interval."""
    keys = ("estimate", "lower", "upper") if not prefix else (prefix, f"{prefix}_lower", f"{prefix}_upper")
    value, lower, upper = (row[key] for key in keys)
    return f"{value:.2f} ({lower:.2f} to {upper:.2f})" if math.isfinite(value) else "–"


def needed(row: Any, benefit: bool) -> str:
    """Number needed to treat for one more harm (NNH) or benefit (NNB), by what the event is."""
    estimate, lower, upper = (float(row[key]) for key in ("estimate", "lower", "upper"))
    if not math.isfinite(estimate):
        return "–"
    return number_needed(-estimate, -upper, -lower) if benefit else number_needed(estimate, lower, upper)


def percent(share: float) -> str:
    """A probability in per cent."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def null_rate_text(row: Any) -> str:
    """A null rate with its Monte Carlo standard error, in per cent."""
    return rate_with_error(*(float(row[key]) for key in ("null_rate", "null_rate_mcse", "simulated")))


def p_value(p: float) -> str:
    """A p-value as it is printed."""
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def good_or_bad(difference: float, benefit: bool) -> str:
    """Whether more (or fewer) events with treatment are better or worse."""
    if difference == 0.0:
        return "no difference"
    return "better" if (difference > 0.0) == benefit else "worse"


class Sentences:
    """What may be said about one report, and what may not."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.question = report.trial.question
        self.control, self.treated = (f"“{short(label)}”" for label in report.trial.arms)
        self.event = f"“{short(self.question.outcome)}” = “{short(report.trial.event)}”"
        self.by, self.scale = "", "odds"
        if self.question.time is not None:
            self.by, self.scale = f" by {self.question.horizon:g} (“{short(self.question.time)}”)", "hazard"

    def who_is_who(self) -> list[str]:
        """Which value is the event, which arm is treated, and which way is good."""
        kind = "good: more events are benefit" if self.question.benefit else "bad: more events are harm"
        return [
            f"The event is {self.event}. It is taken to be {kind}.",
            f"“Treated” means {self.treated} in column “{short(self.question.treatment)}”, “control” means "
            f"{self.control}. Differences are {self.treated} minus {self.control}.",
        ]

    def headline(self) -> str:
        """The average effect, for the clinician."""
        row = self.report.crude.loc["RISK_DIFFERENCE"]
        control, treated = (100.0 * arm.rate for arm in self.report.trial.arm_counts().values())
        return (
            f"Of 100 patients like these, {control:.1f} have the event{self.by} with {self.control} and {treated:.1f} "
            f"with {self.treated}: {self._more(row)}. {self._certainty(row)}"
        )

    def quintile(self, name: str) -> str:
        """One sentence for one risk group."""
        row: Any = self.report.quintiles.loc[name]
        if not math.isfinite(row["estimate"]):
            until = " up to the horizon" if self.by else ""
            return f"One arm has no patients here{until}, so nothing can be said."
        control, treated = (100.0 * row[f"rate_{arm}"] for arm in ("control", "treated"))
        return (
            f"Of 100 such patients {control:.1f} have the event{self.by} with {self.control} and {treated:.1f} with "
            f"{self.treated}: {self._more(row)}."
        )

    def heterogeneity(self) -> str:
        """Whether the effect differs with risk, by the calibrated test."""
        tests = self.report.tests
        first = tests.tests.iloc[0]
        p = float(first["p"])
        if not math.isfinite(p):
            return "Whether the effect differs between patients cannot be tested here: there are too few events."
        found = f"calibrated p = {p_value(p)}; at a nominal 5 % this test errs in {null_rate_text(first)} of "
        found += f"{tests.simulated} simulated trials without such differences"
        if p < LEVEL:
            return (
                f"There is evidence that the {self.scale} ratio of treatment differs with a patient's risk ({found})."
            )
        return (
            f"There is no evidence that the {self.scale} ratio of treatment differs with a patient's risk ({found}). "
            "This is not evidence that it is the same for all: most trials are too small for such a test."
        )

    def null_rate(self, kind: str) -> str:
        """How often a kind of intervals on heterogeneity errs on this design."""
        rates: Any = self.report.intervals
        if (kind, MEAN) not in rates.index or not math.isfinite(rates.loc[(kind, MEAN), "null_rate"]):
            return (
                f"Null rates of the intervals of {kind} are not known: the simulated trials could not be analysed so."
            )
        mean, some = rates.loc[(kind, MEAN)], rates.loc[(kind, ANY)]
        return (
            f"Intervals of {kind}: in {int(mean['simulated'])} simulated trials of this design without heterogeneity "
            f"an interval missed the true difference in {null_rate_text(mean)} of cases (nominal: 5 %), and at least "
            f"one of them in {null_rate_text(some)} of the trials. So a single one that stands apart is no surprise."
        )

    def patients(self) -> str:
        """For how many patients the model is sure of the direction."""
        shrunken = self.report.shrunken
        if shrunken is None:
            return "There is no model of single patients."
        more, fewer = (f"{100 * share:.0f} %" for share in shrunken.sure)
        return (
            f"By the model {self.treated} causes more events with a probability above 95 % for {more} of the patients, "
            f"and fewer for {fewer}; for the others it is not sure of the direction. This holds if the model does."
            + self._patients_null_rate()
        )

    def _patients_null_rate(self) -> str:
        rates: Any = self.report.intervals
        if (PATIENTS, MEAN) not in rates.index or not math.isfinite(rates.loc[(PATIENTS, MEAN), "null_rate"]):
            return " How often its intervals for single patients miss where there is no heterogeneity is not known."
        rate = rates.loc[(PATIENTS, MEAN)]
        return (
            f" In {int(rate['simulated'])} simulated trials of this design without heterogeneity its 95 % intervals "
            f"missed the true effect of {null_rate_text(rate)} of the patients."
        )

    def iceman(self) -> list[tuple[str, str]]:
        """ICEMAN's questions on the credibility of effect modification (Schandelmaier et al. 2020), where answered."""
        question, tests = self.question, self.report.tests
        fixed = question.status("modifiers")
        n_modifiers = len(tests.single)
        least = float(tests.single["p"].min()) if n_modifiers else math.nan
        return [
            (
                "Was the direction of the effect modification hypothesised beforehand?",
                "Not asked: it is for the reader.",
            ),
            ("Is it supported by earlier evidence?", "Not known here: it is for the reader."),
            (
                "Does a test of interaction suggest that chance is an unlikely explanation?",
                f"Smallest calibrated p of a modifier: {p_value(least)}; of treatment × predicted risk: "
                f"{p_value(float(tests.tests.iloc[0]['p']))}.",
            ),
            (
                "Was only a small number of modifiers tested, or their number accounted for?",
                f"{n_modifiers} were tested ({fixed}); the calibrated p-values account for their number.",
            ),
            (
                "Were arbitrary cut points of continuous modifiers avoided?",
                "Yes in the tests and models, which use the numbers themselves. The subgroups' cut points are "
                f"{question.status('subgroups')}.",
            ),
        ]

    def cannot_be_said(self) -> list[str]:
        """Limits that hold for every trial, and for this one."""
        said = [
            "What treatment does to a single patient: nobody is seen under both treatments. Groups of patients are "
            "compared, and each interval is about a group.",
            "A difference between two groups is not shown by one interval excluding zero and the other not. The test "
            "above is about that difference.",
            f"With one {self.scale} ratio for all patients, risk differences still grow with risk. That is arithmetic "
            "and no sign of patients who respond differently, but it matters for decisions.",
        ]
        if self.question.time is not None:
            said.append(
                "Calibration for benefit, targeting and net benefit need an outcome that is known for every patient: "
                "with patients censored before the horizon this report leaves them out."
            )
        if not self.question.prespecified:
            said.append("Nothing was prespecified (no plan was given): every subgroup and modifier is post hoc.")
        return said

    def censoring(self) -> list[str]:
        """What censoring did, and what the hazard ratio is not."""
        times = self.report.times
        if times is None:
            return []
        control, treated = times.arms.to_dict("index").values()
        return [
            f"Before the horizon of {self.question.horizon:g}, {control['censored']} of {control['n']} patients with "
            f"{self.control} and {treated['censored']} of {treated['n']} with {self.treated} were censored without "
            "event. They count as at risk until then, not as patients without event. Taken for such, they would make "
            f"the risks {percent(control['naive'])} and {percent(treated['naive'])} instead of "
            f"{percent(control['risk'])} and {percent(treated['risk'])}. All this holds if those who left were at the "
            "same risk as those of their arm who stayed; no table can show that.",
            "A hazard ratio is not collapsible: even if it is the same for every patient, that of all patients "
            "together is nearer to 1, and drifts with time, because those at high risk leave first. Risks and "
            "event-free time by the horizon are free of that.",
        ]

    def methods(self) -> str:
        """A methods paragraph to be copied."""
        question, trial = self.question, self.report.trial
        handling = {
            "refuse": "No covariate was missing.",
            "complete": "Patients with a missing covariate were left out.",
            "impute": "Missing covariates were imputed five times from the others, by predictive mean matching.",
        }
        group = (
            f" Levels of {' × '.join(short(name) for name in question.group)} had shrunken effects, Normal(0, 1)."
            if trial.has_group
            else ""
        )
        regression = "logistic regression"
        average = (
            "The average effect is the difference of the arms' event rates with Newcombe's interval; beside it stands "
            "the standardised effect of a logistic regression on arm and covariates, with the delta method's interval. "
        )
        if question.time is not None:
            regression = "regression with proportional, piecewise constant hazards"
            average = (
                f"The average effect is the difference of the arms' risks{self.by} by Kaplan and Meier, with "
                "Newcombe's interval for as many patients as give Greenwood's standard error without censoring; beside "
                "it stands the average by a hierarchical model with piecewise constant hazards and an effect that may "
                "change over time, with its credible interval. Restricted mean times are areas under Kaplan and "
                "Meier's curves, the hazard ratio is Cox's (Efron's ties), all up to the horizon. "
            )
        return (
            f"{average}Patients were ranked by their risk without treatment, as predicted by a {regression} without "
            "interactions that was fitted to the other of five folds, and cut into fifths within folds; arms were "
            "compared within fifths. Tests of heterogeneity were calibrated by "
            f"{question.simulations} trials with outcomes simulated from the fitted model without interactions"
            f"{' and censored as the trial was' if question.time is not None else ''}.{group} "
            f"{handling[question.missing if trial.missing else 'refuse']} Random numbers: seed {question.seed}. "
            "Made by hte_utils.report."
        )

    def _more(self, row: Any) -> str:
        """The difference per 100 patients with its interval, in words."""
        value = 100.0 * float(row["estimate"])
        if round(abs(value), 1) == 0.0:
            size = "no difference to the first decimal"
        else:
            direction = "more" if value > 0.0 else "fewer"
            size = f"{abs(value):.1f} {direction}"
            if not row["lower"] <= 0.0 <= row["upper"]:
                size += f", which is {good_or_bad(value, self.question.benefit)}"
        lower, upper = (signed(100.0 * float(row[key]), "+.1f") for key in ("lower", "upper"))
        return f"{size} (95 % interval {lower} to {upper})"

    def _certainty(self, row: Any) -> str:
        if row["lower"] <= 0.0 <= row["upper"]:
            return "The interval contains 0: the trial does not show on average whether treatment helps or harms."
        better = good_or_bad(float(row["estimate"]), self.question.benefit)
        return f"The interval excludes 0: on average {self.treated} is {better} than {self.control}."


def baseline(trial: OwnTrial) -> pd.DataFrame:
    """Baseline covariates by arm, in numbers: mean and SD, or (where `counts`) patients with a level and their share.

    Columns `covariate`, `value` (the level, or "mean (SD)"), `counts`, `control`, `control_spread`, `treated`,
    `treated_spread`, and `difference`, treated minus control in SD; NaN where it is not known.
    """
    arms = [trial.treatment == 0.0, trial.treatment == 1.0]
    rows = []
    for codes in trial.covariates:
        for place, level in enumerate(codes.levels or ("mean (SD)",)):
            parts = [codes.numbers[arm] == place if codes.levels else codes.numbers[arm] for arm in arms]
            means = [float(part.mean()) for part in parts]
            if codes.levels:
                cells = [(float(part.sum()), share) for part, share in zip(parts, means, strict=True)]
                variance = sum(share * (1.0 - share) for share in means) / 2.0
            else:
                spreads = [float(part.std(ddof=1)) if part.size > 1 else math.nan for part in parts]
                cells = list(zip(means, spreads, strict=True))
                variance = sum(sd**2 for sd in spreads) / 2.0
            gap = (means[1] - means[0]) / math.sqrt(variance) if variance > 0.0 else math.nan
            rows.append((codes.name, level, bool(codes.levels), *cells[0], *cells[1], gap))
    ends = ["control", "control_spread", "treated", "treated_spread", "difference"]
    return pd.DataFrame(rows, columns=["covariate", "value", "counts", *ends])


def table_one(report: Report) -> pd.DataFrame:
    """`baseline` as it is printed: mean (SD) of numbers, n (%) of categories; columns control, treated, difference.

    Tests of baseline differences are left out on purpose, as CONSORT advises.
    """
    rows = []
    for row in baseline(report.trial).to_dict("records"):
        cells = [
            f"{int(row[arm])} ({100 * row[f'{arm}_spread']:.1f} %)"
            if row["counts"]
            else f"{row[arm]:.4g} ({row[f'{arm}_spread']:.3g})"
            for arm in ("control", "treated")
        ]
        gap = signed(row["difference"], "+.2f") if math.isfinite(row["difference"]) else "–"
        rows.append((row["covariate"], row["value"], *cells, gap))
    return pd.DataFrame(rows, columns=["covariate", "value", "control", "treated", "difference (SD)"])
