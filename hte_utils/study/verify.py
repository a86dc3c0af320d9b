"""Proof of stored results: some replicates, chosen afresh, are run again and must be the same bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from hte_utils.r_arguments import checked_count
from hte_utils.study.block import Block, compute
from hte_utils.study.cell import CellDefinition
from hte_utils.study.table import COMPARED, ROW_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from hte_utils.comparators.estimates import Method
    from hte_utils.study.scenario import Scenario
    from hte_utils.study.store import StudyStore


type Run = tuple[str, str, int]
"""Scenario, method and number of a replicate."""


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What running stored replicates again showed.

    Attributes
    ----------
    checked
        One row for each replicate that was run again: ``scenario``, ``method``, ``replicate``, ``identical``.
    mismatches
        One row for each value that differs: ``scenario``, ``method``, ``replicate``, ``population``, ``column``,
        ``stored``, ``again``, and for numbers ``relative_difference`` (else NaN).
    n_values
        Number of values that were compared.
    changes
        Where code, libraries or settings differ from those that made the results, by scenario and method; a reason why
        values may differ, and no failure by itself.
    """

    checked: pd.DataFrame
    mismatches: pd.DataFrame
    n_values: int
    changes: Mapping[tuple[str, str], list[str]]

    @classmethod
    def of(
        cls,
        checked: list[dict[str, Any]],
        mismatches: list[dict[str, Any]],
        n_values: int,
        changes: Mapping[tuple[str, str], list[str]],
    ) -> Self:
        """Make it from rows."""
        columns = ["scenario", "method", "replicate", "population", "column", "stored", "again", "relative_difference"]
        return cls(pd.DataFrame(checked), pd.DataFrame(mismatches, columns=columns), n_values, changes)

    @property
    def passed(self) -> bool:
        """Whether every value was the same bit for bit."""
        return self.mismatches.empty


def verify(
    store: StudyStore,
    scenarios: Mapping[str, Scenario],
    methods: Mapping[str, Method],
    *,
    replicates: int = 5,
    seed: int | None = None,
) -> Verification:
    """Run some stored replicates again and compare.

    Parameters
    ----------
    store
        The stored results.
    scenarios, methods
        By name. Cells of scenarios or methods that are not among them are left alone, so that slow methods can be.
    replicates
        How many to run again; each is one replicate of one scenario with one method, chosen with equal probability.
    seed
        Of that choice; None chooses anew each time.

    Returns
    -------
    Verification
        What was checked and what differs.

    Raises
    ------
    ValueError
        If the store has nothing that could be checked.
    """
    count = checked_count("replicates", replicates, least=1, most=1_000_000)
    cells = [cell for cell in store.cells() if cell[0] in scenarios and cell[1] in methods]
    stored = [(*cell, number) for cell in cells for number in sorted(store.done(*cell))]
    checked, mismatches, n_values = [], [], 0
    changes: dict[tuple[str, str], list[str]] = {}
    for scenario, method, number in choose(stored, count, seed, store.folder):
        then = store.provenance(scenario, method).definition
        now = CellDefinition.of(scenarios[scenario], methods[method], then.seed)
        changes |= changes_since(then, now)
        block = Block(scenarios[scenario], (methods[method],), (number,), then.seed, (now.digest,))
        again = compute(block)[method].to_pandas()
        before = store.read([scenario], [method])
        found = _differences(before[before["replicate"] == number], again)
        n_values += len(again) * len(COMPARED)
        checked.append({"scenario": scenario, "method": method, "replicate": number, "identical": not found})
        mismatches += [{"scenario": scenario, "method": method, "replicate": number} | row for row in found]
    return Verification.of(checked, mismatches, n_values, changes)


def choose(stored: Sequence[Run], count: int, seed: int | None, place: Path) -> list[Run]:
    """Choose runs at random, each with equal probability and at most once; in the order in which they are stored.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not stored:
        raise ValueError(f"{place} has no results of these scenarios and methods; name others")
    chosen = np.random.default_rng(seed).choice(len(stored), size=min(count, len(stored)), replace=False)
    return [stored[number] for number in sorted(chosen)]


def changes_since(then: CellDefinition, now: CellDefinition) -> dict[tuple[str, str], list[str]]:
    """Where the definition of a cell has changed, under the cell's key; empty if nowhere."""
    differences = then.differences(now)
    return {(then.scenario["name"], then.method["name"]): differences} if differences else {}


def _differences(before: pd.DataFrame, again: pd.DataFrame) -> list[dict[str, Any]]:
    """Every compared value that is not the same bit for bit; NaN equals NaN."""
    old, new = (frame.astype({"population": str}).set_index(list(ROW_KEY)).sort_index() for frame in (before, again))
    if not old.index.equals(new.index):
        raise ValueError(
            f"the stored rows are {list(old.index)}, run again they are {list(new.index)}: other populations"
        )
    return [
        {
            "population": key[1],
            "column": name,
            "stored": ours,
            "again": theirs,
            "relative_difference": _relative(ours, theirs),
        }
        for name in COMPARED
        for key, ours, theirs in zip(old.index, old[name], new[name], strict=True)
        if not _same(ours, theirs)
    ]


def _same(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return np.float64(ours).tobytes() == np.float64(theirs).tobytes() or (np.isnan(ours) and np.isnan(theirs))
    return ours == theirs


def _relative(ours: object, theirs: object) -> float:
    if not (isinstance(ours, float) and isinstance(theirs, float)):
        return float("nan")
    return abs(theirs - ours) / max(abs(ours), abs(theirs))
