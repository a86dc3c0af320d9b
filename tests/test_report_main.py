"""The command line: exit status 0 or 2, at most three lines of complaint, files whole or not at all."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from report_trials import own_report, own_trial_frame

from hte_utils.ledger.notebooks import Project
from hte_utils.report.__main__ import main

OPTIONS = [
    "--outcome", "event", "--event", "yes", "--treatment", "arm", "--control", "Placebo", "--covariates",
    "age,sex,severity", "--simulations", "20", "--quiet",
]  # fmt: skip


def run(folder: Path, frame: pd.DataFrame, *more: str) -> tuple[int, dict[str, object]]:
    """Write the table, run the command, read the JSON."""
    frame.to_csv(folder / "trial.csv", index=False)
    files = ["-o", str(folder / "report.html"), "--json", str(folder / "report.json")]
    status = main([str(folder / "trial.csv"), *OPTIONS, *files, *more])
    file = folder / "report.json"
    return status, json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def test_a_csv_gives_the_same_numbers_as_the_frame(tmp_path) -> None:
    status, numbers = run(tmp_path, own_trial_frame(), "--group", "centre")
    assert status == 0
    for key in ("average", "quintiles", "heterogeneity"):
        assert numbers[key] == own_report().numbers()[key]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--control", "Plcebo"], ["'Plcebo'", "'arm'", "'Active', 'Placebo'", "--control"]),
        (["--event", "1"], ["'1'", "'event'", "'no', 'yes'"]),
        (["--covariates", "weight"], ["'weight'", "no column"]),
        (["--covariates", "age"], ["'age'", "twice as covariate"]),
        (["--covariates", "arm"], ["'arm'", "as treatment and as covariate"]),
        (["--outcome", "severity", "--covariates", "sex"], ["'severity'"]),
        (["--missing", "mice"], ["--missing", "impute"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--id", "centre"], ["'centre'", "not unique"]),
        (["--plan", "nowhere.toml"], ["nowhere.toml"]),
        (["-o", "."], ["'.' is a folder"]),
        (["-o", "nowhere/report.html"], ["no folder 'nowhere'"]),
    ],
)
def test_what_cannot_be_done_is_said_in_three_lines(tmp_path, capfd, more: list[str], words: list[str]) -> None:
    try:
        status, numbers = run(tmp_path, own_trial_frame(60), *more)
    except SystemExit as stopped:
        status, numbers = int(stopped.code or 0), {}
    said = capfd.readouterr().err
    assert status == 2
    assert numbers == {}
    assert not (tmp_path / "report.html").exists()
    assert len(said.splitlines()) <= 3
    assert [word for word in words if word not in said] == []


def test_an_existing_report_stays_whole_when_the_next_one_fails(tmp_path) -> None:
    (tmp_path / "report.html").write_text("before", encoding="utf-8")
    status, _ = run(tmp_path, own_trial_frame(60), "--control", "nobody")
    assert status == 2
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "trial.csv"]


def test_hostile_names_and_levels_stay_text(tmp_path) -> None:
    name = '<script>alert("1,2")</script> & \n "x"'
    frame = own_trial_frame(200).rename(columns={"sex": name})
    frame["severity"] = frame["severity"].replace({"severe": "=1+1 </td><img src=x onerror=alert(1)> 🙂" + "y" * 300})
    frame["arm"] = frame["arm"].replace({"Active": "<b>Active</b>"})
    quoted = '"' + name.replace('"', '""') + '"'
    files = ["-o", str(tmp_path / "report.html"), "--json", str(tmp_path / "report.json")]
    frame.to_csv(tmp_path / "trial.csv", index=False)
    columns = ["--covariates", f"severity,{quoted}", "--covariates", "age"]
    rest = [option for option in OPTIONS if option not in ("--covariates", "age,sex,severity")]
    status = main([str(tmp_path / "trial.csv"), *rest, *columns, *files])
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status == 0
    assert numbers["arms"]["treated"] == "<b>Active</b>"
    for markup in ("<script", "<img", "<b>Active", "onerror=alert(1)>"):
        assert markup not in page
    assert "&lt;script&gt;" in page


def test_a_workbook_keeps_text_as_text(tmp_path) -> None:
    frame = own_trial_frame(200)
    frame["severity"] = frame["severity"].replace({"severe": "=1+1", "mild": "a\x07b"})
    status, _ = run(tmp_path, frame, "--tables", str(tmp_path / "report.xlsx"))
    assert status == 0
    sheets = pd.read_excel(tmp_path / "report.xlsx", sheet_name=None)
    assert {"Average, crude", "Fifths of risk", "Subgroups", "Tests"} <= set(sheets)
    assert sheets["Fifths of risk"]["n"].sum() == 200
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert "=1+1" in [cell.value for cell in cells]
    assert {cell.data_type for cell in cells} <= {"s", "n"}


def test_the_page_loads_nothing(tmp_path) -> None:
    run(tmp_path, own_trial_frame(200))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for word in ("http:", "https:", "src=", "url(", "@import", "<link"):
        assert word not in page


def test_zero_and_one_need_no_names_and_benefit_turns_the_words_round(tmp_path) -> None:
    frame = own_trial_frame(300)
    frame = frame.assign(event=(frame["event"] == "yes").astype(int), arm=(frame["arm"] == "Active").astype(int))
    files = ["-o", str(tmp_path / "report.html"), "--json", str(tmp_path / "report.json")]
    frame.to_csv(tmp_path / "trial.csv", index=False)
    options = [str(tmp_path / "trial.csv"), "--outcome", "event", "--treatment", "arm", "--covariates", "age,sex"]
    pages = []
    for more in ([], ["--benefit"]):
        assert main([*options, "--simulations", "20", "--quiet", *files, *more]) == 0
        pages.append((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "more events are harm" in pages[0]
    assert "more events are benefit" in pages[1]
    assert "NNH" in pages[1]
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (numbers["arms"]["control"], numbers["arms"]["treated"], numbers["outcome"]["event"]) == ("0", "1", "1")


def test_the_shipped_example_is_made_by_its_script_and_runs(tmp_path) -> None:
    project = Project.find()
    shipped = project.stored_results / "own-trial"
    script = runpy.run_path(str(project.root / "benchmarks" / "own_trial.py"))
    assert script["simulate"]().to_csv(index=False, lineterminator="\n") == (shipped / "trial.csv").read_text()
    assert script["PLAN"] == (shipped / "plan.toml").read_text()
    command = [str(shipped / "trial.csv"), "--plan", str(shipped / "plan.toml"), "--simulations", "20", "--quiet"]
    assert main([*command, "-o", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "prespecified" in page
    assert "Example trial: Active against Placebo" in page


def test_the_table_is_never_overwritten(tmp_path, capfd) -> None:
    own_trial_frame(60).to_csv(tmp_path / "trial.csv", index=False)
    before = (tmp_path / "trial.csv").read_bytes()
    assert main([str(tmp_path / "trial.csv"), *OPTIONS, "-o", str(tmp_path / "trial.csv")]) == 2
    assert "names of their own" in capfd.readouterr().err
    assert (tmp_path / "trial.csv").read_bytes() == before
