"""A small copy of the results, proved by running replicates again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hte_utils.study.published import (
    MANTISSA_BITS,
    PROVENANCE_FILE,
    RESULTS_FILE,
    flags_of,
    publish,
    published_bits,
    published_seeds,
    read_published,
    rounded,
)
from hte_utils.study.scenario import Scenario
from hypothesis import given
from hypothesis import strategies as st
from study_methods import METHODS

from hte_utils.study.measures import MEASURES
from hte_utils.study.run import run_study
from hte_utils.study.store import StudyStore
from hte_utils.study.summary import average_effect_performance, mean_measures, paired_differences

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
CHOSEN = {name: METHODS[name] for name in ("noisy", "risk-by-arm", "fails-sometimes")}


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
    assert published_seeds(tmp_path) == dict.fromkeys([("tiny", name) for name in CHOSEN], 3)
    (run,) = json.loads((tmp_path / PROVENANCE_FILE).read_text())["runs"]  # one command, one state of the code
    made = [store.provenance("tiny", name) for name in sorted(CHOSEN)]
    assert run["cells"] == [["tiny", name] for name in sorted(CHOSEN)]
    assert run["began"] == min(each.began for each in made)
    assert (run["commit"], run["lock"], run["command"]) == (made[0].commit, made[0].lock, made[0].command)
    assert run["versions"]["numpy"] == np.__version__


def test_a_part_is_smaller(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path / "all")
    publish(store, tmp_path / "part", measures=["rd_rmse"], populations=["trial"])
    publish(store, tmp_path / "coarse", bits=10)
    sizes = [(tmp_path / name / RESULTS_FILE).stat().st_size for name in ("part", "all", "coarse")]
    assert sizes[2] < sizes[1]
    assert sizes[0] < 0.25 * sizes[1]
    assert set(read_published(tmp_path / "part")["population"]) == {"trial"}
    assert published_bits(tmp_path / "coarse") == 10


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


def test_profiles_keep_less(store: StudyStore, tmp_path: Path) -> None:
    publish(store, tmp_path, measures=["rd_rmse", "ate_truth"], of_profiles=["ate_truth"])
    frame = read_published(tmp_path)
    single = frame["population"].astype(str).str.startswith("profile-")
    assert single.any()
    assert frame.loc[single, "rd_rmse"].isna().all()
    assert frame.loc[single & (frame["error"] == ""), "ate_truth"].notna().all()
    assert frame.loc[~single & (frame["error"] == ""), "rd_rmse"].notna().all()


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
    assert flags_of(notes) == flags
