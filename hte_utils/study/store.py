"""Results on disk: a partitioned Parquet data set that survives whatever stops a study.

::

    STORE/scenario=<name>/method=<name>/_cell.json
    STORE/scenario=<name>/method=<name>/replicates-<first>-<last>-<cell digest>-<digest of the bytes>.parquet

- A file is written under a temporary name, flushed to the disk, and moved into place. Its name holds the digest of its
  bytes: a torn or damaged file contradicts its own name and is never taken for a complete one.
- ``_cell.json`` says what the results are results of (`hte_utils.study.cell`); others are refused.
- Only the process that runs the study writes; two of them at once do no harm (equal replicates are equal, and counted
  once).
- The folders are what Parquet readers know as Hive partitions; names that begin with ``_`` or ``.`` they leave out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from hte_utils.study.cell import CellDefinition, Provenance
from hte_utils.study.table import CELL_KEY, ROW_KEY, SCHEMA, from_bytes, to_bytes

CELL_FILE: Final = "_cell.json"
_BLOCK: Final = re.compile(r"replicates-(\d+)-(\d+)-([0-9a-f]{12})-([0-9a-f]{32})\.parquet")


class StoreError(OSError):
    """Results could not be written; everything that was there before still is."""


class StoreMismatchError(ValueError):
    """The store holds results of another definition (other code, libraries, seed or scenario) for the same cell."""


@dataclass(frozen=True, slots=True)
class StudyStore:
    """A folder of results.

    Parameters
    ----------
    folder
        Where they are; it is made when the first result is written.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"the store must be a folder, but {self.folder} is a file; name another place")

    def cells(self) -> list[tuple[str, str]]:
        """Scenario and method of every cell that has been begun, sorted."""
        found = self.folder.glob(f"scenario=*/method=*/{CELL_FILE}")
        pairs = [tuple(part.split("=", 1)[1] for part in path.parts[-3:-1]) for path in found]
        return sorted((scenario, method) for scenario, method in pairs)

    def provenance(self, scenario: str, method: str) -> Provenance:
        """Read what a cell's results are results of.

        Raises
        ------
        FileNotFoundError
            If there is no such cell.
        ValueError
            If the record is damaged.
        """
        path = self._place(scenario, method) / CELL_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder} has no results of {method!r} under {scenario!r}; it has {self.cells()}"
            )
        try:
            return Provenance.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); restore it, or remove its folder and run again") from error

    def begin(self, definition: CellDefinition) -> None:
        """Make sure that the store may take results of this definition, and note it if the cell is new.

        Raises
        ------
        StoreMismatchError
            If the cell holds results of another definition.
        StoreError
            If the folder cannot be written.
        """
        scenario, method = definition.scenario["name"], definition.method["name"]
        place = self._place(scenario, method)
        if not (place / CELL_FILE).exists():
            self._write(place / CELL_FILE, Provenance(definition).to_json().encode())
            return
        differences = self.provenance(scenario, method).definition.differences(definition)
        if differences:
            raise StoreMismatchError(
                f"{place} holds results of another definition, which must not be mixed with new ones: "
                f"{'; '.join(differences[:5])}{' ...' if len(differences) > 5 else ''}. "
                "Give another store, or remove that folder to compute the cell anew"
            )

    def write(self, definition: CellDefinition, results: pa.Table) -> Path:
        """Add the results of some replicates to a cell that was begun; returns the file they are in.

        Raises
        ------
        StoreError
            If they cannot be written; the store is as it was.
        """
        numbers = results["replicate"].to_numpy()
        content = to_bytes(results)
        name = (
            f"replicates-{numbers.min():06d}-{numbers.max():06d}-{definition.digest}-"
            f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
        )
        path = self._place(definition.scenario["name"], definition.method["name"]) / name
        self._write(path, content)
        return path

    def done(self, scenario: str, method: str) -> set[int]:
        """Numbers of the replicates whose results are there, whole."""
        tables = [table["replicate"].to_numpy() for _, table in self._tables(scenario, method)]
        return set(np.concatenate(tables).tolist()) if tables else set()

    def read(
        self,
        scenarios: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        populations: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Read everything that is complete.

        Parameters
        ----------
        scenarios, methods, populations
            Names to be read; None for all.

        Returns
        -------
        pandas.DataFrame
            Columns ``scenario``, ``method`` (categories) and those of `hte_utils.study.table`; sorted by cell,
            replicate and population. A replicate that was stored twice is there once.

        Raises
        ------
        FileNotFoundError
            If nothing fits.
        """
        wanted = [None if names is None else set(names) for names in (scenarios, methods, populations)]
        chosen = [
            cell for cell in self.cells() if all(w is None or name in w for name, w in zip(cell, wanted, strict=False))
        ]
        parts = [self._cell(*cell, populations=wanted[2]) for cell in chosen]
        parts = [part for part in parts if len(part)]
        if not parts:
            raise FileNotFoundError(
                f"{self.folder} has no complete results for scenarios {scenarios or 'all'} and methods "
                f"{methods or 'all'}; it has {self.cells()}"
            )
        everything = pd.concat(parts, ignore_index=True)
        return everything.astype(dict.fromkeys([*CELL_KEY, "population"], "category"))

    def compact(self) -> int:
        """Put the files of each cell into one; returns how many were removed. An interruption loses nothing."""
        removed = 0
        for scenario, method in self.cells():
            files = list(self._tables(scenario, method))
            if len(files) < 2:
                continue
            definition = self.provenance(scenario, method).definition
            kept = self.write(definition, _once([table for _, table in files]))
            # The merged file may be one of them already, if this was interrupted before.
            superseded = [path for path, _ in files if path != kept]
            for path in superseded:
                path.unlink()
            removed += len(superseded)
        return removed

    def _cell(self, scenario: str, method: str, populations: set[str] | None) -> pd.DataFrame:
        frame: pd.DataFrame = _once([table for _, table in self._tables(scenario, method)]).to_pandas()
        if populations is not None:
            frame = frame[frame["population"].isin(populations)]
        return frame.assign(scenario=scenario, method=method)[[*CELL_KEY, *SCHEMA.names]]

    def _tables(self, scenario: str, method: str) -> Iterator[tuple[Path, pa.Table]]:
        """Every whole file of the cell's own definition, in the order of their names."""
        digest = self.provenance(scenario, method).definition.digest if (scenario, method) in self.cells() else ""
        for path in sorted(self._place(scenario, method).glob("replicates-*.parquet")):
            named = _BLOCK.fullmatch(path.name)
            if named is None or named[3] != digest:
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:32] == named[4]:
                yield path, from_bytes(content)

    def _place(self, scenario: str, method: str) -> Path:
        return self.folder / f"scenario={scenario}" / f"method={method}"

    def _write(self, path: Path, content: bytes) -> None:
        temporary: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
                temporary = Path(file.name)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)  # temporary files are private, results are not
            temporary.replace(path)
            _flush_folder(path.parent)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise StoreError(error.errno or 0, _why(error, path, self.folder)) from error


def _once(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables together, each replicate and population once, in order."""
    table = pa.concat_tables([SCHEMA.empty_table(), *tables])
    keys = table.select(list(ROW_KEY)).to_pandas().drop_duplicates().sort_values(list(ROW_KEY))
    return table.take(keys.index.to_numpy(np.int64)).combine_chunks()


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can (Windows cannot open a folder)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _why(error: OSError, path: Path, folder: Path) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = "the disk is full" if full else (error.strerror or str(error))
    return (
        f"results could not be written to {path.parent}: {what}. Everything that was stored before is untouched; "
        f"{'make room' if full else f'make {folder} writable'} and run the same command again, it completes the rest"
    )
