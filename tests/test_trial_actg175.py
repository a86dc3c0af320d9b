"""The shipped table of ACTG 175: whom it holds, what is known of them, and that nothing later is among it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hte_utils.trial import actg175

PATH = Path(__file__).parents[1] / "book" / "data" / "actg175" / "actg175.csv"


@pytest.fixture(scope="module")
def trial():
    return actg175.read_actg175(PATH)


def test_arms_and_event_rates(trial):
    assert len(trial) == 2139
    assert trial["subject_id"].is_unique
    by_arm = trial.groupby("arm", observed=True)["event"].agg(["size", "mean"])
    assert tuple(by_arm.index) == actg175.ARMS
    assert by_arm["size"].tolist() == [532, 522, 524, 561]
    assert (100 * by_arm["mean"]).round(1).tolist() == [34.0, 19.7, 20.8, 22.8]


def test_only_what_is_known_at_randomisation_is_a_covariate(trial):
    raw = pd.read_csv(PATH, index_col=0)
    assert len(actg175.BASELINE) == 15
    assert set(trial.columns) == {"subject_id", "arm", "event", "days", "therapy_stratum", *actg175.BASELINE}
    for later in actg175.AFTER_RANDOMISATION:
        values = raw[later].to_numpy(dtype=float)
        for name in trial.columns:
            column = trial[name]
            codes = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column
            assert not np.array_equal(codes.to_numpy(dtype=float), values, equal_nan=True)
    assert not trial.isna().any().any()


def test_labels_follow_the_documented_codes(trial):
    raw = pd.read_csv(PATH, index_col=0).reset_index(drop=True)
    assert ((trial["prior_therapy"] == "Experienced") == (raw["str2"] == 1)).all()
    assert ((trial["therapy_stratum"] == "More than 52 weeks") == (raw["strat"] == 3)).all()
    assert ((trial["gender"] == "Male") == (raw["gender"] == 1)).all()
    assert ((trial["arm"] == "Didanosine") == (raw["arms"] == 3)).all()
    assert (trial["event"] == raw["cens"]).all()
    assert pd.crosstab(trial["prior_therapy"], trial["therapy_stratum"]).to_numpy().tolist() == [
        [886, 0, 0],
        [0, 410, 843],
    ]


def test_who_is_in_the_table_is_what_its_readme_says():
    raw = pd.read_csv(PATH, index_col=0)
    assert not raw[["cd420", "cd820"]].isna().any().any()
    assert raw["cd496"].isna().sum() == 797
    assert (raw["days"] < 15 * 7).sum() == 9
    assert (raw["zprior"] == 1).all()
    assert raw.loc[raw["str2"] == 0, "preanti"].max() == 7


def test_another_file_is_refused(tmp_path):
    changed = tmp_path / "actg175.csv"
    changed.write_bytes(PATH.read_bytes().replace(b'"1",10056,48', b'"1",10056,49'))
    with pytest.raises(ValueError, match=r"is not the table that was shipped.*benchmarks/actg175\.py"):
        actg175.read_actg175(changed)


def test_two_arms_say_which_counts_as_treated(trial):
    pair = actg175.two_arms(trial, "Didanosine")
    assert pair["arm"].cat.categories.tolist() == ["Zidovudine", "Didanosine"]
    assert pair["arm"].value_counts().to_dict() == {"Didanosine": 561, "Zidovudine": 532}
    for wrong in ("Placebo", "Zidovudine"):
        with pytest.raises(ValueError, match="two different arms"):
            actg175.two_arms(trial, wrong)


def test_the_readme_names_every_column_and_both_digests():
    text = PATH.with_name("README.md").read_text(encoding="utf-8")
    for column in pd.read_csv(PATH, index_col=0, nrows=0).columns:
        assert f"| `{column}` |" in text
    assert actg175.DIGEST in text
    assert "MIT License" in text
