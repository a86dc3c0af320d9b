"""Which code counts: imports read from the source, layout and comments left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from study_methods import RiskByArm

from hte_utils.methods import METHODS
from hte_utils.model import store as sources
from hte_utils.model.store import REPLICATE, imported_versions, method_module, source_digests


def test_what_decides_a_replicate_is_found() -> None:
    found = source_digests([REPLICATE])
    assert {
        "hte_utils.study.generate",
        "hte_utils.trial",
        "hte_utils.effects.evaluation",
        "hte_utils.study.replicate",
    } <= set(found)
    # Neither the list of scenarios nor how work is spread decides a number.
    assert not {"hte_utils.study.scenarios", "hte_utils.study.run", "hte_utils.study.store"} & set(found)
    assert all(len(digest) == 16 for digest in found.values())


def test_everything_that_python_loads_is_found() -> None:
    script = "import sys, hte_utils.trial; print(*(name for name in sys.modules if name.startswith('hte_utils.')))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) == set(source_digests(["hte_utils.trial"]))


def test_methods_of_the_ladder_have_code_of_their_own() -> None:
    assert method_module(RiskByArm()) == "study_methods"
    first, second = METHODS["constant"], METHODS["interactions_lasso"]
    assert method_module(first) == "hte_utils.methods.logistic"
    ours, theirs = (set(source_digests([method_module(method)])) for method in (first, second))
    assert method_module(second) not in ours
    assert "scikit-learn" in imported_versions(theirs)


def test_layout_comments_and_docstrings_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(text: str) -> str:
        path = tmp_path / f"module_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        return sources._code_digest(path)

    plain = digest("def f(x):\n    return x + 1\n")
    assert (
        digest('"""Doc."""\n\n\n# why\ndef f(x):\n    return (x\n        + 1)\n') != plain
    )  # a module's docstring: pass
    assert digest("def f(x):\n    # why\n    return (x +\n        1)\n") == plain
    assert digest("def f(x):\n    return x + 2\n") != plain
    documented = digest('def f(x):\n    """One."""\n    return x + 1\n')
    assert digest('def f(x):\n    """Two, longer."""\n    return x + 1\n') == documented


def test_imports_for_the_type_checker_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\nelse:\n    import json\n"
        "def f():\n    from hte_utils import trial\n    import numpy.linalg\n"
    )
    assert set(sources._imports(path)) == {
        "typing", "typing.TYPE_CHECKING", "json", "hte_utils", "hte_utils.trial", "numpy.linalg",
    }  # fmt: skip


def test_code_without_a_file_is_unknown() -> None:
    assert source_digests(["no_such_module"]) == {"no_such_module": "unknown"}
    assert source_digests(["__main__"]) == {"__main__": "unknown"}


def test_versions_name_python_and_the_libraries() -> None:
    versions = imported_versions(source_digests([REPLICATE]))
    assert {"python", "numpy", "scipy", "pandas"} <= set(versions)
    assert "hte-utils" not in versions
    assert versions["python"] == ".".join(map(str, sys.version_info[:2]))
