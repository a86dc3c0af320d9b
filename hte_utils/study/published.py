"""Stored results made small enough for a repository.

A study's store keeps every number with its 53 bits, most of which are Monte Carlo noise and cannot be compressed. The
published copy keeps the measures that are asked for with a few of their bits; `hte_utils.study.verify` proves it.

::

    FOLDER/results.parquet      one row for each cell, replicate and population
    FOLDER/provenance.json      bits kept of each number, SHA-256 of the other file, and which run made which cells
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hte_utils.r_arguments import checked_count
from hte_utils.study.measures import MEASURES
from hte_utils.study.table import CELL_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.study.store import StudyStore

type FloatArray = NDArray[np.float64]

MANTISSA_BITS: Final = 16
"""Bits that are kept of each number: a relative rounding error of 1.5e-5 at most, far below any Monte Carlo error."""

RESULTS_FILE: Final = "results.parquet"
PROVENANCE_FILE: Final = "provenance.json"
FLAGS_COLUMN: Final = "flags"
NUTS_FALLBACK: Final = "nuts_fallback"
FLAGS: Final = ("not_converged", NUTS_FALLBACK, "separation")
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
        What to keep; None for all.
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
    small[FLAGS_COLUMN] = [flags_of(notes) for notes in chosen["notes"]]
    small[kept] = rounded(chosen[kept].to_numpy(), precision)
    if of_profiles is not None:
        spared = [name for name in kept if name not in set(of_profiles)]
        small.loc[[is_profile(where) for where in small["population"]], spared] = np.nan
    content = _to_parquet(small, kept)
    record = {"sha256": hashlib.sha256(content).hexdigest(), "bits": precision, "runs": _runs(store)}
    _replace(folder / RESULTS_FILE, content)
    _replace(folder / PROVENANCE_FILE, json.dumps(record, indent=1, sort_keys=True).encode())


def read_published(folder: Path) -> pd.DataFrame:
    """Read a published copy, for `hte_utils.study.summary`.

    Returns
    -------
    pandas.DataFrame
        Columns ``scenario``, ``method``, ``population`` (categories), ``replicate``, ``error``, ``flags`` (which of
        `FLAGS` the fit has, with semicolons between them; said in one row of a replicate), and the measures kept.

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


def published_seeds(folder: Path) -> dict[tuple[str, str], int]:
    """The study's seed behind each cell of a published copy, by scenario and method."""
    return {(scenario, method): run["seed"] for run in _record(folder)["runs"] for scenario, method in run["cells"]}


def published_bits(folder: Path) -> int:
    """How many bits of each number a published copy keeps."""
    return int(_record(folder)["bits"])


def rounded(values: FloatArray, bits: int) -> FloatArray:
    """Round to so many bits; infinities and NaN stay."""
    mantissa, exponent = np.frexp(values)
    scaled = np.round(np.where(np.isfinite(mantissa), mantissa, 0.0) * 2.0**bits)
    return np.where(np.isfinite(values), np.ldexp(scaled, exponent - bits), values)


def flags_of(notes: str) -> str:
    """Those of `FLAGS` that a method's notes (JSON) hold, with semicolons between them."""
    said = json.loads(notes) if notes else {}
    return ";".join(name for name in FLAGS if said.get(name) == 1.0)


def is_profile(population: str) -> bool:
    """Whether a population is one of the profile patients."""
    return str(population).startswith(_PROFILE)


def _runs(store: StudyStore) -> list[dict[str, Any]]:
    """What made the cells: those that one command made, with one state of code and libraries, are said together."""
    runs: dict[str, dict[str, Any]] = {}
    for cell in store.cells():
        made = store.provenance(*cell)
        run: dict[str, Any] = {
            "command": made.command,
            "commit": made.commit,
            "lock": made.lock,
            "machine": made.machine,
        }
        run |= {"seed": made.definition.seed, "versions": dict(made.definition.versions)}
        found = runs.setdefault(json.dumps(run, sort_keys=True), run | {"began": made.began, "cells": []})
        found["began"] = min(found["began"], made.began)
        found["cells"].append(list(cell))
    return list(runs.values())


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
