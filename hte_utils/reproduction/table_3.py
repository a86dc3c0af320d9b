"""Table 3, the first five records, against each variant of the listing that might have made it."""

from __future__ import annotations

import pandas as pd

from hte_utils.ledger.entries import Reproduced
from hte_utils.paper import entries_of, printed
from hte_utils.reproduction import beside
from hte_utils.trial import TrialVariant, simulate_trial

NOT_THE_ANALYSED_TRIAL = "the first treatment draw of Listing 1 counts: not the trial that the other tables analyse"


def table_three_values(trial: pd.DataFrame) -> dict[str, float | str]:
    """Return the 60 cells of Table 3 under the ids of the ledger: numbers as numbers, labels (Male, Yes) as text."""
    found: dict[str, float | str] = {}
    for entry in entries_of("Table 3"):
        value = trial[entry.column].iloc[int(entry.row.removeprefix("subject ")) - 1]
        found[entry.id] = float(value) if entry.is_number else str(value)
    return found


def reproduce_table_three(analysed: pd.DataFrame, variant: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the cells of Table 3 from the variant of the trial whose first records it shows.

    Each is marked that only the variant, and not the trial that Tables 1 and 4 to 8 analyse, gives.
    """
    also = table_three_values(analysed)
    return {
        entry_id: Reproduced(value, paper_error=None if value == also[entry_id] else NOT_THE_ANALYSED_TRIAL)
        for entry_id, value in table_three_values(variant).items()
    }


def agreement_by_variant(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Count the cells of Table 3 that each variant of Listing 1 reproduces.

    One row per variant; columns: cells that agree (of 60), treatments that agree (of 5), the five treatments, and the
    events of the whole trial by arm, which Table 1 prints.
    """
    cells = entries_of("Table 3")
    rows = {
        "paper (Tables 3 and 1)": {
            "cells": len(cells),
            "treatments": 5,
            "first five treatments": " ".join(entry.printed[0] for entry in cells if entry.column == "treatment"),
            "events, control": printed("table1.event.1.count.control"),
            "events, treatment": printed("table1.event.1.count.treatment"),
        }
    }
    for variant in TrialVariant:
        trial = simulate_trial(n_subjects, seed, variant=variant)
        values = table_three_values(trial)
        agrees = [entry for entry in cells if _as_printed(values[entry.id]) == entry.printed]
        by_arm = trial.groupby("treatment", observed=True)["event"].sum()
        rows[str(variant)] = {
            "cells": len(agrees),
            "treatments": sum(entry.column == "treatment" for entry in agrees),
            "first five treatments": " ".join(str(arm)[0] for arm in trial["treatment"].iloc[:5]),
            "events, control": int(by_arm["Control"]),
            "events, treatment": int(by_arm["Treatment"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def beside_the_paper(trial: pd.DataFrame) -> pd.DataFrame:
    """Lay the first five records of a trial beside Table 3, with the paper's value wherever the two differ.

    One row per column of Table 3, one column per subject, as text.
    """
    values = table_three_values(trial)
    table: dict[str, dict[str, str]] = {}
    for entry in entries_of("Table 3"):
        table.setdefault(entry.row, {})[entry.column] = beside(entry, _as_printed(values[entry.id]))
    return pd.DataFrame(table)


def _as_printed(value: float | str) -> str:
    """Write a value as R prints it in Table 3: no trailing zero (31, not 31.0)."""
    return value if isinstance(value, str) else f"{value:g}"
