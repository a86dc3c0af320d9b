"""A small copy of the results, proved by running replicates again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_methods import METHODS

from hte_utils.study.measures import MEASURES
from hte_utils.study.published import (
    MANTISSA_BITS,
    RESULTS_FILE,
    publish,
    published_provenance,
    read_published,
    replicate_digests,
    rounded,
    verify_published,
)
from hte_utils.study.run import run_study
from hte_utils.study.scenario import Scenario
from hte_utils.study.store import StudyStore
from hte_utils.study.summary import average_effect_performance, mean_measures, paired_differences

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
CHOSEN = {name: METHODS[name] for name in ("noisy", "risk-by-arm", "fails-sometimes")}
SCENARIOS = {"tiny": TINY}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    store = StudyStore(tmp_path_factory.mktemp("store"))
    run_study([TINY], list(CHOSEN.values()), 6, 3, store)
    return store


def test_the_copy_says_what_the_store_says(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path)
    ours, full = read_published(tmp_path), store.read()
    np.testing.assert_allclose(ours[list(MEASURES)], full[list(MEASURES)], rtol=2.0**-MANTISSA_BITS, atol=0)
    assert ours["error"].tolist() == full["error"].tolist()
    for summary in (mean_measures, average_effect_performance, lambda frame: paired_differences(frame, "noisy")):
        pd.testing.assert_frame_equal(summary(ours), summary(full), rtol=1e-3, atol=3e-5, check_index_type=False)
    assert published_provenance(tmp_path)["tiny", "noisy"] == store.provenance("tiny", "noisy")


def test_a_part_is_smaller_and_proved_as_a_whole(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path / "all")
    publish(store, tmp_path / "part", measures=["rd_rmse"], populations=["trial"])
    publish(store, tmp_path / "coarse", bits=10)
    assert verify_published(tmp_path / "coarse", SCENARIOS, CHOSEN, replicates=2).passed
    sizes = [(tmp_path / name / RESULTS_FILE).stat().st_size for name in ("part", "all", "coarse")]
    assert sizes[2] < sizes[1]
    assert sizes[0] < 0.25 * sizes[1]
    assert set(read_published(tmp_path / "part")["population"]) == {"trial"}
    found = verify_published(tmp_path / "part", SCENARIOS, CHOSEN, replicates=100)
    assert found.passed
    assert len(found.checked) == 18
    assert found.n_values == 18 * 9 * (4 + len(MEASURES))


@pytest.mark.parametrize("column", ["regret", "q5_rd_truth", "seed", "message"])
def test_every_value_is_in_the_digest(store: StudyStore, column: str) -> None:
    cell = store.read(["tiny"], ["fails-sometimes"])
    changed = cell.copy()
    place = changed.index[(changed["replicate"] == 2) & (changed["population"] == "trial")][0]
    value = changed.loc[place, column]
    changed.loc[place, column] = f"{value}x" if isinstance(value, str) else np.nextafter(np.nan_to_num(value), 1.0)
    before, after = replicate_digests(cell), replicate_digests(changed)
    assert {number for number in before if before[number] != after[number]} == {2}
    assert replicate_digests(cell.sample(frac=1.0, random_state=1)) == before
    assert replicate_digests(cell.assign(seconds=0.0, warnings="x")) == before


def test_another_result_is_seen_and_shown(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path)
    slightly = {"noisy": replace(METHODS["noisy"], noise=METHODS["noisy"].noise * (1 + 1e-12))}
    found = verify_published(tmp_path, SCENARIOS, slightly, replicates=1)
    assert not found.passed
    assert found.mismatches["column"].tolist() == ["digest"]
    plainly = {"noisy": replace(METHODS["noisy"], noise=0.03)}
    found = verify_published(tmp_path, SCENARIOS, plainly, replicates=1)
    assert "rd_rmse" in set(found.mismatches["column"])
    assert ("tiny", "noisy") in found.changes


@given(st.floats(-1e300, 1e300, allow_subnormal=False) | st.sampled_from([math.inf, -math.inf, math.nan]))
def test_rounding_keeps_sixteen_bits(value: float) -> None:
    found = float(rounded(np.asarray(value), MANTISSA_BITS))
    if math.isfinite(value):
        assert abs(found - value) <= 2.0**-MANTISSA_BITS * abs(value)
        assert rounded(np.asarray(found), MANTISSA_BITS) == found
    else:
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_damage_is_seen(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path)
    path = tmp_path / RESULTS_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not the file that"):
        read_published(tmp_path)
    with pytest.raises(ValueError, match=r"no measure \['nope'\]"):
        publish(store, tmp_path, measures=["nope"])
    with pytest.raises(ValueError, match="no population is among"):
        publish(store, tmp_path, populations=["nope"])
    with pytest.raises(FileNotFoundError):
        read_published(tmp_path / "nothing")


def test_profiles_keep_less_and_are_proved_all_the_same(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path, measures=["rd_rmse", "ate_truth"], of_profiles=["ate_truth"])
    frame = read_published(tmp_path)
    single = frame["population"].astype(str).str.startswith("profile-")
    assert single.any()
    assert frame.loc[single, "rd_rmse"].isna().all()
    assert frame.loc[single & (frame["error"] == ""), "ate_truth"].notna().all()
    assert frame.loc[~single & (frame["error"] == ""), "rd_rmse"].notna().all()
    assert verify_published(tmp_path, SCENARIOS, CHOSEN, replicates=3).passed


@pytest.mark.parametrize(
    ("notes", "flags"),
    [
        ("", ""),
        ('{"pareto_k": 1.0, "ess": 900.0}', ""),
        ('{"separation": 1.0, "not_converged": 1.0}', "not_converged;separation"),
        ('{"nuts_fallback": 0.0}', ""),
    ],
)
def test_flags_are_the_notes_that_a_reader_must_know(notes: str, flags: str) -> None:
    from hte_utils.study.published import _flags

    assert _flags(notes) == flags
