"""The patient explorer: its numbers are the package's, in Python and in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from bs4 import BeautifulSoup

from hte_utils import paper_analysis
from hte_utils.corrected.explorer import VERSIONS, explorer_data, patient_effects
from hte_utils.effects.cate import EffectScale, cate
from hte_utils.ledger.notebooks import Project

ROOT = Project.find().root
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FORM = {"age": 70, "gender": "Female", "bmi": 28.0, "sbp": 135}
TICKED = {"anticoagulant": True, "diabetes": False, "prior_bleeding": False, "smoking": False}


@pytest.fixture(scope="module")
def data():
    return explorer_data()


@pytest.fixture(scope="module")
def patient():
    """The patient that the form shows at first, as a row of the trial's table."""
    table = paper_analysis().trial.iloc[[0]].copy()
    table[["age", "bmi", "sbp"]] = [float(FORM["age"]), FORM["bmi"], FORM["sbp"]]
    for name, value in {"gender": "Female", **{key: "Yes" if on else "No" for key, on in TICKED.items()}}.items():
        table[name] = type(table[name].array)._from_sequence([value], dtype=table[name].dtype)
    return table


@pytest.mark.parametrize("label", VERSIONS)
def test_a_thousand_draws_say_what_all_of_them_say(patient, label):
    model, group_effects = VERSIONS[label]
    analysis = paper_analysis(model)
    design = analysis.design.apply(patient)
    scale = EffectScale.RISK_DIFFERENCE
    all_draws = cate(analysis.posterior, design, scale=scale, group_effects=group_effects).isel(patient=0)
    found = patient_effects(patient).xs(label, level="model").iloc[0]
    width = 100 * float(all_draws["upper"] - all_draws["lower"])
    assert found["difference"] == pytest.approx(100 * float(all_draws["mean"]), abs=0.05 * width)
    assert found["upper"] - found["lower"] == pytest.approx(width, rel=0.15)


def test_the_data_are_small_and_plain(data):
    assert len(json.dumps(data)) < 600_000
    assert all(len(values) == 1000 for model in data["models"].values() for values in model["main"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_the_same_numbers(data, patient, tmp_path):
    page = (ROOT / "book" / "patient-explorer.md").read_text(encoding="utf-8")
    form = page.split("```{raw} html\n")[1].split("```")[0]
    script = (ROOT / "book" / "_static" / "explorer.js").read_text(encoding="utf-8")
    html = f"<body>{form}<script>window.explorerData = {json.dumps(data)};</script><script>{script}</script></body>"
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset='utf-8'>{html}", encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    command = [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    rows = BeautifulSoup(shown, "html.parser").select("#explorer-table tbody tr")
    found = patient_effects(patient).droplevel("patient")
    assert [row.th.text for row in rows] == [*VERSIONS, "the truth"]
    for row, (_, expected) in zip(rows, found.iterrows(), strict=False):
        without, treated, difference, p_harm, _ = (cell.text for cell in row.find_all("td"))
        assert without == f"{expected['untreated']:.1f} %"
        assert treated == f"{expected['treated']:.1f} %"
        numbers = [expected[name] for name in ("difference", "lower", "upper")]
        assert difference.replace("−", "-") == "{:+.1f} ({:+.1f} to {:+.1f})".format(*numbers)
        assert p_harm == f"{np.round(100 * expected['p_harm']):.0f} %"
