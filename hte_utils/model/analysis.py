"""The paper's trial and its posterior, as all chapters share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandas as pd

from hte_utils.model.candidates import PAPER_MODEL, CandidateModel
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.spec import TrialDesign
from hte_utils.model.store import fit_or_load
from hte_utils.trial import TrialTruth, simulate_truth, trial_table

if TYPE_CHECKING:
    import xarray as xr

BOOK_SETTINGS: Final = IndependenceSettings(draws=5000, chains=4, seed=20241101)
"""The fit that all chapters share: 20 000 draws, so that our Monte Carlo error is far below the paper's."""


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """One model's posterior after the paper's trial.

    Attributes
    ----------
    trial
        The patients' table of Listing 1.
    truth
        What the simulation knows of the same patients.
    design
        The numbers that the model sees of the trial.
    posterior
        Draws of Listing 2 (chain x draw), from the posterior store if they are there.
    """

    trial: pd.DataFrame
    truth: TrialTruth
    design: TrialDesign
    posterior: xr.DataTree


def paper_analysis(model: CandidateModel = PAPER_MODEL, *, n_subjects: int = 2000, seed: int = 123) -> Analysis:
    """Simulate the paper's trial (2000 patients, seed 123), and fit Listing 2 or another candidate to it.

    Examples
    --------
    >>> import hte_utils as hte
    >>> paper = hte.paper_analysis()
    >>> int(paper.trial["event"].sum())
    113
    """
    truth = simulate_truth(n_subjects, seed)
    trial = trial_table(truth)
    design = model.design(trial)
    return Analysis(trial, truth, design, fit_or_load(design, priors=model.priors, settings=BOOK_SETTINGS))
