"""The posterior store: found again, made anew when anything changes, safe against damage and company."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paper_fits import paper_design

import hte_utils.model.store as posterior_store
from hte_utils.model.fit import FitWarning, IndependenceSettings, NutsSettings, library_versions
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.model.store import StoreWarning, code_digest, fit_or_load, posterior_key, store_directory
from hte_utils.trial import simulate_trial

QUICK = IndependenceSettings(proposals_per_draw=2)


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def forbid_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted, though it is in the store")

    monkeypatch.setattr(posterior_store, "fit", refuse)


def test_the_second_call_loads_the_same_posterior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = fit_or_load(paper_design(), settings=QUICK, store=tmp_path / "new")
    forbid_fits(monkeypatch)
    loaded = fit_or_load(paper_design(), settings=QUICK, store=tmp_path / "new")
    assert loaded.identical(fitted)
    assert len(files(tmp_path / "new")) == 1


def test_the_key_changes_with_everything_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    design = paper_design()
    flipped = design.outcome.copy()
    flipped[0] = 1 - flipped[0]
    relabelled = dataclasses.replace(design.coding, group_labels=("Female", "Male"))
    keys = [
        posterior_key(design, Priors(), QUICK),
        posterior_key(PAPER_SPEC.design(simulate_trial(seed=124)), Priors(), QUICK),
        posterior_key(dataclasses.replace(design, outcome=flipped), Priors(), QUICK),
        posterior_key(dataclasses.replace(design, coding=relabelled), Priors(), QUICK),
        posterior_key(design, Priors(fixed_sd=2.0), QUICK),
        posterior_key(design, Priors(intercept_mean=-3.0), QUICK),
        posterior_key(design, Priors(intercept_sd=2.0), QUICK),
        posterior_key(design, Priors(interaction_scale=0.5), QUICK),
        posterior_key(design, Priors(), dataclasses.replace(QUICK, seed=1)),
        posterior_key(design, Priors(), NutsSettings()),
    ]
    monkeypatch.setattr(posterior_store, "library_versions", lambda: library_versions() | {"numpy": "0"})
    keys.append(posterior_key(design, Priors(), QUICK))
    monkeypatch.undo()
    monkeypatch.setattr(posterior_store, "code_digest", lambda *_: "other")
    keys.append(posterior_key(design, Priors(), QUICK))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-9] + b"x" + b[-8:]])
def test_damage_is_noticed_and_repaired(tmp_path: Path, damage: object) -> None:
    good = fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    [path] = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.warns(StoreWarning, match="damaged; it is removed and fitted again"):
        again = fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    assert again["posterior"].identical(good["posterior"])
    assert len(files(tmp_path)) == 1
    assert fit_or_load(paper_design(), settings=QUICK, store=tmp_path).identical(again)


def test_layout_comments_and_docstrings_do_not_count(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "module.py").write_text(text)
        return code_digest.__wrapped__(str(tmp_path / "module.py"))

    plain = digest("def f(x):\n    return x + 1\n")
    assert digest('"""Doc."""\n\n\n# why\ndef f(x):\n    """One."""\n    return (x +\n        1)\n') == plain
    assert digest("def f(x):\n    return x + 2\n") != plain
    assert digest("def f(x):\n    return x + 1\n\n\nY = 2\n") != plain


def test_the_key_covers_every_room_that_a_fit_needs() -> None:
    script = "import sys, hte_utils.model.fit; print(*(n for n in sys.modules if n.startswith('hte_utils.')))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} <= {"trial", "model"}
    assert len({code_digest("trial"), code_digest("model"), code_digest("trial", "model")}) == 3


def test_a_store_may_be_shared(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    finally:
        os.umask(before)
    [path] = files(tmp_path)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("where", ["read_bytes", "unlink"])
def test_files_of_somebody_else_cost_a_fit_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    good = fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    [path] = files(tmp_path)
    if where == "unlink":
        path.write_bytes(b"damaged")

    def refuse(self: Path, *_: object, **__: object) -> None:
        if self.suffix == ".nc":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, where, refuse)
    with pytest.warns(StoreWarning, match=r"Permission denied.*it is fitted again"):
        again = fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    assert again["posterior"].identical(good["posterior"])


def test_a_full_disk_costs_only_the_storing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(StoreWarning, match="No space left"):
        posterior = fit_or_load(paper_design(), settings=QUICK, store=tmp_path)
    assert "posterior" in posterior.children
    assert files(tmp_path) == []


def test_a_failed_fit_warns_also_from_the_store(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.warns(FitWarning, match="must not be reported"):
            fit_or_load(paper_design(), settings=IndependenceSettings(draws=20), store=tmp_path)


def test_a_store_that_cannot_be_written_costs_only_the_storing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.warns(StoreWarning, match="HTE_POSTERIOR_STORE"):
        posterior = fit_or_load(paper_design(), settings=QUICK, store=blocked)
    assert "posterior" in posterior.children


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTE_POSTERIOR_STORE", str(tmp_path))
    assert store_directory() == tmp_path
    monkeypatch.delenv("HTE_POSTERIOR_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store_directory().name == "posteriors"


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from paper_fits import paper_design
from test_posterior_store import QUICK
from hte_utils.model.store import fit_or_load, posterior_key
from hte_utils.model.listing_2 import Priors

print(posterior_key(paper_design(), Priors(), QUICK))
for _ in range(5):
    posterior = fit_or_load(paper_design(), settings=QUICK, store=Path(sys.argv[1]))
    print(float(posterior["posterior"]["b_trt"].sum()).hex())
"""


def test_processes_at_once_do_no_harm(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", IN_ANOTHER_PROCESS, str(tmp_path)]
    running = [
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE) for _ in range(2)
    ]
    results = [process.communicate(timeout=120)[0].decode().split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert {key for key, *_ in results} == {posterior_key(paper_design(), Priors(), QUICK)}
    assert len({value for _, *values in results for value in values}) == 1
    assert 1 <= len(files(tmp_path)) <= 2
    assert all(path.suffix == ".nc" for path in files(tmp_path))
