"""Count the false alarms that the replay raises when only the seed of the sampler changes.

    python benchmarks/false_alarms.py [--seeds 20]

Fits the paper's trial with the book's settings and other seeds, computes every printed number of Tables 4, 7 and 8 as
the chapters do, and holds the entries against the recorded run by the rule of the replay. (Tables 1, 3, 5 and 6 do not
depend on this sampler.) The output of the last run is in ``benchmarks/false_alarms.txt``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hte_utils import PAPER_SPEC, simulate_trial, simulate_truth
from hte_utils.ledger import record
from hte_utils.ledger.notebooks import Project, paper_ledger
from hte_utils.ledger.replay import differences
from hte_utils.model.fit import fit
from hte_utils.model.store import BOOK_SETTINGS
from hte_utils.reproduction.table_4 import table_4
from hte_utils.reproduction.tables_5_6 import recorded_runs, time_series_se
from hte_utils.reproduction.tables_7_8 import given_table_4

if TYPE_CHECKING:
    from hte_utils.ledger import LedgerEntry

ITEMS = ("Table 4", "Table 7", "Table 8")


def entries_with_seed(seed: int) -> list[LedgerEntry]:
    """Ledger entries of Tables 4, 7 and 8 from a fit with this seed."""
    design, truth = PAPER_SPEC.design(simulate_trial()), simulate_truth().treatment_effect
    posterior = fit(design, settings=replace(BOOK_SETTINGS, seed=seed))
    tables = {"Table 4": table_4(posterior, time_series_se(recorded_runs()))} | given_table_4(posterior, design, truth)
    return [entry for item, table in tables.items() for entry in record(item, table).entries]


def main() -> None:
    """Print one line a seed, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds other than the book's (1, 2, 3, ...)")
    seeds = range(1, parser.parse_args().seeds + 1)
    recorded = [entry for entry in paper_ledger(Project.find()) if entry.item in ITEMS]
    alarms = 0
    for seed in seeds:
        started = time.perf_counter()
        found = differences(entries_with_seed(seed), recorded)
        alarms += len(found)
        print(f"seed {seed:>3}: {len(recorded)} entries, {len(found)} alarms, {time.perf_counter() - started:.1f} s")
        for text in found:
            print(f"    {text}")
    print(f"{len(seeds)} seeds, {len(seeds) * len(recorded)} comparisons, {alarms} false alarms")


if __name__ == "__main__":
    main()
