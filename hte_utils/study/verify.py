"""Proof of stored results: some replicates, chosen afresh, are run again, and every value must come out again.

Not bit for bit: processors, numbers of threads and versions of BLAS add up in other orders. How far a value may lie
from the stored one is derived from how it was made:

- *rounding of the copy*: a copy with b bits of each number is off by 2^-b of the value at most;
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

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from hte_utils.ledger.report import Proof
from hte_utils.methods.measures import MEASURES
from hte_utils.study.replicate import NUTS_FALLBACK, replicate, replicate_seed
from hte_utils.study.store import CELL_KEY, KEYS, is_profile, rounded

if TYPE_CHECKING:
    from hte_utils.methods.estimates import Method
    from hte_utils.study.scenarios import Scenario

ROUNDING: Final = 1e-6
SHARE_OF_SD: Final = 0.05
_FEWEST_FOR_SHARES: Final = 20  # in a population of one patient, one patient is everything
EXACT_BITS: Final = 53


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
        One row for each value that is further away than allowed: ``scenario``, ``method``, ``replicate``,
        ``population``, ``column``, ``stored``, ``again``, ``allowed``.
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
    stored: pd.DataFrame,
    seeds: Mapping[tuple[str, str], int],
    scenarios: Mapping[str, Scenario],
    methods: Mapping[str, Method],
    *,
    replicates: int = 5,
    seed: int | None = None,
    bits: int = EXACT_BITS,
) -> Verification:
    """Run some stored replicates again and compare.

    Parameters
    ----------
    stored, bits
        Results, from a store or from a published copy, and how many bits of each number they keep.
    seeds
        The study's seed behind each cell, by scenario and method.
    scenarios, methods
        By name. Cells of others are left alone, so that slow methods can be.
    replicates
        How many to run again; each is one replicate of one scenario with one method, chosen with equal probability.
    seed
        Of that choice; None chooses anew each time.
    """
    drawn_by = secrets.randbelow(2**32) if seed is None else seed
    checked, failures = [], []
    for scenario, method, number in _choose(stored, scenarios, methods, replicates, drawn_by):
        with threadpool_limits(limits=1):  # as a study does
            own = replicate_seed(seeds[scenario, method], scenario, number)
            rows = replicate(scenarios[scenario], (methods[method],), own)
        cell = stored[(stored["scenario"] == scenario) & (stored["method"] == method)]
        exact = getattr(methods[method], "exact", False)
        again = pd.DataFrame(rows).set_index("population")
        compared = _compared(cell, number, again, scenarios[scenario], exact=exact, bits=bits)
        key = {"scenario": scenario, "method": method, "replicate": number}
        ratios = np.array([row["ratio"] for row in compared])
        counts = {"values": ratios.size, "equal": int((ratios == 0.0).sum()), "largest": float(ratios.max())}
        checked.append(key | counts)
        failures += [key | row for row in compared if not row["ratio"] <= 1.0]
    columns = [*KEYS, "column", "stored", "again", "allowed"]
    return Verification(pd.DataFrame(checked), pd.DataFrame(failures, columns=columns), drawn_by)


def _choose(
    stored: pd.DataFrame, scenarios: Mapping[str, Scenario], methods: Mapping[str, Method], count: int, seed: int
) -> list[tuple[str, str, int]]:
    """Choose runs at random, each with equal probability and at most once; in the order in which they are stored."""
    known = stored["scenario"].isin(list(scenarios)) & stored["method"].isin(list(methods))
    chained = stored.loc[stored["flags"].str.contains(NUTS_FALLBACK), [*CELL_KEY, "replicate"]].drop_duplicates()
    runs = stored.loc[known, [*CELL_KEY, "replicate"]].drop_duplicates().astype({"scenario": str, "method": str})
    excluded = set(chained.itertuples(index=False, name=None))
    listed = [(s, m, int(r)) for s, m, r in runs.itertuples(index=False) if (s, m, r) not in excluded]
    if not listed:
        raise ValueError("there are no results of these scenarios and methods; name others")
    chosen = np.random.default_rng(seed).choice(len(listed), size=min(count, len(listed)), replace=False)
    return [listed[place] for place in sorted(chosen)]


def _compared(
    cell: pd.DataFrame, number: int, fresh: pd.DataFrame, scenario: Scenario, *, exact: bool, bits: int
) -> list[dict[str, Any]]:
    """Every value that is kept of a replicate beside the one found now; `ratio` is distance over allowed distance."""
    patients = {"trial": scenario.n_patients, "population": scenario.population_size}
    found: list[dict[str, Any]] = []
    by_population = dict(tuple(cell.groupby("population", observed=True)))
    for row in cell[cell["replicate"] == number].to_dict("records"):
        where = str(row["population"])
        for name in ("error", "flags"):
            ratio = 0.0 if row[name] == fresh.loc[where, name] else math.inf
            found.append(_row(where, name, row[name], fresh.loc[where, name], 0.0, ratio))
        sds = by_population[row["population"]][[name for name in MEASURES if name in row]].std()
        for name in sds.index:
            before, now = float(row[name]), float(fresh.loc[where, name])
            if math.isnan(before) and is_profile(where):
                continue  # not kept
            allowed = _allowed(name, before, float(sds[name]), patients.get(where, 1), exact=exact, bits=bits)
            same = before == float(rounded(np.asarray(now), bits)) or (math.isnan(before) and math.isnan(now))
            distance = abs(now - before)
            ratio = 0.0 if same else (distance / allowed if allowed > 0.0 and math.isfinite(distance) else math.inf)
            found.append(_row(where, name, before, now, allowed, ratio))
    return found


def _allowed(name: str, value: float, sd: float, n_patients: int, *, exact: bool, bits: int) -> float:
    """How far a value may lie from the stored one; the module's docstring says why."""
    spread = sd if math.isfinite(sd) else 0.0
    size = abs(value) if math.isfinite(value) else 0.0
    arithmetic = ROUNDING * max(size, spread) if exact else max(ROUNDING * size, SHARE_OF_SD * spread)
    is_share = name.endswith("coverage") or name == "treated_share"
    one_patient = 1.0 / n_patients if is_share and n_patients >= _FEWEST_FOR_SHARES else 0.0
    return 2.0**-bits * size + max(arithmetic, one_patient)


def _row(where: str, name: str, before: Any, now: Any, allowed: float, ratio: float) -> dict[str, Any]:
    return {"population": where, "column": name, "stored": before, "again": now, "allowed": allowed, "ratio": ratio}
