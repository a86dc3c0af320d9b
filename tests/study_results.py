"""Made-up results of the study, for the tests of what is computed from them."""

from __future__ import annotations

import pandas as pd

from hte_utils.methods.measures import MEASURES


def results(n: int = 4, **columns: object) -> pd.DataFrame:
    """Rows of one method in the paper's design, evaluated in the trial; every measure 0 unless given."""
    frame = pd.DataFrame(dict.fromkeys(MEASURES, 0.0), index=range(n))
    words: dict[str, object] = {
        "scenario": "as-printed",
        "method": "a",
        "population": "trial",
        "error": "",
        "flags": "",
    }
    frame = frame.assign(**{**words, "replicate": range(n), **columns})
    return frame.astype(dict.fromkeys(["scenario", "method", "population"], "category"))
