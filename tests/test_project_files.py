"""pyproject.toml, requirements.lock and environment.yml say the same; no file names a registry or one machine."""

import re
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hte_utils.ledger.notebooks import Project

ROOT = Project.find().root
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = [Requirement(text) for text in PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]]
OWNER_ASKED_FOR = ["jupyter-book", "jupytext", "numpy", "pandas", "pymc", "arviz", "seaborn", "tableone", "nbval"]


def locked_versions():
    text = (ROOT / "requirements.lock").read_text()
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def conda_requirements():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(item["pip"] for item in listed if isinstance(item, dict))
    return [Requirement(item) for item in [*(i for i in listed if isinstance(i, str)), *pip]]


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_the_lock_holds_a_version_that_the_project_accepts(requirement):
    assert locked_versions()[canonicalize_name(requirement.name)] in requirement.specifier


def test_conda_asks_for_the_same_packages_with_the_same_bounds():
    conda = {r.name: str(r.specifier) for r in conda_requirements()}
    assert conda.pop("pip") == ""
    assert (
        Requirement(f"python{conda.pop('python')}").specifier
        == Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier
    )
    assert conda == {r.name: str(r.specifier) for r in DECLARED}


def test_what_the_owner_asked_for_is_there():
    assert set(OWNER_ASKED_FOR) <= {r.name for r in DECLARED}
    for name in ["book", "hte_utils", "tests", "_config.yml", "_toc.yml", "environment.yml", "README.md"]:
        assert (ROOT / name).exists()


def test_every_locked_package_is_pinned_by_hash():
    blocks = re.split(r"\n(?=\w)", (ROOT / "requirements.lock").read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_resolution_is_fixed_by_a_date():
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T00:00:00Z", PYPROJECT["tool"]["uv"]["exclude-newer"])


def tracked_text_files():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True).stdout
    if not names:
        pytest.skip("not a git checkout")
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".gz", ".nc", ".parquet", ".png"}:
            yield name, path.read_text(encoding="utf-8")


def test_no_committed_file_names_a_registry_host_or_a_path_of_one_machine():
    forbidden = re.compile(
        r"index[-]url|registry *= *[\"]http|files[.]\w+hosted|/[s]imple/|(?<![\w.])/(?:home|root|tmp|work)/[a-z]"
    )
    found = [
        f"{name}: {match.group()}"
        for name, text in tracked_text_files()
        if name != "tests/test_project_files.py"
        for match in forbidden.finditer(text)
    ]
    assert found == []


def test_uv_lock_stays_out_of_git():
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


def test_the_maps_of_the_readme_lead_somewhere():
    """Every module, function and test that the README's table of the paper's items names exists."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
    rows = [line for line in readme if line.startswith("| ") and re.search(r"test_\w|replay", line.split("|")[-2])]
    assert len(rows) > 20
    modules = {
        ".".join(path.relative_to(ROOT / "hte_utils").with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in (ROOT / "hte_utils").rglob("*.py")
    }
    lost = []
    for name in (found for row in rows for found in re.findall(r"`([^`]+)`", row)):
        if name.startswith("test_"):
            lost += [] if list((ROOT / "tests").glob(name)) else [name]
        elif re.fullmatch(r"[a-z_0-9]+\.[A-Za-z_0-9.*]+", name):
            module, _, last = name.rpartition(".")
            files = [m for m in modules if fnmatch(m, name) or fnmatch(m, f"{name}.__init__")]
            sources = [text for m, text in modules.items() if m in (module, f"{module}.__init__")]
            lost += [] if files or any(re.search(rf"\b{last}\b", text) for text in sources) else [name]
    assert lost == []
