"""The trial as the analyses see it: who is treated, who had the event, covariates as numbers, what became of the rows.

Which value is the event and which arm is treated is never left to the order of categories: it is named by the question,
or it is 0/1 (or false/true), and the report says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from hte_utils.effects.averages import everybody
from hte_utils.model.checks import FloatArray, IntArray, rows_where
from hte_utils.report.covariates import IMPUTATIONS, Codes, impute, read_codes, require_spread
from hte_utils.report.question import Question
from hte_utils.report.reading import (
    DataError,
    Labels,
    Table,
    labels_of,
    missing_in,
    require_columns,
    values_shown,
)
from hte_utils.report.times import crude_effects, follow_up

_FALSE_TRUE = ({"0": "1"}, {"0.0": "1.0"}, {"False": "True"}, {"FALSE": "TRUE"}, {"false": "true"})


class Arm(NamedTuple):
    """One arm: its value in the table, patients, events, and the share with the event (with times: by the horizon)."""

    label: str
    n: int
    events: int
    rate: float


@dataclass(frozen=True, slots=True, eq=False)
class OwnTrial:
    """A reader's trial, checked.

    `treatment` and `outcome`: float 0/1, shape (patients,). `imputed`: the covariates, in as many versions as there are
    imputations, one if nothing is missing. `group`: place in `group_labels`, all 0 if there is no group. `flow`: what
    became of the rows, in words, with their number. With times, `outcome` is whether the event was seen by the horizon,
    `time` when it was, or how long the patient was watched, at most up to the horizon.
    """

    question: Question
    name: str
    treatment: FloatArray
    outcome: FloatArray
    arms: tuple[str, str]
    event: str
    imputed: tuple[tuple[Codes, ...], ...]
    group: IntArray
    group_labels: tuple[str, ...]
    flow: list[tuple[str, int]]
    missing: dict[str, int]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    time: FloatArray | None = None

    @property
    def n(self) -> int:
        """Number of patients analysed."""
        return self.outcome.size

    @property
    def has_group(self) -> bool:
        """Whether a grouping factor was named."""
        return len(self.group_labels) > 1

    @property
    def covariates(self) -> tuple[Codes, ...]:
        """The covariates, in the first of their imputed versions."""
        return self.imputed[0]

    def matrix(self, number: int = 0) -> FloatArray:
        """Design columns of the covariates in one imputed version, shape (patients, columns)."""
        return np.hstack([codes.columns()[0] for codes in self.imputed[number]])

    def modifier_matrix(self, number: int = 0) -> tuple[FloatArray, int]:
        """Design columns of the modifiers, shape (patients, columns), and for how many the model has a parameter.

        The modifiers' columns come first among the covariates' (`OwnTrial` sorts them so). Without modifiers the one
        parameter that a `TrialSpec` needs multiplies zeros.
        """
        parts = [each.columns()[0] for each in self.imputed[number] if each.name in self.question.effect_modifiers]
        columns = np.hstack(parts) if parts else np.zeros((self.n, 1))
        return columns, columns.shape[1]

    def group_dummies(self) -> FloatArray:
        """A column for each group but the first, shape (patients, groups - 1)."""
        return np.eye(len(self.group_labels))[self.group][:, 1:]

    def arm_counts(self) -> dict[str, Arm]:
        """By role, control first."""
        row = crude_effects(self, everybody(self.n)).iloc[0]
        return {
            role: Arm(label, int(row[f"n_{role}"]), int(row[f"events_{role}"]), float(row[f"rate_{role}"]))
            for role, label in zip(("control", "treated"), self.arms, strict=True)
        }


def own_trial(table: Table | pd.DataFrame, question: Question) -> OwnTrial:
    """Check a table against a question; DataError if it does not allow the report."""
    if isinstance(table, pd.DataFrame):
        table = Table(table, "a pandas DataFrame", [])
    frame, notes = table.frame.rename(columns=str), list(table.notes)
    require_columns(list(frame.columns), question.columns)
    if frame.empty:
        raise DataError("the table has no rows: it needs one row per patient")
    flow, warnings = [("rows in the file", len(frame))], []
    if question.identifier is not None:
        _require_unique(frame, question.identifier)
    arm = _complete_labels(frame, question.treatment, "arm")
    control, treated = _arms(arm, question)
    kept = np.isin(arm.codes, [arm.levels.index(control), arm.levels.index(treated)])
    if not kept.all():
        flow.append((f"in another arm than {treated!r} and {control!r}, left out", int((~kept).sum())))
        frame, arm = frame.loc[kept], Labels(arm.codes[kept], arm.levels)
    outcome = _complete_labels(frame, question.outcome, "outcome")
    event = _event(outcome, question)
    used = [*question.covariates, *question.group]
    missing = {name: int(missing_in(frame[name]).sum()) for name in used}
    missing = {name: count for name, count in missing.items() if count}
    keep = np.ones(len(frame), dtype=bool)
    if missing and question.missing == "refuse":
        counts = ", ".join(f"{name!r} in {count}" for name, count in list(missing.items())[:6])
        more = f" and {len(missing) - 6} more columns" if len(missing) > 6 else ""
        raise DataError(
            f"values are missing (of {len(frame)} patients): {counts}{more}. Choose --missing complete (patients with "
            "all values) or --missing impute"
        )
    if missing and question.missing == "complete":
        keep = ~np.any([missing_in(frame[name]) for name in used], axis=0)
        flow.append(("with a missing covariate, left out (complete cases)", int((~keep).sum())))
        warnings.append(
            f"{int((~keep).sum())} of {len(frame)} patients with missing covariates were left out: the result is about "
            "the others, and unbiased for all only if values are missing at random."
        )
        if not keep.any():
            raise DataError("no patient has all values: choose --missing impute, or name fewer covariates")
    frame = frame.loc[keep]
    treatment = (arm.codes[keep] == arm.levels.index(treated)).astype(np.float64)
    events = (outcome.codes[keep] == outcome.levels.index(event)).astype(np.float64)
    _require_both(
        treatment, question.treatment, f"all patients are in one arm, {(control, treated)[int(treatment[0])]!r}"
    )
    time, known = None, np.ones(len(frame), dtype=bool)
    if question.time is not None:
        time, events, said = follow_up(frame, events, treatment, (control, treated), question)
        known = (events == 1.0) | (time == question.horizon)
        notes += said
    _require_both(events, question.outcome, f"{'every' if events.any() else 'no'} patient has the event {event!r}")
    flow.append(("analysed", len(frame)))
    ordered = sorted(question.covariates, key=lambda name: name not in question.effect_modifiers)  # modifiers first
    codes = [read_codes(frame, name, question, notes) for name in ordered]
    group, group_labels = _group(frame, question, warnings)
    imputed: tuple[tuple[Codes, ...], ...] = (tuple(codes),)
    if any(np.isnan(each.numbers).any() for each in codes):
        imputed = impute(codes, question.seed)
        warnings.append(
            f"Missing covariates were imputed {IMPUTATIONS} times, from the other covariates alone and not from arm or "
            "outcome; estimates are pooled over the imputations."
        )
    for version in imputed:
        for each in version:
            require_spread(each)
    fewest = int(min(events.sum(), (1 - events[known]).sum()))
    if fewest < 20:
        warnings.append(
            f"There are only {fewest} events or non-events: differences between "
            "groups of patients cannot be told from chance."
        )
    return OwnTrial(
        question, table.name, treatment, events, (control, treated), event, imputed, group, group_labels, flow,
        missing, notes, warnings, time,
    )  # fmt: skip


def _require_unique(frame: pd.DataFrame, name: str) -> None:
    repeated = frame[name].duplicated(keep=False).to_numpy()
    if repeated.any():
        raise DataError(
            f"identifiers in column {name!r} are not unique: {str(frame[name][repeated].iloc[0])!r} is repeated in "
            f"{rows_where(repeated, frame.index)}. Keep one row per patient"
        )


def _complete_labels(frame: pd.DataFrame, name: str, what: str) -> Labels:
    bad = missing_in(frame[name])
    if bad.any():
        raise DataError(
            f"the {what} (column {name!r}) is missing in {rows_where(bad, frame.index)}: a report needs it for every "
            "patient. Complete these rows, or take them out and say so"
        )
    return labels_of(frame[name])


def _found(levels: list[str], wanted: str, name: str, what: str, option: str) -> str:
    """The level that reads as the wanted text, or is the same number."""
    for level in levels:
        if level == wanted.strip():
            return level
    for level in levels:
        try:
            if float(level) == float(wanted):
                return level
        except ValueError:
            continue
    raise DataError(
        f"no patient has the {what} {wanted!r} in column {name!r}, which holds {values_shown(levels)}: name one of "
        f"these by --{option}"
    )


def _two_coded(levels: list[str]) -> tuple[str, str] | None:
    """The levels of 0/1 or false/true, the first the one that means no."""
    for pair in _FALSE_TRUE:
        [(no, yes)] = pair.items()
        if set(levels) <= {no, yes}:
            return no, yes
    return None


def _arms(arm: Labels, question: Question) -> tuple[str, str]:
    name, levels = question.treatment, arm.levels
    control, treated = (
        None if wanted is None else _found(levels, wanted, name, "arm", option)
        for wanted, option in ((question.control, "control"), (question.treated, "treated"))
    )
    if len(levels) < 2:
        raise DataError(f"the treatment (column {name!r}) holds one arm only, {values_shown(levels)}: two are needed")
    if control is not None and control == treated:
        raise DataError(f"control and treated arm are both {control!r}: name two arms of column {name!r}")
    coded = _two_coded(levels)
    if control is None and treated is None:
        if coded is None:
            raise DataError(
                f"which arm is the control is not said: column {name!r} holds {values_shown(levels)}. Name it by "
                "--control" + (" and the other by --treated" if len(levels) > 2 else "")
            )
        return coded
    if len(levels) > 2 and (control is None or treated is None):
        raise DataError(
            f"column {name!r} has {len(levels)} arms, {values_shown(levels)}: name the two that are compared, by "
            "--control and --treated, or give --control and --each"
        )
    # Two levels, of which one or both are named; or more, of which both are.
    others = [level for level in levels if level not in (control, treated)]
    return control or others[0], treated or others[0]


def _event(outcome: Labels, question: Question) -> str:
    name, levels = question.outcome, outcome.levels
    if len(levels) > 2:
        raise DataError(
            f"the outcome (column {name!r}) holds {len(levels)} values, {values_shown(levels)}: it must hold two, the "
            "event and its absence. Recode it"
        )
    if question.event is not None:
        return _found(levels, question.event, name, "outcome", "event")
    coded = _two_coded(levels)
    if coded is None:
        raise DataError(
            f"which value is the event is not said: column {name!r} holds {values_shown(levels)}. Name it by --event"
        )
    if coded[1] not in levels:
        raise DataError(
            f"no patient has the event: column {name!r} is {levels[0]!r} for all patients. There is nothing to compare"
        )
    return coded[1]


def _require_both(values: FloatArray, name: str, found: str) -> None:
    if values.min() == values.max():
        raise DataError(f"column {name!r}: {found}. Both values must occur, or there is nothing to compare")


def _group(frame: pd.DataFrame, question: Question, warnings: list[str]) -> tuple[IntArray, tuple[str, ...]]:
    if not question.group:
        return np.zeros(len(frame), dtype=np.int64), ("all patients",)
    parts = []
    for name in question.group:
        labels = labels_of(frame[name])
        texts = np.array([*labels.levels, "missing"], dtype=object)
        parts.append(texts[labels.codes])
    joined = pd.Series([" / ".join(each) for each in zip(*parts, strict=True)], index=frame.index)
    labels = labels_of(joined)
    title = " × ".join(question.group)
    if len(labels.levels) < 2:
        raise DataError(f"group {title!r} has one level only, {values_shown(labels.levels)}: leave it out")
    if len(labels.levels) > len(frame) / 2:
        raise DataError(
            f"group {title!r} has {len(labels.levels)} levels for {len(frame)} patients: groups must have several "
            "members. Name an identifier as --id, measurements as --covariates"
        )
    single = int((np.bincount(labels.codes) == 1).sum())
    if single:
        warnings.append(f"{single} levels of {title!r} have one patient: their effects follow the other levels.")
    return labels.codes, tuple(labels.levels)


def other_arms(table: Table | pd.DataFrame, question: Question) -> list[str]:
    """The levels of the treatment but the control, each of which is to be compared with it."""
    frame = (table if isinstance(table, pd.DataFrame) else table.frame).rename(columns=str)
    require_columns(list(frame.columns), [question.treatment])
    arm = _complete_labels(frame, question.treatment, "arm")
    name = question.treatment
    if question.control is None:
        raise DataError(
            f"which arm is the control is not said: column {name!r} holds {values_shown(arm.levels)}. Name the one "
            "with which each other is compared by --control"
        )
    control = _found(arm.levels, question.control, name, "arm", "control")
    others = [level for level in arm.levels if level != control]
    if not others:
        raise DataError(f"the treatment (column {name!r}) holds one arm only, {control!r}: two are needed")
    return others
