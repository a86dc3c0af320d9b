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

    Those are marked that the trial which Tables 1 and 4 to 8 analyse does not give.
    """
    also = table_three_values(analysed)
    return {
        entry_id: Reproduced(value, paper_error=None if value == also[entry_id] else NOT_THE_ANALYSED_TRIAL)
        for entry_id, value in table_three_values(variant).items()
    }


def agreement_by_variant(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Count what each variant of Listing 1 (a row) reproduces: cells of Table 3 (of 60), treatments (of 5).

    Beside them the five treatments, and the events of the whole trial by arm, which Table 1 prints.
    """
    cells = entries_of("Table 3")
    treatments = " ".join(entry.printed[0] for entry in cells if entry.column == "treatment")
    events = [printed(f"table1.event.1.count.{arm}") for arm in ("control", "treatment")]
    rows = {"paper (Tables 3 and 1)": [len(cells), 5, treatments, *events]}
    for variant in TrialVariant:
        trial = simulate_trial(n_subjects, seed, variant=variant)
        values = table_three_values(trial)
        agrees = [entry for entry in cells if _as_printed(values[entry.id]) == entry.printed]
        right = sum(entry.column == "treatment" for entry in agrees)
        treatments = " ".join(str(arm)[0] for arm in trial["treatment"].iloc[:5])
        by_arm = trial.groupby("treatment", observed=True)["event"].sum()
        rows[str(variant)] = [len(agrees), right, treatments, int(by_arm["Control"]), int(by_arm["Treatment"])]
    columns = ["cells", "treatments", "first five treatments", "events, control", "events, treatment"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def beside_the_paper(trial: pd.DataFrame) -> pd.DataFrame:
    """Lay the first five records of a trial (columns) beside Table 3, with the paper's value where the two differ."""
    values = table_three_values(trial)
    table: dict[str, dict[str, str]] = {}
    for entry in entries_of("Table 3"):
        table.setdefault(entry.row, {})[entry.column] = beside(entry, _as_printed(values[entry.id]))
    return pd.DataFrame(table)


def _as_printed(value: float | str) -> str:
    """Write a value as R prints it in Table 3: no trailing zero (31, not 31.0)."""
    return value if isinstance(value, str) else f"{value:g}"
