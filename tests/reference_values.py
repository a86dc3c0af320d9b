"""Reading the values that R printed, and running the scripts that printed them again."""

from __future__ import annotations

import csv
import gzip
import subprocess
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parent / "reference"


def provenance(path: Path) -> list[str]:
    """Return the comment lines of a value file: versions of R, MASS, BLAS and LAPACK."""
    return [line for line in _lines(path) if line.startswith("#")]


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a value file, as text."""
    return list(csv.DictReader(line for line in _lines(path) if not line.startswith("#")))


def numbers(text: str) -> np.ndarray:
    """Return doubles from R's hexadecimal notation."""
    return np.array([float.fromhex(word) for word in text.split()])


def run_again(script: str, *outputs: Path) -> None:
    """Run a script of the reference folder, which writes its values to `outputs`."""
    command = ["Rscript", script, *map(str, outputs)]
    subprocess.run(command, cwd=REFERENCE, check=True, capture_output=True, timeout=300)


def assert_same_values(fresh: Path, recorded: Path, build_dependent: set[tuple[str, str]] = frozenset()) -> None:
    """Check that a script printed what was recorded.

    Rows with one of the (column, value) pairs in `build_dependent` hold eigenvectors, whose signs hang on R's BLAS:
    they are compared if R is the one that was recorded.
    """
    same_build = provenance(fresh) == provenance(recorded)
    pairs = list(zip(rows(fresh), rows(recorded), strict=True))
    compared = [pair for pair in pairs if same_build or not build_dependent & set(pair[1].items())]
    assert len(compared) > len(pairs) / 2
    for again, before in compared:
        assert again == before


def _lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()
