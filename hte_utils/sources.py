"""Which code decides a result: the modules that it imports, directly and indirectly, and the libraries these use.

Stored results carry a digest of that code, so that results of different code are never mixed in silence. The imports
are read from the source and nothing is run. Comments, docstrings, layout and what only the type checker imports do not
count.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import Method

PACKAGE: Final = "hte_utils"
REPLICATE: Final = "hte_utils.study.replicate"
_FOLDER: Final = Path(__file__).parent


def method_module(method: Method) -> str:
    """Name of the module in which a method's work is written.

    A method may say it itself by an attribute ``home``, ``module:function`` within `hte_utils.comparators` (its class
    is then only the way there); else it is the module of its function or class.
    """
    home = getattr(method, "home", None)
    if isinstance(home, str):
        return f"{PACKAGE}.comparators.{home.split(':')[0]}"
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


def library_versions(modules: Iterable[str]) -> dict[str, str]:
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
