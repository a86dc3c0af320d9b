"""Table 3, the first five records, against each variant of the listing that might have made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hte_utils.ledger.entries import Reproduced
from hte_utils.paper import entries_of, printed
from hte_utils.trial import TrialVariant, simulate_trial

if TYPE_CHECKING:
    from hte_utils.paper import PaperEntry

NOT_THE_ANALYSED_TRIAL = "the first treatment draw of Listing 1 counts: not the trial that the other tables analyse"


def table_three_values(trial: pd.DataFrame) -> dict[str, float | str]:
    """Return the 60 cells of Table 3 under the ids of the ledger.

    Parameters
    ----------
    trial
        Patient table with the columns of Listing 1 and at least five rows.

    Returns
    -------
    dict
        Numbers as numbers, labels (Male, Yes, Control) as text.
    """
    return {entry.id: _cell(trial, entry) for entry in entries_of("Table 3")}


def reproduce_table_three(as_printed: pd.DataFrame, variant: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the cells of Table 3, each marked when only the variant, and not the analysed trial, gives it.

    Parameters
    ----------
    as_printed
        The trial of Tables 1 and 4-8.
    variant
        The trial whose first records Table 3 shows.
    """
    analysed = table_three_values(as_printed)
    return {
        entry_id: Reproduced(value, paper_error=None if value == analysed[entry_id] else NOT_THE_ANALYSED_TRIAL)
        for entry_id, value in table_three_values(variant).items()
    }


def agreement_by_variant(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Count the cells of Table 3 that each variant of Listing 1 reproduces.

    Returns
    -------
    pandas.DataFrame
        One row per variant; columns: cells that agree (of 60), treatments that agree (of 5), the five treatments, and
        the events of the whole trial by arm, which Table 1 prints.
    """
    rows = {str(variant): _agreement(simulate_trial(n_subjects, seed, variant=variant)) for variant in TrialVariant}
    paper = {
        "cells": len(entries_of("Table 3")),
        "treatments": 5,
        "first five treatments": " ".join(e.printed[0] for e in entries_of("Table 3") if e.column == "treatment"),
        "events, control": printed("table1.event.1.count.control"),
        "events, treatment": printed("table1.event.1.count.treatment"),
    }
    return pd.DataFrame.from_dict({"paper (Tables 3 and 1)": paper, **rows}, orient="index")


def _agreement(trial: pd.DataFrame) -> dict[str, int | str]:
    values = table_three_values(trial)
    by_arm = trial.groupby("treatment", observed=True)["event"].sum()
    agrees = {entry.id: _as_printed(values[entry.id]) == entry.printed for entry in entries_of("Table 3")}
    return {
        "cells": sum(agrees.values()),
        "treatments": sum(agree for entry_id, agree in agrees.items() if entry_id.endswith(".treatment")),
        "first five treatments": " ".join(str(arm)[0] for arm in trial["treatment"].iloc[:5]),
        "events, control": int(by_arm["Control"]),
        "events, treatment": int(by_arm["Treatment"]),
    }


def _as_printed(value: float | str) -> str:
    """Write a value as R prints it in Table 3: no trailing zero (31, not 31.0)."""
    return value if isinstance(value, str) else f"{value:g}"


def _cell(trial: pd.DataFrame, entry: PaperEntry) -> float | str:
    row = int(entry.row.removeprefix("subject ")) - 1
    value = trial[entry.column].iloc[row]
    return float(value) if entry.is_number else str(value)


def beside_the_paper(trial: pd.DataFrame) -> pd.DataFrame:
    """Lay the first five records of a trial beside Table 3, with the paper's value wherever the two differ.

    Returns
    -------
    pandas.DataFrame
        One row per column of Table 3, one column per subject, as text.
    """
    values = table_three_values(trial)
    cells = {entry: _as_printed(values[entry.id]) for entry in entries_of("Table 3")}
    table: dict[str, dict[str, str]] = {}
    for entry, ours in cells.items():
        text = ours if ours == entry.printed else f"{ours} [paper: {entry.printed}]"
        table.setdefault(entry.row, {})[entry.column] = text
    return pd.DataFrame(table)
