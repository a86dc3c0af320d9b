"""Which code decides a result: the modules that it imports, directly and indirectly, and the libraries these use.

Stored results carry a digest of that code, so that results of different code are never mixed in silence. The imports
are read from the source and nothing is run. Comments, docstrings, layout and what only the type checker imports do not
count.

Posteriors on disk, found again by what made them.

A stored posterior's key is a digest of everything its draws depend on: data, model (spec, priors, and the source of
every module that `hte_utils.model.fit` needs), settings, and library versions; there is nothing to clear by hand.

The store is the directory named by ``HTE_POSTERIOR_STORE``, or ``posteriors`` in the user's cache directory. Each file
is called ``<key>-<digest of its bytes>.nc``: a damaged file contradicts its own name (which is checked before any HDF5
code sees it), is removed, and fitted again. Files are moved into place, so that readers never see half of one, and two
processes at once leave two good files at worst. netCDF-4 by h5netcdf, which reads from memory what was checked.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import platform
import secrets
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs
import xarray as xr

from hte_utils.model.fit import (
    IndependenceSettings,
    Settings,
    fit,
    library_versions,
    record_of,
    warn_if_failed,
)
from hte_utils.model.listing_2 import Priors

if TYPE_CHECKING:
    from hte_utils.methods.estimates import Method
    from hte_utils.model.spec import TrialDesign


PACKAGE: Final = "hte_utils"
REPLICATE: Final = "hte_utils.study.replicate"
_FOLDER: Final = Path(__file__).parent.parent


def method_module(method: Method) -> str:
    """Name of the module in which a method's work is written.

    A method may say it itself by an attribute ``home``, a module within `hte_utils.methods` (its class is then only
    the way there); else it is the module of its function or class.
    """
    home = getattr(method, "home", None)
    if isinstance(home, str):
        return f"{PACKAGE}.methods.{home}"
    return str(getattr(method, "__module__", None) or type(method).__module__)


def source_digests(roots: Iterable[str]) -> dict[str, str]:
    """Digest every module of this package that the roots need, and the roots themselves.

    Parameters
    ----------
    roots
        Names of modules. One outside this package counts as it is, without what it imports from elsewhere.

    Returns
    -------
    dict
        Module name to 16 hexadecimal digits, sorted; "unknown" where there is no source file (a notebook's own cells).
    """
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        path = _path_of(module)
        found[module] = "unknown" if path is None else _code_digest(path)
        if path is not None:
            waiting += [name for name in _imports(path) if _path_in_package(name) is not None]
    return dict(sorted(found.items()))


def imported_versions(modules: Iterable[str]) -> dict[str, str]:
    """Versions of Python (without its last number) and of the libraries that these modules import by name, sorted."""
    top = {name.split(".")[0] for module in modules if (path := _path_of(module)) for name in _imports(path)}
    names = {distribution for name in top for distribution in _distributions().get(name, []) if name != PACKAGE}
    versions = {name: metadata.version(name) for name in sorted(names)}
    return {"python": ".".join(platform.python_version_tuple()[:2])} | versions


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _path_of(module: str) -> Path | None:
    inside = _path_in_package(module)
    if inside is not None:
        return inside
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file and module != "__main__" and Path(file).is_file() else None


def _path_in_package(module: str) -> Path | None:
    first, *rest = module.split(".")
    if first != PACKAGE or not rest:
        return None
    place = _FOLDER.joinpath(*rest)
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=512)
def _code_digest(path: Path) -> str:
    tree = _Undocumented().visit(ast.parse(path.read_text(encoding="utf-8")))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


@lru_cache(maxsize=512)
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(sorted(set(_imported(ast.parse(path.read_text(encoding="utf-8"))))))


def _imported(node: ast.AST) -> Iterator[str]:
    """Names of the modules that a node imports; ``from a import b`` may be module a or a.b."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        nodes: list[ast.AST] = list(node.orelse)
    else:
        nodes = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in nodes:
        yield from _imported(child)


class _Undocumented(ast.NodeTransformer):
    """Takes strings that stand alone (docstrings) out of the code."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if alone else node


STORE_VARIABLE = "HTE_POSTERIOR_STORE"


class StoreWarning(UserWarning):
    """The posterior store could not be used as it should; the posterior itself is fine."""


def fit_or_load(
    design: TrialDesign,
    *,
    priors: Priors | None = None,
    settings: Settings | None = None,
    cores: int | None = None,
    store: Path | None = None,
) -> xr.DataTree:
    """Take the posterior from the store (a directory; `store_directory()` if None), or fit it and put it there.

    Otherwise as `hte_utils.model.fit.fit`. A posterior that failed a check is stored as well, and warns every time.

    Warns
    -----
    FitWarning
        If the fit failed a check.
    StoreWarning
        If a stored file is damaged or cannot be read (it is fitted again), or the store cannot be written.
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
        "source": source_digests(["hte_utils.model.fit"]),
        "versions": library_versions(),
    }
    text = json.dumps(described, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


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
