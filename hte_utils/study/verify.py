"""Proof of stored results: some replicates, chosen afresh, are run again, and every value must come out again.

Not bit for bit: processors, numbers of threads and versions of BLAS add up in other orders. How far a value may lie
from the stored one is derived from how it was made:

- *rounding of a copy*: with b bits of each number it is off by 2^-b of the value at most;
- *rounding of the arithmetic*, carried through: `ROUNDING` of the value's own scale (the larger of its size and its
  standard deviation over replicates). Double precision has 1e-16, and the linear algebra here loses eight digits at
  the worst; all that a method computes directly (`RegisteredMethod.exact`) must agree to this;
- *iteration and random numbers*: `SHARE_OF_SD` of the standard deviation over replicates, where rounding can send an
  optimiser, a tree or an acceptance another way. What is found must still be the same for every practical purpose, and
  a value that was moved by a tenth of its standard deviation is seen;
- *shares of patients*: one patient whose estimate lies on the border.

Runs that fell back to NUTS are not chosen: its chains are another sample after some hundred steps of other rounding.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hte_utils.ledger.report import Proof
from hte_utils.methods.estimates import Method
from hte_utils.methods.measures import MEASURES
from hte_utils.model.threads import one_thread
from hte_utils.study.replicate import NUTS_FALLBACK, POPULATION, TRIAL, replicate, replicate_seed
from hte_utils.study.scenarios import Scenario
from hte_utils.study.store import CELL, KEYS, StudyStore, is_profile, rounded

ROUNDING: Final = 1e-6
SHARE_OF_SD: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What running stored replicates again showed; `seed` chose them.

    Attributes
    ----------
    checked
        One row for each replicate: ``scenario``, ``method``, ``replicate``, ``values`` (how many were compared),
        ``equal`` (how many of them are the stored number to its last bit), ``largest`` (difference of the others, as a
        share of what is allowed).
    failures
        One row for each value that is further away than allowed: `KEYS`, ``column``, ``stored``, ``again``,
        ``allowed``.
    """

    checked: pd.DataFrame
    failures: pd.DataFrame
    seed: int

    @property
    def passed(self) -> bool:
        """Whether every value came out again."""
        return self.failures.empty

    def proof(self, name: str = "study") -> Proof:
        """Show it on a page."""
        values, equal = int(self.checked["values"].sum()), int(self.checked["equal"].sum())
        largest = f"; the largest difference of the others is {self.checked['largest'].max():.2g} of what is allowed"
        others = largest if equal < values else ""
        return Proof(
            name,
            f"{len(self.checked)} stored runs, chosen at random (seed {self.seed}), were run again, and {values} "
            f"values compared: {equal} are equal to the last bit that is stored{others}.",
            self.failures,
        )


def verify(
    store: StudyStore,
    scenarios: Mapping[str, Scenario],
    methods: Mapping[str, Method],
    *,
    replicates: int = 5,
    seed: int | None = None,
    results: pd.DataFrame | None = None,
) -> Verification:
    """Run some stored replicates again and compare.

    Parameters
    ----------
    store, results
        A study's store or a copy; and what it holds, if that was read already.
    scenarios, methods
        By name. What is stored of others is left alone, so that slow methods can be.
    replicates
        How many to run again; each is one replicate of one scenario with one method, chosen with equal probability.
    seed
        Of that choice; None chooses anew each time.
    """
    stored = store.read() if results is None else results
    seeds, bits = store.seeds(), store.bits()
    drawn_by = secrets.randbelow(2**32) if seed is None else seed
    checked, failures = [], []
    for key in _choose(stored, scenarios, methods, replicates, drawn_by):
        scenario, method, number = key
        with one_thread():  # as a study does
            own = replicate_seed(seeds[scenario, method], scenario, number)
            again = pd.DataFrame(replicate(scenarios[scenario], (methods[method],), own)).set_index("population")
        cell = stored[(stored["scenario"] == scenario) & (stored["method"] == method)]
        exact = getattr(methods[method], "exact", False)
        found = _compared(cell, number, again, scenarios[scenario], exact=exact, bits=bits)
        found = found.assign(scenario=scenario, method=method, replicate=number)
        checked.append((*key, len(found), int((found["ratio"] == 0.0).sum()), found["ratio"].max()))
        failures.append(found[~(found["ratio"] <= 1.0)])
    return Verification(
        pd.DataFrame(checked, columns=[*CELL, "replicate", "values", "equal", "largest"]),
        pd.concat(failures, ignore_index=True)[[*KEYS, "column", "stored", "again", "allowed"]],
        drawn_by,
    )


def _choose(
    stored: pd.DataFrame, scenarios: Mapping[str, Scenario], methods: Mapping[str, Method], count: int, seed: int
) -> list[tuple[str, str, int]]:
    """Choose runs at random, each with equal probability and at most once; in the order in which they are stored."""
    known = stored["scenario"].isin(list(scenarios)) & stored["method"].isin(list(methods))
    chained = stored.loc[stored["flags"].str.contains(NUTS_FALLBACK), [*CELL, "replicate"]].drop_duplicates()
    runs = stored.loc[known, [*CELL, "replicate"]].drop_duplicates().astype({"scenario": str, "method": str})
    excluded = set(chained.itertuples(index=False, name=None))
    listed = [(s, m, int(r)) for s, m, r in runs.itertuples(index=False) if (s, m, r) not in excluded]
    if not listed:
        raise ValueError("there are no results of these scenarios and methods; name others")
    chosen = np.random.default_rng(seed).choice(len(listed), size=min(count, len(listed)), replace=False)
    return [listed[place] for place in sorted(chosen)]


def _compared(
    cell: pd.DataFrame, number: int, fresh: pd.DataFrame, scenario: Scenario, *, exact: bool, bits: int
) -> pd.DataFrame:
    """Every value that is kept of a replicate beside the one found now; `ratio` is distance over allowed distance."""
    cell = cell.astype({"population": str})
    stored = cell[cell["replicate"] == number].set_index("population")
    again = fresh.loc[stored.index]
    texts = _beside({"stored": stored[["error", "flags"]], "again": again[["error", "flags"]]})
    texts = texts.assign(allowed=0.0, ratio=np.where(texts["stored"] == texts["again"], 0.0, np.inf))
    names = [name for name in MEASURES if name in cell]
    spread = cell.groupby("population")[names].std().loc[stored.index]
    found = _beside({"stored": stored[names], "again": again[names], "spread": spread})
    found = found[~(found["stored"].isna() & is_profile(found["population"]))]  # a copy does not keep them
    allowed = _allowed(found, scenario, exact=exact, bits=bits)
    distance = (found["again"] - found["stored"]).abs()
    ratio = (distance / allowed).where(np.isfinite(distance) & (allowed > 0.0), np.inf)
    missing = found["stored"].isna() & found["again"].isna()
    equal = missing | (found["stored"] == rounded(found["again"].to_numpy(), bits))
    return pd.concat([texts, found.assign(allowed=allowed, ratio=ratio.mask(equal, 0.0))], ignore_index=True)


def _beside(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make long tables of wide ones, populations by columns, and put them side by side."""
    long = {name: table.rename_axis(columns="column").stack() for name, table in tables.items()}  # noqa: PD013
    return pd.DataFrame(long).reset_index()


def _allowed(found: pd.DataFrame, scenario: Scenario, *, exact: bool, bits: int) -> pd.Series[float]:
    """How far values may lie from the stored ones; the module's docstring says why."""
    size, spread = (found[name].abs().where(np.isfinite(found[name]), 0.0) for name in ("stored", "spread"))
    arithmetic = ROUNDING * np.maximum(size, spread) if exact else np.maximum(ROUNDING * size, SHARE_OF_SD * spread)
    patients = found["population"].map({TRIAL: scenario.n_patients, POPULATION: scenario.population_size})
    is_share = found["column"].str.endswith("coverage") | (found["column"] == "treated_share")
    one_patient = (1.0 / patients).where(is_share).fillna(0.0)
    allowed: pd.Series[float] = 2.0**-bits * size + np.maximum(arithmetic, one_patient)
    return allowed
