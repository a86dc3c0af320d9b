"""Which trial is behind which table: the three readings of Listing 1 against Tables 1, 3 and 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from hte_utils import baseline
from hte_utils.first_records import agreement_by_variant
from hte_utils.fit_settings import IndependenceSettings
from hte_utils.ledger.entries import Reproduced, Verdict, judge, z_threshold
from hte_utils.paper_tables import table_4_beside_the_paper
from hte_utils.posterior_store import fit_or_load
from hte_utils.spec import PAPER_SPEC
from hte_utils.trial import TrialVariant, simulate_trial

if TYPE_CHECKING:
    import xarray as xr

SETTINGS: Final = IndependenceSettings(draws=1000, chains=4, seed=20241101)
"""A small fit for each variant; its Monte Carlo error is part of every comparison."""

TABLE_1, TABLE_3, TABLE_4 = "Table 1 (of 90)", "Table 3 (of 60)", "means of Table 4 (of 12)"


def tables_by_variant(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Count the printed numbers that each variant of Listing 1 gives.

    Index: `TrialVariant`. Columns: numbers of Table 1 (exact), cells of Table 3 (exact), and posterior means of
    Table 4 that agree within the ledger's tolerance of the Monte Carlo errors.
    """
    cells = agreement_by_variant(n_subjects, seed)["cells"]
    rows = {}
    for variant in TrialVariant:
        trial = simulate_trial(n_subjects, seed, variant=variant)
        rows[str(variant)] = {
            TABLE_1: _of_table_1(trial),
            TABLE_3: int(cells[str(variant)]),
            TABLE_4: _of_table_4(fit_or_load(PAPER_SPEC.design(trial), settings=SETTINGS)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _of_table_1(trial: pd.DataFrame) -> int:
    values = baseline.table_one_values(baseline.table_one(trial))
    verdicts = [judge(entry_id, Reproduced(value)).verdict for entry_id, value in values.items()]
    return sum(verdict == Verdict.REPRODUCED for verdict in verdicts)


def _of_table_4(posterior: xr.DataTree) -> int:
    gaps = table_4_beside_the_paper(posterior)["difference / error"].astype(float)
    return int((gaps.abs() <= z_threshold()).sum())
