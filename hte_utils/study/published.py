"""Stored results made small enough for a repository, and still proved bit for bit.

A study's store keeps every number with its 53 bits, most of which are Monte Carlo noise and cannot be compressed. The
published copy keeps the measures that are asked for with a few of their bits, and for each replicate of each cell a
digest of *all* compared values as they were computed. To verify is to run replicates again and compare the digests.

::

    FOLDER/results.parquet      one row for each cell, replicate and population
    FOLDER/provenance.json      what the cells are (`hte_utils.study.cell.Provenance`), and the digest of the other file
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hte_utils.r_arguments import checked_count
from hte_utils.study.block import Block, compute
from hte_utils.study.cell import CellDefinition, Provenance
from hte_utils.study.measures import MEASURES
from hte_utils.study.table import CELL_KEY, TEXTS
from hte_utils.study.verify import Verification, changes_since, choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.comparators.estimates import Method
    from hte_utils.study.scenario import Scenario
    from hte_utils.study.store import StudyStore

type FloatArray = NDArray[np.float64]

MANTISSA_BITS: Final = 16
"""Bits that are kept of each number: a relative rounding error of 1.5e-5 at most, far below any Monte Carlo error."""

RESULTS_FILE: Final = "results.parquet"
PROVENANCE_FILE: Final = "provenance.json"
DIGEST: Final = "digest"
FLAGS_COLUMN: Final = "flags"
FLAGS: Final = ("not_converged", "nuts_fallback", "separation")
"""Notes of methods that the copy keeps, where they are 1: the fit stands, but a reader should know."""
_KEPT_TEXTS: Final = ("error",)
_PROFILE: Final = "profile-"


def publish(
    store: StudyStore,
    folder: Path,
    *,
    measures: Iterable[str] | None = None,
    populations: Iterable[str] | None = None,
    of_profiles: Iterable[str] | None = None,
    bits: int = MANTISSA_BITS,
) -> None:
    """Write a small copy of everything that is complete in a store.

    Parameters
    ----------
    store
        The study's results.
    folder
        Where the copy goes; a copy that is there is replaced.
    measures, populations
        What to keep; None for all. The digests cover everything either way.
    of_profiles
        Which of these measures to keep of the profile patients, where most say the same; None for all.
    bits
        How many bits of each number to keep, 8 to 53.

    Raises
    ------
    ValueError
        If a measure is unknown, or a population is not in the results.
    """
    kept = list(MEASURES if measures is None else measures)
    if unknown := [name for name in kept if name not in MEASURES]:
        raise ValueError(f"there is no measure {unknown}; choose from {list(MEASURES)}")
    precision = checked_count("bits", bits, least=8, most=53)
    everything = store.read()
    chosen = everything if populations is None else everything[everything["population"].isin(list(populations))]
    if chosen.empty:
        raise ValueError(f"no population is among {populations}; there are {sorted(set(everything['population']))}")
    small = chosen[[*CELL_KEY, "replicate", "population", *_KEPT_TEXTS]].copy()
    small[FLAGS_COLUMN] = [_flags(notes) for notes in chosen["notes"]]
    small[kept] = rounded(chosen[kept].to_numpy(), precision)
    if of_profiles is not None:
        spared = [name for name in kept if name not in set(of_profiles)]
        small.loc[_is_profile(small["population"]), spared] = np.nan
    digests = {
        (scenario, method, number): digest
        for (scenario, method), cell in everything.groupby(list(CELL_KEY), observed=True)
        for number, digest in replicate_digests(cell).items()
    }
    # Said once for each replicate: 64 random bits cannot be compressed.
    first = ~small.duplicated([*CELL_KEY, "replicate"])
    keys = zip(small["scenario"], small["method"], small["replicate"], strict=True)
    small[DIGEST] = [digests[key] if once else 0 for key, once in zip(keys, first, strict=True)]
    content = _to_parquet(small, kept)
    cells = [json.loads(store.provenance(*cell).to_json()) for cell in store.cells()]
    record = {"sha256": hashlib.sha256(content).hexdigest(), "mantissa_bits": precision, "cells": cells}
    _replace(folder / RESULTS_FILE, content)
    _replace(folder / PROVENANCE_FILE, json.dumps(record, indent=1, sort_keys=True).encode())


def read_published(folder: Path) -> pd.DataFrame:
    """Read a published copy, for `hte_utils.study.summary`.

    Returns
    -------
    pandas.DataFrame
        Columns ``scenario``, ``method``, ``population`` (categories), ``replicate``, ``error``, ``flags`` (which of
        `FLAGS` the fit has, with semicolons between them; said in one row of a replicate), the measures that were kept,
        and ``digest`` (0 in all but one row of a replicate).

    Raises
    ------
    FileNotFoundError
        If there is no copy.
    ValueError
        If its two files do not belong together, or one is damaged.
    """
    content = (Path(folder) / RESULTS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != _record(folder)["sha256"]:
        raise ValueError(f"{folder}: {RESULTS_FILE} is not the file that {PROVENANCE_FILE} describes; publish again")
    frame: pd.DataFrame = pq.read_table(io.BytesIO(content)).to_pandas()
    return frame.astype(dict.fromkeys([*CELL_KEY, "population"], "category"))


def published_provenance(folder: Path) -> dict[tuple[str, str], Provenance]:
    """What made each cell of a published copy, by scenario and method."""
    found = (Provenance.from_json(json.dumps(cell)) for cell in _record(folder)["cells"])
    return {(each.definition.scenario["name"], each.definition.method["name"]): each for each in found}


def verify_published(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    methods: Mapping[str, Method],
    *,
    replicates: int = 5,
    seed: int | None = None,
) -> Verification:
    """Run some published replicates again and compare: all values by their digest, bit for bit.

    Parameters
    ----------
    folder
        The published copy.
    scenarios, methods, replicates, seed
        As for `hte_utils.study.verify.verify`.

    Returns
    -------
    Verification
        Where a digest differs, its mismatches are the values that differ even after rounding; if none does, the one
        entry has the column ``digest``: the difference is below the rounding.

    Raises
    ------
    ValueError
        If there is nothing that could be checked, or the copy is damaged.
    """
    count = checked_count("replicates", replicates, least=1, most=1_000_000)
    frame = read_published(folder)
    made, bits = published_provenance(folder), int(_record(folder)["mantissa_bits"])
    stated = frame[frame[DIGEST] != 0].set_index([*CELL_KEY, "replicate"])[DIGEST]
    known = [key for key in stated.index if key[0] in scenarios and key[1] in methods]
    checked, mismatches, n_values = [], [], 0
    changes: dict[tuple[str, str], list[str]] = {}
    for scenario, method, number in choose(known, count, seed, folder):
        then = made[scenario, method].definition
        now = CellDefinition.of(scenarios[scenario], methods[method], then.seed)
        changes |= changes_since(then, now)
        block = Block(scenarios[scenario], (methods[method],), (number,), then.seed, (now.digest,))
        again = compute(block)[method].to_pandas()
        identical = replicate_digests(again)[number] == stated.loc[(scenario, method, number)]
        key = {"scenario": scenario, "method": method, "replicate": number}
        if not identical:
            rows = frame[(frame["scenario"] == scenario) & (frame["method"] == method)]
            mismatches += [key | each for each in _visible(rows[rows["replicate"] == number], again, bits)]
        n_values += len(again) * (len(TEXTS) + len(MEASURES))
        checked.append(key | {"identical": identical})
    return Verification.of(checked, mismatches, n_values, changes)


def replicate_digests(cell: pd.DataFrame) -> dict[int, int]:
    """Digest every compared value of each replicate of one cell: 63 bits, never 0.

    Parameters
    ----------
    cell
        Rows of `hte_utils.study.table`, any order.
    """
    ordered = cell.astype({"population": str}).sort_values(["replicate", "population"], kind="stable")
    numbers = np.ascontiguousarray(ordered[list(MEASURES)].to_numpy(np.float64))
    numbers = np.where(np.isnan(numbers), np.nan, numbers)  # NaN has many bit patterns, and one meaning
    texts = ordered[["population", *TEXTS]].to_numpy()
    replicates = ordered["replicate"].to_numpy()
    starts = np.flatnonzero(np.diff(replicates, prepend=-1))
    found = {}
    for start, end in zip(starts, [*starts[1:], len(replicates)], strict=True):
        digest = hashlib.sha256(numbers[start:end].astype("<f8").tobytes())
        digest.update(json.dumps(texts[start:end].tolist()).encode())
        found[int(replicates[start])] = (int.from_bytes(digest.digest()[:8], "big") >> 1) or 1
    return found


def rounded(values: FloatArray, bits: int) -> FloatArray:
    """Round to so many bits; infinities and NaN stay."""
    mantissa, exponent = np.frexp(values)
    scaled = np.round(np.where(np.isfinite(mantissa), mantissa, 0.0) * 2.0**bits)
    return np.where(np.isfinite(values), np.ldexp(scaled, exponent - bits), values)


def _visible(stored: pd.DataFrame, again: pd.DataFrame, bits: int) -> list[dict[str, Any]]:
    """Values that differ after rounding; one entry that says so if none does."""
    fresh = again.set_index("population")
    found = []
    for row in stored.to_dict("records"):
        for name in (*_KEPT_TEXTS, *(name for name in MEASURES if name in stored)):
            if pd.isna(row[name]) and str(row["population"]).startswith(_PROFILE):
                continue  # not kept
            theirs = fresh.loc[row["population"], name]
            theirs = theirs if isinstance(theirs, str) else float(rounded(np.asarray(theirs), bits))
            if row[name] != theirs and not (pd.isna(row[name]) and pd.isna(theirs)):
                found.append({"population": row["population"], "column": name, "stored": row[name], "again": theirs})
    return found or [{"population": "", "column": DIGEST, "stored": "", "again": "differs below the rounding"}]


def _flags(notes: str) -> str:
    said = json.loads(notes) if notes else {}
    return ";".join(name for name in FLAGS if said.get(name) == 1.0)


def _is_profile(populations: pd.Series) -> pd.Series:
    return populations.astype(str).str.startswith(_PROFILE)


def _to_parquet(frame: pd.DataFrame, measures: list[str]) -> bytes:
    table = pa.Table.from_pandas(frame.astype(dict.fromkeys([*CELL_KEY, "population"], str)), preserve_index=False)
    buffer = io.BytesIO()
    texts = [*CELL_KEY, "population", *_KEPT_TEXTS, FLAGS_COLUMN]
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=19,
        use_dictionary=texts,
        use_byte_stream_split=measures,
        write_statistics=False,
    )
    return buffer.getvalue()


def _record(folder: Path) -> dict[str, Any]:
    path = Path(folder) / PROVENANCE_FILE
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}); publish again") from error
    return record


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete_on_close=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
