"""The report as one HTML file that loads nothing: a first page for the clinician, then the statistician's part.

The order is that of the PATH statement (Kent et al. 2020) and CONSORT 2025, items 21 and 26. Whatever comes from the
reader's table or plan is text and goes through `html.escape`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from hte_utils.corrected.effects_report import signed
from hte_utils.ledger.notebooks import write_whole
from hte_utils.report.analysis import Report
from hte_utils.report.each import overview_part
from hte_utils.report.figures import Scale, arm_pictures
from hte_utils.report.html import CSS, items, paragraphs, table
from hte_utils.report.intervals import ALONE, FIFTHS, SHRUNKEN
from hte_utils.report.words import (
    Sentences,
    needed,
    null_rate_text,
    p_value,
    percent,
    points,
    ratio,
    short,
    table_one,
)
from hte_utils.style import BLUE, GREY, VERMILION


def page(*reports: Report) -> str:
    """The whole page; of several comparisons with one control, an overview and a part for each."""
    first = reports[0].trial
    title = short(first.question.title or f"Treatment effects in {first.name}")
    parts = [f"<h1>{escape(title)}</h1>"]
    if len(reports) == 1:
        parts += _parts(reports[0])
    else:
        parts.append(overview_part(reports))
        for number, report in enumerate(reports, start=1):
            control, treated = (short(label) for label in report.trial.arms)
            parts += [f'<h1 id="part-{number}">{escape(f"{treated} against {control}")}</h1>', *_parts(report)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _parts(report: Report) -> list[str]:
    words = Sentences(report)
    return [
        _first_page(report, words),
        _question(report, words),
        _patients(report),
        _average(report),
        _times(report, words),
        _quintiles(report, words),
        _subgroups(report, words),
        _patients_effects(report, words),
        _heterogeneity(report, words),
        _decisions(report),
        _end(report, words),
    ]


def _first_page(report: Report, words: Sentences) -> str:
    control, treated = (arm.rate for arm in report.trial.arm_counts().values())
    labels = (short(report.trial.arms[0]), short(report.trial.arms[1]))
    cards = []
    for name, row in report.quintiles.iterrows():
        place = {"Q1": " (lowest risk)", "Q5": " (highest risk)"}.get(str(name), "")
        picture = ""
        if np.isfinite(row["estimate"]):
            picture = arm_pictures(row["rate_control"], row["rate_treated"], labels)
        risk = f"predicted risk without treatment {percent(row['risk'])}"
        cards.append(
            f'<section class="card"><h3>Fifth {str(name)[1:]}{place}</h3><p class="small">{risk}</p>{picture}'
            f"<p>{escape(words.quintile(str(name)))}</p></section>"
        )
    return (
        paragraphs(words.who_is_who())
        + f'<p class="lead">{escape(words.headline())}</p>'
        + arm_pictures(control, treated, labels)
        + "<h3>By risk: the patients in five groups, from those least to those most at risk</h3>"
        + f'<div class="quintiles">{"".join(cards)}</div>'
        + paragraphs([words.heterogeneity()])
        + "<h3>What cannot be said</h3>"
        + items(words.cannot_be_said())
        + "".join(f'<p class="warning">{escape(each)}</p>' for each in report.warnings)
    )


def _question(report: Report, words: Sentences) -> str:
    question, trial = report.trial.question, report.trial
    rows = [
        ("outcome and event", words.event, question.status("outcome")),
        *([("risks" + words.by, "by Kaplan and Meier", question.status("horizon"))] if report.times else []),
        ("arms", f"{words.treated} against {words.control}", question.status("treatment")),
        ("covariates", ", ".join(short(each) for each in question.covariates), question.status("covariates")),
        (
            "modifiers",
            ", ".join(short(each) for each in question.effect_modifiers) or "none",
            question.status("modifiers"),
        ),
        ("group", ", ".join(short(each) for each in question.group) or "none", question.status("group")),
    ]
    coded = [
        (
            short(each.name),
            f"reference {short(each.levels[0])}, a dummy for each other level"
            if each.levels
            else "natural cubic spline: per SD, and its bends"
            if each.curved
            else "per SD",
        )
        for each in trial.covariates
    ]
    if trial.has_group:
        coded.append(
            (" × ".join(short(each) for each in question.group), f"{len(trial.group_labels)} levels, shrunken")
        )
    return (
        "<h2>For the statistician: what was asked, and of whom</h2>"
        + table("The question", ["part", "what", "fixed"], rows, prose=True)
        + table("How covariates enter the models", ["column", "coding"], coded, prose=True)
    )


def _patients(report: Report) -> str:
    trial = report.trial
    flow = [(what, str(count)) for what, count in trial.flow]
    missing = [(short(name), str(count)) for name, count in trial.missing.items()]
    arms = [
        (role, short(arm.label), str(arm.n), str(arm.events), f"{100 * arm.rate:.1f} %")
        for role, arm in trial.arm_counts().items()
    ]
    baseline = [tuple(short(str(each)) for each in row) for row in table_one(report).itertuples(index=False)]
    return (
        "<h2>Patients</h2>"
        + table("Flow of the rows", ["rows", "number"], flow)
        + table("Missing covariates", ["column", "patients"], missing or [("none", "0")])
        + items(trial.notes)
        + table("Arms", ["role", "arm", "patients", "events", "rate"], arms)
        + table("Baseline (Table 1)", ["covariate", "value", "control", "treated", "difference (SD)"], baseline)
    )


def _average(report: Report) -> str:
    benefit = report.trial.question.benefit
    rows = []
    for name, found in (("crude", report.crude), ("standardised", report.standardised)):
        difference = found.loc["RISK_DIFFERENCE"]
        odds = found.loc["MARGINAL_LOG_ODDS_RATIO"]
        rows.append(
            (name, points(difference), needed(difference, benefit), ratio(found.loc["RISK_RATIO"]), _log_odds(odds))
        )
    header = ["estimate", "risk difference (points)", "number needed", "risk ratio", "log odds ratio, marginal"]
    return "<h2>Average effect</h2>" + table("Absolute and relative, with 95 % intervals", header, rows)


def _times(report: Report, words: Sentences) -> str:
    if report.times is None:
        return ""
    times = report.times
    rows = []
    for role, arm in zip(("control", "treated"), times.arms.to_dict("records"), strict=True):
        counts = [str(arm[key]) for key in ("n", "events", "censored")]
        risks = [percent(arm[key]) for key in ("risk", "se", "naive")]
        rows.append(
            (role, *counts, *risks, f"{arm['event_free']:.4g} (SE {arm['event_free_se']:.3g})".replace("nan", "–"))
        )
    header = ["arm", "patients", "events", "censored", "risk", "SE", "censored as if without event", "event-free time"]
    gained = [signed(times.gained[key], "+.4g") for key in ("estimate", "lower", "upper")]
    effects = [
        (
            "event-free time up to the horizon, treated minus control",
            "{} ({} to {})".format(*gained).replace("+nan", "–"),
        ),
        ("hazard ratio up to the horizon (Cox)", ratio(times.hazard_ratio)),
        ("log-rank test up to the horizon, p", p_value(times.log_rank_p)),
    ]
    return (
        "<h2>Times and censoring</h2>"
        + paragraphs(words.censoring())
        + table(f"Follow-up, and risks{words.by} by Kaplan and Meier", header, rows)
        + table("Effects on times", ["measure", "estimate (95 % interval)"], effects)
    )


def _log_odds(row: object) -> str:
    value, lower, upper = (float(row[key]) for key in ("estimate", "lower", "upper"))  # type: ignore[index]
    return "–" if value != value else f"{value:+.2f} ({lower:+.2f} to {upper:+.2f})".replace("-", "−")


def _quintiles(report: Report, words: Sentences) -> str:
    frame, benefit = report.quintiles, report.trial.question.benefit
    scale = Scale([100.0 * each for each in frame[["lower", "upper"]].to_numpy().ravel()])
    rows = [
        (
            str(name),
            percent(row["risk"]),
            f"{int(row['events_treated'])}/{int(row['n_treated'])}",
            f"{int(row['events_control'])}/{int(row['n_control'])}",
            scale.interval((100 * row["estimate"], 100 * row["lower"], 100 * row["upper"], BLUE)),
            points(row),
            needed(row, benefit),
            ratio(row, "ratio"),
        )
        for name, row in frame.iterrows()
    ]
    rows.append(("", "", "", "", scale.axis(), "", "", ""))
    header = [
        "fifth",
        "predicted risk",
        "treated",
        "control",
        "risk difference (points)",
        "",
        "number needed",
        "risk ratio",
    ]
    return (
        "<h2>Effects by cross-fitted risk</h2>"
        + table("Fifths of risk", header, rows, raw=[4])
        + paragraphs([words.null_rate(FIFTHS)])
        + _null_rates(report, {"fifths": FIFTHS})
    )


def _subgroups(report: Report, words: Sentences) -> str:
    if report.shrunken is None:
        return ""
    frame = report.shrunken.subgroups
    columns = ["estimate", "lower", "upper", "mean", "model_lower", "model_upper"]
    scale = Scale([100 * float(each) for each in frame[columns].to_numpy().ravel()])
    rows = []
    for name, row in frame.iterrows():
        crude, model = [100 * row[key] for key in columns[:3]], [100 * row[key] for key in columns[3:]]
        shrunk = {"estimate": row["mean"], "lower": row["model_lower"], "upper": row["model_upper"]}
        counts = [f"{int(row[f'events_{arm}'])}/{int(row[f'n_{arm}'])}" for arm in ("treated", "control")]
        picture = scale.interval((*crude, GREY), (*model, VERMILION))
        rows.append((short(str(name)), *counts, picture, points(row), points(shrunk)))
    rows.append(("", "", "", scale.axis(), "", ""))
    header = ["subgroup", "treated", "control", "risk difference (points)", "alone (grey)", "shrunken (red)"]
    status = report.trial.question.status("subgroups")
    said = [
        f"The subgroups are {status}. “Alone” compares the arms inside the subgroup; “shrunken” is the average effect "
        "of its patients by the hierarchical model, whose interactions share a size that the trial has a say in. "
        "Whether subgroups differ is for the tests of heterogeneity."
    ]
    if report.shrunken.group_as_covariate:
        said.append("The group has many levels: it entered that model as one covariate, its levels' shrunken log odds.")
    return (
        "<h2>Subgroups</h2>"
        + paragraphs(said)
        + table("Effects in subgroups", header, rows, raw=[3])
        + paragraphs([words.null_rate(ALONE), words.null_rate(SHRUNKEN)])
        + _null_rates(report, {"alone": ALONE, "shrunken": SHRUNKEN})
    )


def _null_rates(report: Report, kinds: dict[str, str]) -> str:
    """A table of intervals by kind (its name in the header)."""
    chosen = report.intervals.index.get_level_values(0).isin(kinds.values())
    names = dict.fromkeys(str(name) for _, name in report.intervals.index[chosen])
    rows = [(short(name), *(null_rate_text(report.null_rate(kind, name)) for kind in kinds.values())) for name in names]
    return table("Null rates of these intervals ± MCSE (nominal: 5 %)", ["interval of", *kinds], rows)


def _patients_effects(report: Report, words: Sentences) -> str:
    if report.shrunken is None:
        return ""
    found = report.shrunken
    rows = [
        (f"{100 * quantile:.0f} %", *(signed(100 * row[name], "+.1f") for name in ("mean", "lower", "upper")))
        for quantile, row in zip(found.patients.index, found.patients.to_dict("records"), strict=True)
    ]
    header = ["share of patients below", "risk difference (points)", "lower ends", "upper ends"]
    sensitivity = [
        (f"{scale:g}", points(row | {"estimate": row["mean"]}), f"{100 * row['sd_patients']:.2f}")
        for scale, row in zip(found.sensitivity.index, found.sensitivity.to_dict("records"), strict=True)
    ]
    engines = ", ".join(sorted({f"{fit.sampler} ({fit.ess:.0f} effective draws)" for fit in found.fits}))
    return (
        "<h2>Single patients, by the model</h2>"
        + paragraphs([words.patients()])
        + table("Predicted effects and the ends of their 95 % credible intervals, over patients", header, rows)
        + table(
            "Sensitivity to the prior of the interactions' size",
            ["scale", "average risk difference (points)", "SD over patients (points)"],
            sensitivity,
        )
        + paragraphs([f"Engine: {engines}. Every check of every fit was passed; a fit that fails is not reported."])
    )


def _decisions(report: Report) -> str:
    if report.predicted is None:
        return ""
    found = report.predicted
    rows = [
        (f"{100 * threshold:g}", f"{100 * row['treated']:.0f} %", *_per_thousand(row))
        for threshold, row in zip(found.net_benefit.index, found.net_benefit.to_dict("records"), strict=True)
    ]
    header = ["threshold (points)", "treated", "net benefit, those above it", "net benefit, everybody"]
    numbers = [
        ("slope of observed on predicted log odds ratios (1: calibrated, 0: no relation)", f"{found.slope:.2f}"),
        ("C-for-benefit (0.5: chance)", f"{found.concordance:.2f}"),
        ("AUTOC (0: no better than chance), points", signed(100 * found.autoc, "+.2f")),
    ]
    said = (
        "Effects were predicted for each patient by a regression that has not seen the patient's fold, and held "
        "against the outcomes. Estimates only: intervals of cross-fitted statistics err; the calibrated tests say "
        "whether there is anything to predict. Net benefit: per 1000 patients, events avoided (or gained, if they "
        "are good) less the threshold for each patient treated; treating nobody has 0."
    )
    return (
        "<h2>Predicted effects and decisions</h2>"
        + paragraphs([said])
        + table("Calibration for benefit and discrimination", ["measure", "estimate"], numbers)
        + table("Treat those whose predicted benefit exceeds a threshold", header, rows)
    )


def _per_thousand(row: dict[Hashable, Any]) -> list[str]:
    return [signed(1000 * row[name], "+.1f") for name in ("net_benefit", "everybody")]


def _heterogeneity(report: Report, words: Sentences) -> str:
    tests = report.tests
    rows = [
        (
            str(name),
            "–" if np.isnan(row["statistic"]) else f"{row['statistic']:.2f}",
            p_value(row["nominal_p"]),
            _with_error(p_value(row["p"]), f"{row['p_mcse']:.3f}"),
            null_rate_text(row),
        )
        for name, row in tests.tests.iterrows()
    ]
    header = ["test", "statistic", "nominal p", "calibrated p (counts) ± MCSE", "null rate at nominal 5 % ± MCSE"]
    single = [
        (short(str(name)), signed(row["z"], "+.2f"), p_value(row["nominal_p"]), p_value(row["p"]))
        for name, row in tests.single.iterrows()
    ]
    found = "<h2>Heterogeneity</h2>" + paragraphs([words.heterogeneity()]) + table("Tests", header, rows)
    if single:
        header = ["modifier", "z (+: more events with treatment)", "nominal p", "p, calibrated for all modifiers"]
        found += table("Single modifiers", header, single)
        found += table(
            "Credibility of effect modification: ICEMAN's questions", ["question", "answer"], words.iceman(), prose=True
        )
    return found


def _with_error(value: str, error: str) -> str:
    return value if value == "–" else f"{value} ± {error}"


def _end(report: Report, words: Sentences) -> str:
    numbers = report.numbers()
    rows = [
        ("seed", str(numbers["seed"])),
        ("data (SHA-256 of what was analysed)", report.data_digest),
        ("plan (SHA-256)", report.trial.question.plan_digest or "no plan was given"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in numbers["versions"].items())),
    ]
    return "<h2>Methods</h2>" + paragraphs([words.methods()]) + table("Provenance", ["what", "value"], rows, prose=True)


def write_page(report: Report | Sequence[Report], path: str | Path) -> None:
    """Write the page of one report, or of several; an existing file is replaced whole or not at all."""
    _write(page(*_all(report)), path)


def write_json(report: Report | Sequence[Report], path: str | Path) -> None:
    """Write every number as JSON, of several reports in a list `comparisons`; files as by `write_page`."""
    numbers = [each.numbers() for each in _all(report)]
    content = numbers[0] if len(numbers) == 1 else {"comparisons": numbers}
    _write(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", path)


def _all(report: Report | Sequence[Report]) -> Sequence[Report]:
    return [report] if isinstance(report, Report) else report


def _write(text: str, path: str | Path) -> None:
    write_whole(Path(path), text.encode("utf-8", errors="replace"))  # a name may hold what UTF-8 has no place for
