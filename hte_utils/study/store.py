"""Results on disk: one Parquet data set that survives whatever stops a study, and its small copy in the repository.

::

    STORE/scenario=<name>/method=<name>/replicates-<first>-<last>-<random>.parquet
    COPY/results.parquet        the same rows in one file, with the measures that are asked for and a few of their bits
    COPY/provenance.json        those bits, SHA-256 of the other file, and which run made which cells

A file is written under a temporary name, flushed, and moved into place; its pages carry checksums. Its metadata say
what it holds results of: scenario, method, seed, digest of the code and versions of the libraries that decide a number
(results that differ in these are never mixed); and, for the record, the command, commit, lock file, machine and time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import platform
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from os import fsync
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hte_utils.methods.measures import MEASURES
from hte_utils.model.store import REPLICATE, imported_versions, method_module, source_digests

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.methods.estimates import Method
    from hte_utils.study.replicate import Row
    from hte_utils.study.scenarios import Scenario

    type FloatArray = NDArray[np.float64]

type Record = dict[str, Any]
"""A JSON object."""

CELL_KEY: Final = ("scenario", "method")
KEYS: Final = [*CELL_KEY, "replicate", "population"]
CIRCUMSTANCES: Final = ("seconds", "warnings")
"""Columns that are no part of the result."""

SCHEMA: Final = pa.schema(
    [
        pa.field("replicate", pa.int32(), nullable=False),
        *(
            pa.field(name, pa.string(), nullable=False)
            for name in ("population", "seed", "error", "message", "notes", "flags")
        ),
        *(pa.field(name, pa.float64(), nullable=False) for name in MEASURES),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("warnings", pa.string(), nullable=False),
    ]
)
"""Columns of `hte_utils.study.replicate.replicate`, in a part; scenario and method are in its folder's name."""

MANTISSA_BITS: Final = 16
"""Bits that a copy keeps: a relative rounding error of 1.5e-5 at most, far below any Monte Carlo error."""
RESULTS_FILE: Final = "results.parquet"
PROVENANCE_FILE: Final = "provenance.json"

_FOLDERS: Final = ds.partitioning(pa.schema([(name, pa.string()) for name in CELL_KEY]), flavor="hive")
_MADE: Final = b"hte_utils"
_CHECKOUT: Final = Path(__file__).parents[2]
_SAYS_NOTHING: Final = frozenset({"label", "slow", "exact", "stream", "assumes", "estimates", "intervals", "library"})
"""Fields of a method that tell a reader about it, and do not decide what it computes."""


class StoreError(OSError):
    """Results could not be written, or not be read."""


class StoreMismatchError(ValueError):
    """The store holds results of another definition (other code, libraries, seed or scenario) for the same cell."""


@dataclass(frozen=True, slots=True)
class StudyStore:
    """A folder of results; it is made when the first result is written."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # a text will do

    def cells(self) -> list[tuple[str, str]]:
        """Scenario and method of every cell that has results, sorted."""
        found = {path.parts[-3:-1] for path in self._parts("*", "*")}
        return sorted((scenario.split("=", 1)[1], method.split("=", 1)[1]) for scenario, method in found)

    def made(self, scenario: str, method: str) -> list[Record]:
        """What each part of a cell says of itself: its ``definition`` and the ``run`` that made it."""
        return [json.loads(_read(path, ["replicate"]).schema.metadata[_MADE]) for path in self._parts(scenario, method)]

    def done(self, definition: Record) -> set[int]:
        """Numbers of the replicates that are stored for a definition; a StoreMismatchError if for another one."""
        numbers: set[int] = set()
        for path in self._parts(definition["scenario"]["name"], definition["method"]["name"]):
            part = _read(path, ["replicate"])
            stored = json.loads(part.schema.metadata[_MADE])["definition"]
            if stored != definition:
                raise StoreMismatchError(
                    f"{path.parent} holds results of another definition, which must not be mixed with new ones: "
                    f"{'; '.join(_differences(stored, definition)[:5])}. "
                    "Give another store, or remove that folder to compute the cell anew"
                )
            numbers |= set(part["replicate"].to_pylist())
        return numbers

    def write(self, definition: Record, run: Record, part: pa.Table) -> None:
        """Add some replicates to a cell; a StoreError if that fails, and the store is as it was."""
        numbers = part["replicate"].to_numpy()
        place = self.folder / f"scenario={definition['scenario']['name']}" / f"method={definition['method']['name']}"
        name = f"replicates-{numbers.min():06d}-{numbers.max():06d}-{uuid.uuid4().hex[:12]}.parquet"
        table = part.replace_schema_metadata({_MADE: json.dumps({"definition": definition, "run": run})})
        _write(place / name, lambda file: _to_parquet(table, file, level=9))

    def read(
        self,
        scenarios: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        populations: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Read results, all or those of some scenarios, methods and populations.

        Returns
        -------
        pandas.DataFrame
            Columns ``scenario``, ``method`` (categories) and those of `SCHEMA`; sorted by cell, replicate and
            population, each once. A FileNotFoundError if nothing fits, a StoreError if a file is damaged.
        """
        wanted = {"scenario": scenarios, "method": methods, "population": populations}
        chosen = [(column, "in", list(names)) for column, names in wanted.items() if names is not None]
        found = pd.DataFrame()
        if self.cells():
            table = _read(self.folder, filters=chosen or None, partitioning=_FOLDERS)
            found = table.select([*CELL_KEY, *SCHEMA.names]).to_pandas()
        if found.empty:
            raise FileNotFoundError(f"{self.folder} has no results of {chosen or 'anything'}; it has {self.cells()}")
        return _categories(found.drop_duplicates(KEYS).sort_values(KEYS, ignore_index=True))

    def _parts(self, scenario: str, method: str) -> list[Path]:
        return sorted(self.folder.glob(f"scenario={scenario}/method={method}/replicates-*.parquet"))


def to_table(numbered: Iterable[tuple[int, Row]]) -> pa.Table:
    """Make a part of rows and the numbers of their replicates."""
    return pa.Table.from_pylist([{"replicate": number, **row} for number, row in numbered], schema=SCHEMA)


def definition_of(scenario: Scenario, method: Method, seed: int) -> Record:
    """Everything that decides the results of a scenario and a method under a study's seed, as the code stands now."""
    settings: Record = asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}
    module = method_module(method)
    code, versions = _code(module)
    record = {
        "scenario": {name: value for name, value in asdict(scenario).items() if name != "label"},
        "method": {name: value for name, value in settings.items() if name not in _SAYS_NOTHING}
        | {"name": method.name, "module": module},
        "seed": seed,
        "code": code,
        "versions": versions,
    }
    plain: Record = json.loads(json.dumps(record, default=str))  # so that what is written and what is read are equal
    return plain


def this_run() -> Record:
    """The circumstances of a run that starts now: they decide nothing, and should be known."""
    lock = _CHECKOUT / "requirements.lock"
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "",
        "machine": f"{platform.machine()}, {platform.system()}",
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def publish(
    store: StudyStore,
    folder: Path,
    *,
    measures: Iterable[str] = tuple(MEASURES),
    populations: Iterable[str] | None = None,
    of_profiles: Iterable[str] = tuple(MEASURES),
    bits: int = MANTISSA_BITS,
) -> None:
    """Write a small copy of a store in place of the one that may be there, with so many bits of each number.

    `of_profiles` are those of the measures that are kept of the profile patients, where most say the same.
    """
    kept = list(measures)
    results = store.read(populations=populations)
    small = results[[*KEYS, "error", "flags"]].copy()
    small[kept] = rounded(results[kept].to_numpy(), bits)
    small.loc[[is_profile(where) for where in small["population"]], sorted({*kept} - {*of_profiles})] = np.nan
    texts = dict.fromkeys([*CELL_KEY, "population"], str)
    table = pa.Table.from_pandas(small.astype(texts), preserve_index=False)
    _write(folder / RESULTS_FILE, lambda file: _to_parquet(table, file, level=19))
    digest = hashlib.sha256((folder / RESULTS_FILE).read_bytes()).hexdigest()
    record = {"sha256": digest, "bits": bits, "runs": _runs(store)}
    _write(folder / PROVENANCE_FILE, lambda file: file.write(json.dumps(record, indent=1, sort_keys=True).encode()))


def read_published(folder: Path) -> pd.DataFrame:
    """Read a published copy: the columns of `KEYS`, ``error``, ``flags`` and the measures that were kept."""
    path = Path(folder) / RESULTS_FILE
    if hashlib.sha256(path.read_bytes()).hexdigest() != _record(folder)["sha256"]:
        raise ValueError(f"{path} is not the file that {PROVENANCE_FILE} describes; publish again")
    return _categories(_read(path).to_pandas())


def published_seeds(folder: Path) -> dict[tuple[str, str], int]:
    """The study's seed behind each cell of a published copy, by scenario and method."""
    return {(scenario, method): run["seed"] for run in _record(folder)["runs"] for scenario, method in run["cells"]}


def published_bits(folder: Path) -> int:
    """How many bits of each number a published copy keeps."""
    return int(_record(folder)["bits"])


def published_runs(folder: Path) -> pd.DataFrame:
    """What made the published results: one row for each start of a command, in the order of time.

    Columns: ``began`` (UTC, to the minute), ``commit`` (short), ``command`` and ``cells`` (how many).
    """
    runs = pd.DataFrame(_record(folder)["runs"]).sort_values("began", ignore_index=True)
    return pd.DataFrame(
        {
            "began": runs["began"].str[:16].str.replace("T", " "),
            "commit": runs["commit"].str[:7] + runs["commit"].str[40:],
            "command": runs["command"],
            "cells": runs["cells"].str.len(),
        }
    )


def rounded(values: FloatArray, bits: int) -> FloatArray:
    """Round to so many bits; infinities and NaN stay."""
    mantissa, exponent = np.frexp(values)
    scaled = np.round(np.where(np.isfinite(mantissa), mantissa, 0.0) * 2.0**bits)
    return np.where(np.isfinite(values), np.ldexp(scaled, exponent - bits), values)


def is_profile(population: str) -> bool:
    """Whether a population is one of the profile patients."""
    return str(population).startswith("profile-")


def _runs(store: StudyStore) -> list[Record]:
    """What made the cells: those that one command made, with one state of code and libraries, are said together."""
    runs: dict[str, Record] = {}
    for cell in store.cells():
        for made in store.made(*cell):
            run = made["run"] | {"seed": made["definition"]["seed"], "versions": made["definition"]["versions"]}
            began = run.pop("began")
            found = runs.setdefault(json.dumps(run, sort_keys=True), run | {"began": began, "cells": []})
            found["began"] = min(found["began"], began)
            if list(cell) not in found["cells"]:
                found["cells"].append(list(cell))
    return list(runs.values())


def _record(folder: Path) -> Record:
    record: Record = json.loads((Path(folder) / PROVENANCE_FILE).read_text(encoding="utf-8"))
    return record


def _categories(results: pd.DataFrame) -> pd.DataFrame:
    return results.astype(dict.fromkeys([*CELL_KEY, "population"], "category"))


def _differences(stored: Record, new: Record) -> list[str]:
    """Say in words where two definitions differ."""
    found = []
    for part, ours in stored.items():
        theirs = new[part]
        if isinstance(ours, dict):
            changed = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
            found += [f"{part}: {key} {ours.get(key, 'absent')} -> {theirs.get(key, 'absent')}" for key in changed]
        elif ours != theirs:
            found.append(f"{part}: {ours} -> {theirs}")
    return found


@lru_cache(maxsize=256)
def _code(module: str) -> tuple[str, dict[str, str]]:
    """Digest of the code behind a method's module, and versions of its libraries; once a process, as it was loaded."""
    sources = source_digests([REPLICATE, module])
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16], imported_versions(sources)


def _commit() -> str:
    """The commit of the code, with "+changes" if files differ from it; empty where git does not know."""
    try:
        commit, changes = (
            subprocess.check_output(  # noqa: S603 - fixed words
                ["git", "-C", str(_CHECKOUT), *words],  # noqa: S607
                text=True,
                stderr=subprocess.DEVNULL,
            ).strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}+changes" if changes else commit


def _to_parquet(table: pa.Table, file: IO[bytes], level: int) -> None:
    """Zstandard, and floats split by byte, which is what random mantissas allow."""
    floats = [field.name for field in table.schema if field.type == pa.float64()]
    texts = [field.name for field in table.schema if field.type == pa.string()]
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=level,
        use_dictionary=texts,
        use_byte_stream_split=floats,
        write_statistics=False,
        write_page_checksum=True,
    )


def _read(path: Path, columns: list[str] | None = None, **more: Any) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True, **({"partitioning": None} | more))
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(
            f"{path}: a file is damaged ({error}). Remove it, and run the study again for what it held"
        ) from error


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            fsync(file.fileno())
        temporary.chmod(0o644)  # temporary files are private, results are not
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise StoreError(
            f"results could not be written to {path.parent}: {'the disk is full' if full else error}. Everything that "
            "was stored before is untouched; make room, and run the same command again: it completes the rest"
        ) from error
