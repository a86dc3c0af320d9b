"""Proof of the published results by whoever builds the book: some replicates are run again, in canonical arithmetic.

The processes that run them are fresh ones in the arithmetic of `hte_utils.study.arithmetic`. Where that and the
versions of the libraries are those that made the results, every value must be the same bit for bit. Where they are not
(another C library, another version) bits cannot be promised; then no value may be further from the stored one than
`TOLERANCE` times the standard deviation of that measure over replicates.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from hte_utils.study.arithmetic import Arithmetic, canonical_environment
from hte_utils.study.block import use_one_thread
from hte_utils.study.published import DIGEST, published_provenance, read_published, verify_published
from hte_utils.study.scenarios import SCENARIOS
from hte_utils.study.verify import Verification

TOLERANCE: Final = 0.1
"""Of a standard deviation over replicates. Other arithmetic can send an iterative method, or one that draws random
numbers, another way; what it finds must still be the same for every practical purpose."""


class NotReproducedError(AssertionError):
    """Replicates that were run again do not give what is stored."""


@dataclass(frozen=True, slots=True, eq=False)
class Recheck:
    """What running published replicates again showed.

    Attributes
    ----------
    checked
        One row for each replicate: ``scenario``, ``method``, ``replicate``, ``identical`` (bit for bit).
    seed
        Of the choice of these replicates.
    n_values
        Number of values that were compared.
    conditions
        Where the arithmetic or the versions of libraries differ from those that made the results; empty if nowhere.
    deviations
        Values that differ visibly: ``scenario``, ``method``, ``replicate``, ``population``, ``column``, ``stored``,
        ``again``, ``in_sd`` (of the difference, in standard deviations over replicates; infinite for texts).
    """

    checked: pd.DataFrame
    seed: int
    n_values: int
    conditions: tuple[str, ...]
    deviations: pd.DataFrame

    @property
    def identical(self) -> bool:
        """Whether every replicate is the same bit for bit."""
        return bool(self.checked["identical"].all())

    @property
    def passed(self) -> bool:
        """Whether it is as it must be: identical, or within `TOLERANCE` where the conditions differ."""
        return self.identical or (bool(self.conditions) and bool((self.deviations["in_sd"] <= TOLERANCE).all()))

    def require(self) -> str:
        """Say in a sentence what was found.

        Raises
        ------
        NotReproducedError
            If the check did not pass.
        """
        n = len(self.checked)
        if not self.passed:
            raise NotReproducedError(
                f"{n - int(self.checked['identical'].sum())} of {n} stored replicates are not reproduced (seed "
                f"{self.seed}; {'; '.join(self.conditions) or 'same arithmetic and versions'}): "
                f"{self.deviations.head(5).to_dict('records')}. Run the study again, or find the cause"
            )
        if self.identical:
            return f"{n} replicates, {self.n_values} values: the same bit for bit"
        return (
            f"{n} replicates, within {TOLERANCE:g} SD over replicates; bits differ, as may be here: "
            f"{'; '.join(self.conditions)}"
        )


def recheck(folder: Path, methods: Sequence[str], *, replicates: int, seed: int, workers: int = 2) -> Recheck:
    """Run published replicates again, in fresh processes with canonical arithmetic.

    Parameters
    ----------
    folder
        The published copy.
    methods
        Only replicates of these methods (the quick ones, say), from `hte_utils.comparators.METHODS`.
    replicates
        How many, all together; at least one for each worker.
    seed
        Decides which.
    workers
        Number of processes.

    Raises
    ------
    ValueError
        As for `hte_utils.study.published.verify_published`.
    """
    shares = [len(range(place, replicates, workers)) for place in range(min(workers, replicates))]
    context = multiprocessing.get_context("spawn")
    with canonical_environment(), ProcessPoolExecutor(len(shares), mp_context=context) as pool:
        asked = [pool.submit(_again, folder, tuple(methods), n, seed + place) for place, n in enumerate(shares)]
        parts = [each.result() for each in asked]
    frame = read_published(folder)
    deviations = pd.concat([part.mismatches for part, _ in parts], ignore_index=True)
    deviations["in_sd"] = [_in_sd(frame, row) for row in deviations.to_dict("records")]
    return Recheck(
        checked=pd.concat([part.checked for part, _ in parts], ignore_index=True),
        seed=seed,
        n_values=sum(part.n_values for part, _ in parts),
        conditions=_conditions(folder, parts),
        deviations=deviations.drop(columns="relative_difference"),
    )


def _again(folder: Path, methods: tuple[str, ...], replicates: int, seed: int) -> tuple[Verification, Arithmetic]:
    """Do it; runs in the fresh process."""
    from hte_utils.comparators import METHODS

    use_one_thread()
    chosen = {name: METHODS[name] for name in methods}
    return verify_published(folder, SCENARIOS, chosen, replicates=replicates, seed=seed), Arithmetic.here()


def _conditions(folder: Path, parts: Sequence[tuple[Verification, Arithmetic]]) -> tuple[str, ...]:
    made = published_provenance(folder)
    found: dict[str, None] = {}
    for part, here in parts:
        for scenario, method in zip(part.checked["scenario"], part.checked["method"], strict=True):
            then = Arithmetic.of(made[scenario, method].arithmetic)
            if then != here:
                found[f"arithmetic {then} -> {here}"] = None
        for changes in part.changes.values():
            found |= dict.fromkeys(change for change in changes if change.startswith("versions"))
    return tuple(found)


def _in_sd(frame: pd.DataFrame, row: Mapping[Hashable, object]) -> float:
    """How far a value is from the stored one, in SD over the replicates of its cell and population."""
    column = str(row["column"])
    if column == DIGEST:
        return 0.0
    stored, again = row["stored"], row["again"]
    if not (isinstance(stored, float) and isinstance(again, float)):
        return float("inf")
    same = (frame["scenario"] == row["scenario"]) & (frame["method"] == row["method"])
    sd = float(frame.loc[same & (frame["population"] == row["population"]), column].std())
    difference = abs(again - stored)
    return difference / sd if sd > 0.0 else (0.0 if difference == 0.0 else float("inf"))
