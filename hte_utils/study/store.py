"""Results on disk: Parquet files that survive whatever stops a study, each of which says what made it.

::

    STORE/<scenario>/<method>/replicates-<first>-<last>-<random>.parquet    while a study runs
    COPY/results.parquet    the same rows in one file, with the measures that a book needs and a few bits of each

A file is written under a temporary name, flushed, and moved into place; its pages carry checksums. Its metadata say
which runs made it: seed, versions of libraries, command, commit, lock file, machine and time. Those of a store say as
well what decides a number (scenario, method, seed, digest of the code, versions): results that differ in these are
never mixed.
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
from collections.abc import Iterable
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from os import fsync
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hte_utils.methods.estimates import Method
from hte_utils.methods.measures import MEASURES
from hte_utils.model.checks import FloatArray
from hte_utils.model.fit import library_versions
from hte_utils.model.store import code_digest
from hte_utils.study.replicate import TRIAL, Row
from hte_utils.study.scenarios import Scenario

type Record = dict[str, Any]
"""A JSON object."""

CELL: Final = ["scenario", "method"]
KEYS: Final = [*CELL, "replicate", "population"]
CIRCUMSTANCES: Final = ("seconds", "warnings")
"""Columns that are no part of the result."""

_TEXTS: Final = ("seed", "error", "message", "notes", "flags")
SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.int32() if name == "replicate" else pa.string(), nullable=False) for name in KEYS),
        *(pa.field(name, pa.string(), nullable=False) for name in _TEXTS),
        *(pa.field(name, pa.float64(), nullable=False) for name in MEASURES),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("warnings", pa.string(), nullable=False),
    ]
)
"""Columns of `hte_utils.study.replicate.replicate`, with the scenario and the replicate's number."""

EXACT_BITS: Final = 53
COPY: Final = "results.parquet"

_MADE: Final = b"hte_utils"
_DECISIVE: Final = ("trial", "model", "effects", "methods", "study/generate.py", "study/replicate.py")
"""The code that decides a number; neither the list of scenarios nor how work is spread does."""
_LIBRARIES: Final = ("pandas", "statsmodels", "scikit-learn", "econml", "firthmodels", "stochtree")
_CHECKOUT: Final = Path(__file__).parents[2]
_SAYS_NOTHING: Final = frozenset({"label", "slow", "exact", "stream", "assumes", "estimates", "intervals", "library"})
"""Fields of a method that tell a reader about it, and do not decide what it computes."""


class StoreError(OSError):
    """Results could not be written, or not be read."""


class StoreMismatchError(ValueError):
    """The store holds results of another definition (other code, libraries, seed or scenario) for the same cell."""


@dataclass(frozen=True, slots=True)
class StudyStore:
    """A folder of results, of a study or their copy; it is made when the first result is written."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # a text will do

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
            Columns of `SCHEMA`, those that a copy keeps; sorted by `KEYS`, each once. A FileNotFoundError if nothing
            fits, a StoreError if a file is damaged.
        """
        wanted = {"scenario": scenarios, "method": methods, "population": populations}
        chosen = [(column, "in", list(names)) for column, names in wanted.items() if names is not None]
        found = _read(self.folder, filters=chosen or None).to_pandas() if self._files() else pd.DataFrame()
        if found.empty:
            raise FileNotFoundError(f"{self.folder} has no results of {chosen or 'anything'}; it has {self.cells()}")
        found = found.drop_duplicates(KEYS).sort_values(KEYS, ignore_index=True)
        return found.astype(dict.fromkeys([*CELL, "population"], "category"))

    def made(self) -> list[Record]:
        """What each file says of itself: ``runs``, ``bits``, and in a study's own store ``definition``."""
        return [_made(path) for path in self._files()]

    def runs(self) -> list[Record]:
        """What made the results: each command and commit, its first start and its ``cells``, in the order of time."""
        runs: dict[str, Record] = {}
        for run in (run | {"command": _anywhere(run["command"])} for made in self.made() for run in made["runs"]):
            key = json.dumps({name: value for name, value in run.items() if name not in {"began", "cells"}})
            found = runs.setdefault(key, run | {"cells": []})
            found["began"] = min(found["began"], run["began"])
            found["cells"] = sorted({*map(tuple, found["cells"]), *map(tuple, run["cells"])})
        return sorted(runs.values(), key=lambda run: str(run["began"]))

    def seeds(self) -> dict[tuple[str, str], int]:
        """The study's seed behind each scenario and method."""
        return {cell: run["seed"] for run in self.runs() for cell in run["cells"]}

    def cells(self) -> list[tuple[str, str]]:
        """Scenario and method of everything that has results, sorted."""
        return sorted(self.seeds())

    def seconds(self) -> pd.DataFrame:
        """Mean processor seconds of a run: index ``scenario, method``; column ``seconds``.

        A study's store has them run by run, a copy their means. They are circumstances, and depend on the machine.
        """
        if not (self.folder / COPY).exists():
            return _mean_seconds(self.read(populations=[TRIAL]))
        return pd.DataFrame(_made(self.folder / COPY)["seconds"], columns=[*CELL, "seconds"]).set_index(CELL)

    def bits(self) -> int:
        """How many bits of each number are stored."""
        return min((int(made["bits"]) for made in self.made()), default=EXACT_BITS)

    def done(self, definition: Record) -> set[int]:
        """Numbers of the replicates that are stored for a definition; a StoreMismatchError if for another one."""
        if (self.folder / COPY).exists():
            raise StoreMismatchError(f"{self.folder} holds a copy, which is not added to; give a store of your own")
        numbers: set[int] = set()
        place = self._place(definition)
        for path in sorted(place.glob("*.parquet")):
            stored = _made(path)["definition"]
            if stored != definition:
                raise StoreMismatchError(
                    f"{place} holds results of another definition, which must not be mixed with new ones: "
                    f"{'; '.join(_differences(stored, definition)[:5])}. "
                    "Give another store, or remove that folder to compute the cell anew"
                )
            numbers |= set(_read(path, columns=["replicate"])["replicate"].to_pylist())
        return numbers

    def write(self, definition: Record, run: Record, part: pa.Table) -> None:
        """Add some replicates of a definition; a StoreError if that fails, and the store is as it was."""
        numbers = part["replicate"].to_numpy()
        name = f"replicates-{numbers.min():06d}-{numbers.max():06d}-{uuid.uuid4().hex[:12]}.parquet"
        cell = [definition["scenario"]["name"], definition["method"]["name"]]
        made = run | {"seed": definition["seed"], "versions": definition["versions"], "cells": [cell]}
        record = {"definition": definition, "bits": EXACT_BITS, "runs": [made]}
        _write(self._place(definition) / name, part, record, level=9)

    def copy(
        self,
        folder: Path,
        *,
        bits: int,
        measures: Iterable[str],
        of_profiles: Iterable[str],
        populations: Iterable[str] | None = None,
    ) -> None:
        """Write a small copy in place of the one that may be there, with so many bits of each number.

        `of_profiles` are those of the measures that are kept of the profile patients, where most say the same.
        """
        results, kept = self.read(populations=populations), list(measures)
        small = results[[*KEYS, "error", "flags"]].copy()
        small[kept] = rounded(results[kept].to_numpy(), bits)
        small.loc[is_profile(small["population"]), sorted({*kept} - {*of_profiles})] = np.nan
        texts = dict.fromkeys([*CELL, "population"], str)
        table = pa.Table.from_pandas(small.astype(texts), preserve_index=False)
        seconds = _mean_seconds(results).round(4).reset_index().to_numpy().tolist()
        _write(Path(folder) / COPY, table, {"bits": bits, "runs": self.runs(), "seconds": seconds}, level=19)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*.parquet") if not path.name.startswith("."))

    def _place(self, definition: Record) -> Path:
        return self.folder.joinpath(definition["scenario"]["name"], definition["method"]["name"])


def _anywhere(command: str) -> str:
    """A command without the folders of the machine that ran it."""
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in shlex.split(command))


def _mean_seconds(results: pd.DataFrame) -> pd.DataFrame:
    """Mean processor seconds of a run: index ``scenario, method``."""
    of_runs = results[results["population"] == TRIAL]
    return of_runs.groupby([of_runs[name].astype(str) for name in CELL])["seconds"].mean().to_frame()


def to_table(scenario: str, numbered: Iterable[tuple[int, Row]]) -> pa.Table:
    """Make a part of rows and the numbers of their replicates."""
    return pa.Table.from_pylist(
        [{"scenario": scenario, "replicate": number, **row} for number, row in numbered], schema=SCHEMA
    )


def definition_of(scenario: Scenario, method: Method, seed: int) -> Record:
    """Everything that decides the results of a scenario and a method under a study's seed, as the code stands now."""
    settings: Record = asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}
    module = method_module(method)
    record = {
        "scenario": {name: value for name, value in asdict(scenario).items() if name != "label"},
        "method": {name: value for name, value in settings.items() if name not in _SAYS_NOTHING}
        | {"name": method.name, "module": module},
        "seed": seed,
        "code": code_digest(*_DECISIVE, *_file_outside(module)),
        "versions": library_versions(*_LIBRARIES),
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


def rounded(values: FloatArray, bits: int) -> FloatArray:
    """Round to so many bits; infinities and NaN stay."""
    mantissa, exponent = np.frexp(values)
    scaled = np.round(np.where(np.isfinite(mantissa), mantissa, 0.0) * 2.0**bits)
    return np.where(np.isfinite(values), np.ldexp(scaled, exponent - bits), values)


def is_profile(populations: pd.Series[str]) -> pd.Series[bool]:
    """Which of these populations are single profile patients."""
    return populations.astype(str).str.startswith("profile-")


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


def method_module(method: Method) -> str:
    """Name of the module in which a method's work is written.

    A method may say it itself by an attribute ``home``, a module within `hte_utils.methods` (its class is then only
    the way there); else it is the module of its function or class.
    """
    home = getattr(method, "home", None)
    if isinstance(home, str):
        return f"hte_utils.methods.{home}"
    return str(getattr(method, "__module__", None) or type(method).__module__)


def _file_outside(module: str) -> list[str]:
    """The file of a method that is not of this package; none where there is no file (a notebook's own cells)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return [str(Path(file).absolute())] if file and module.split(".")[0] not in ("hte_utils", "__main__") else []


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


def _made(path: Path) -> Record:
    try:
        # Its last bytes alone: a study has files by the ten thousand.
        record: Record = json.loads(pq.read_schema(path).metadata[_MADE])
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    return record


def _read(path: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None, page_checksum_verification=True, **options)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: a file is damaged ({error}). Remove it, and run the study again for what it held")


def _write(path: Path, table: pa.Table, made: Record, level: int) -> None:
    """Write a file whole or not at all: Zstandard, and floats split by byte, which is what random mantissas allow."""
    table = table.replace_schema_metadata({_MADE: json.dumps(made, sort_keys=True)})
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
            temporary = Path(file.name)
            pq.write_table(
                table,
                file,
                compression="zstd",
                compression_level=level,
                use_dictionary=[field.name for field in table.schema if "string" in str(field.type)],
                use_byte_stream_split=[field.name for field in table.schema if field.type == pa.float64()],
                write_statistics=False,
                write_page_checksum=True,
            )
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
