"""Posteriors on disk, found again by what made them; among them the paper's, which all chapters share.

A stored posterior's key is a digest of everything its draws depend on: data, spec, priors, settings, the code of the
rooms `trial` and `model`, and library versions; there is nothing to clear by hand. Each file is called
``<key>-<digest of its bytes>.nc``: a damaged file contradicts its own name (which is checked before any HDF5 code sees
it), is removed, and fitted again. Files are moved into place, so that readers never see half of one, and two processes
at once leave two good files at worst. netCDF-4 by h5netcdf, which reads from memory what was checked.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import secrets
import warnings
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pandas as pd
import platformdirs
import xarray as xr

from hte_utils.model.candidates import PAPER_MODEL, CandidateModel
from hte_utils.model.fit import IndependenceSettings, Settings, fit, library_versions, record_of, warn_if_failed
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import TrialDesign
from hte_utils.trial import TrialTruth, simulate_truth, trial_table

STORE_VARIABLE = "HTE_POSTERIOR_STORE"
BOOK_SETTINGS: Final = IndependenceSettings(draws=5000, chains=4, seed=20241101)
"""The fit that all chapters share: 20 000 draws, so that our Monte Carlo error is far below the paper's."""
_PACKAGE = Path(__file__).parents[1]


class StoreWarning(UserWarning):
    """The posterior store could not be used as it should; the posterior itself is fine."""


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The table of Listing 1, what the simulation knows of the same patients, and a model's design and posterior."""

    trial: pd.DataFrame
    truth: TrialTruth
    design: TrialDesign
    posterior: xr.DataTree


def paper_analysis(model: CandidateModel = PAPER_MODEL, *, n_subjects: int = 2000, seed: int = 123) -> Analysis:
    """Simulate the paper's trial, and take the posterior of Listing 2 or another candidate from the store or fit it.

    Examples
    --------
    >>> import hte_utils as hte
    >>> paper = hte.paper_analysis()
    >>> int(paper.trial["event"].sum())
    113
    """
    truth = simulate_truth(n_subjects, seed)
    trial = trial_table(truth)
    design = model.design(trial)
    return Analysis(trial, truth, design, fit_or_load(design, priors=model.priors, settings=BOOK_SETTINGS))


def fit_or_load(
    design: TrialDesign,
    *,
    priors: Priors | None = None,
    settings: Settings | None = None,
    cores: int | None = None,
    store: Path | None = None,
) -> xr.DataTree:
    """Take the posterior from the store (a directory; `store_directory()` if None), or fit it and put it there.

    Otherwise as `hte_utils.model.fit.fit`. A posterior that failed a check is stored as well, and warns every time. A
    `StoreWarning` says that a stored file is damaged or unreadable (it is fitted again), or cannot be written.
    """
    directory = store_directory() if store is None else Path(store)
    key = posterior_key(design, priors or Priors(), settings or IndependenceSettings())
    stored = _load(directory, key)
    if stored is not None:
        warn_if_failed(record_of(stored))
        return stored
    posterior = fit(design, priors=priors, settings=settings, cores=cores)
    _save(posterior, directory, key)
    return posterior


def store_directory() -> Path:
    """Where posteriors are stored: ``$HTE_POSTERIOR_STORE``, or the user's cache directory."""
    chosen = os.environ.get(STORE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("hte-utils") / "posteriors"


def posterior_key(design: TrialDesign, priors: Priors, settings: Settings) -> str:
    """Digest of everything that the draws depend on, 40 hexadecimal digits."""
    arrays = (design.prognostic, design.modifiers, design.group, design.outcome, design.treatment)
    described = {
        "data": [(array.shape, array.dtype.str, hashlib.sha256(array.tobytes()).hexdigest()) for array in arrays],
        "coding": asdict(design.coding),
        "priors": asdict(priors),
        "settings": {"kind": type(settings).__name__} | asdict(settings),
        "code": code_digest("trial", "model"),
        "versions": library_versions(),
    }
    text = json.dumps(described, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@cache  # the code as it was loaded
def code_digest(*places: str) -> str:
    """16 hexadecimal digits for rooms (``"model"``) or files (``"study/replicate.py"``) of this package, or any files.

    Comments, docstrings and layout do not count.
    """
    found = hashlib.sha256()
    for place in places:
        path = _PACKAGE / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            tree = _WithoutDocstrings().visit(ast.parse(file.read_text(encoding="utf-8")))
            found.update(f"{file.name}\n{ast.unparse(tree)}\n".encode())
    return found.hexdigest()[:16]


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _load(directory: Path, key: str) -> xr.DataTree | None:
    for path in sorted(directory.glob(f"{key}-*.nc")):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # another process found it damaged and removed it
            continue
        except OSError as error:
            _warn(f"stored posterior {path} cannot be read ({error}); it is fitted again")
            continue
        if hashlib.sha256(content).hexdigest() == path.stem.removeprefix(f"{key}-"):
            with xr.open_datatree(io.BytesIO(content), engine="h5netcdf") as tree:
                return tree.load()
        try:
            path.unlink(missing_ok=True)
            _warn(f"stored posterior {path} is damaged; it is removed and fitted again")
        except OSError as error:
            _warn(f"stored posterior {path} is damaged and cannot be removed ({error}); it is fitted again")
    return None


def _save(posterior: xr.DataTree, directory: Path, key: str) -> None:
    content = bytes(posterior.to_netcdf(engine="h5netcdf"))
    path = directory / f"{key}-{hashlib.sha256(content).hexdigest()}.nc"
    part = directory / f".writing-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)  # with the permissions that the user gives new files: a store may be shared
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        _warn(
            f"the posterior could not be stored in {directory} ({error}); it will be fitted again next time. "
            f"Set the environment variable {STORE_VARIABLE} to a directory that can be written"
        )


def _warn(message: str) -> None:
    warnings.warn(message, StoreWarning, stacklevel=4)
