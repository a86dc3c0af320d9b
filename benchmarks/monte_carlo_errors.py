"""Hold the stated Monte Carlo errors of the book against what other seeds give.

    python benchmarks/monte_carlo_errors.py [--seeds 10] [--chapters 11-bayesian-checks ...]

Runs each chapter again with every seed of the book replaced (NumPy's `default_rng` and `SeedSequence`; R's stream,
which makes the trials, stays), from an empty posterior store, and compares each number in its ledger and guards:

- its standard deviation over the seeds with the error it states. Over a normal number's K seeds (K - 1) SD²/error² is
  chi-squared; an error is called too small if that is improbable at 1 % over a chapter's numbers (Bonferroni);
- the recorded value with the mean over the other seeds, likewise: a lucky seed;
- numbers that state no error and vary: listed, with their SD.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from nbclient import NotebookClient
from scipy import stats

from hte_utils.ledger.notebooks import Project, entries_of_notebook, read_recording, read_text_notebook

FAMILY_WISE = 0.01
SHOWN = 60
OTHER_SEEDS = """
import numpy as np

class _Shifted(np.random.SeedSequence):
    def __init__(self, entropy=None, **others):
        super().__init__((entropy, {shift}) if isinstance(entropy, (int, np.integer)) else entropy, **others)

_default_rng, np.random.SeedSequence = np.random.default_rng, _Shifted
np.random.default_rng = lambda seed=None: _default_rng(
    _Shifted(int(seed)) if isinstance(seed, (int, np.integer)) else seed
)
"""


def values_under(shift: int, text: Path) -> pd.DataFrame:
    """Values and stated errors of a chapter's numbers, by id, under other seeds."""
    notebook = read_text_notebook(text)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OTHER_SEEDS.format(shift=shift)))
    # Words that are asserted beside a number may fail: that is for the page to know, and stops nothing here.
    with tempfile.TemporaryDirectory() as store:
        os.environ["HTE_POSTERIOR_STORE"] = store
        where = {"metadata": {"path": str(text.parent)}}
        NotebookClient(notebook, timeout=1800, allow_errors=True, resources=where).execute()
    return table_of(entries_of_notebook(notebook)).assign(shift=shift)


def table_of(entries: list) -> pd.DataFrame:
    """The numbers among ledger entries: `value`, `error` (0 if none is stated), by id."""
    numbers = {e.id: (e.reproduced, e.mcse or 0.0) for e in entries if isinstance(e.reproduced, float)}
    return pd.DataFrame.from_dict(numbers, orient="index", columns=["value", "error"]).rename_axis("id").reset_index()


def compare(fresh: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """One row a number that varies: SD over seeds, stated error (root mean square), and both p-values."""
    grouped = fresh.groupby("id")
    found = pd.DataFrame(
        {
            "seeds": grouped.size(),
            "mean": grouped["value"].mean(),
            "sd": grouped["value"].std(),
            "error": np.sqrt(grouped["error"].apply(lambda errors: (errors**2).mean())),
        }
    ).join(recorded.set_index("id")["value"].rename("recorded"), how="inner")
    found = found[(found["sd"] > 1e-9 * found["mean"].abs().clip(lower=1e-3)) & (found["seeds"] > 1)]
    freedom = found["seeds"] - 1
    ratio = found["sd"] / found["error"].where(found["error"] > 0.0)
    beyond = (found["recorded"] - found["mean"]).abs() / (found["sd"] * np.sqrt(1 + 1 / found["seeds"]))
    return found.assign(
        ratio=ratio, too_small=stats.chi2.sf(freedom * ratio**2, freedom), lucky=2 * stats.t.sf(beyond, freedom)
    )


def report(chapter: str, compared: pd.DataFrame, limit: float) -> None:
    """Print what was found in a chapter."""
    stated = compared[compared["error"] > 0.0]
    unstated = compared[compared["error"] == 0.0]
    small, lucky = compared[compared["too_small"] < limit], compared[compared["lucky"] < limit]
    quartiles = ", ".join(f"{q:.2f}" for q in stated["ratio"].quantile([0.1, 0.5, 0.9])) if len(stated) else "none"
    print(f"{chapter}: {len(stated)} numbers with an error vary (SD/error, 10, 50, 90 %: {quartiles}); ", end="")
    print(f"{len(small)} errors too small, {len(lucky)} lucky seeds; {len(unstated)} vary without an error", flush=True)
    for title, rows in {"too small": small, "lucky": lucky, "no error": unstated}.items():
        for name, row in rows.head(SHOWN).iterrows():
            numbers = f"recorded {row['recorded']:.6g}, mean {row['mean']:.6g}, SD {row['sd']:.2g}"
            print(f"    {title}: {name}: {numbers}, stated {row['error']:.2g}")


def main() -> None:
    """Run the chapters and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--chapters", nargs="*", help="names without .md; all if none is named")
    chosen = parser.parse_args()
    project = Project.find()
    chapters = chosen.chapters or project.notebook_names()
    for chapter in chapters:
        fresh = pd.concat([values_under(shift, project.text_notebook(chapter)) for shift in range(1, chosen.seeds + 1)])
        recorded = table_of(entries_of_notebook(read_recording(project.recording(chapter))))
        compared = compare(fresh, recorded)
        report(chapter, compared, FAMILY_WISE / max(1, len(compared)))


if __name__ == "__main__":
    main()
