"""What Listing 2 contains, asked of the PyMC model itself: its variables, their levels, and their priors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pymc as pm
from pytensor.compile.mode import Mode

from hte_utils.model import listing_model

if TYPE_CHECKING:
    from hte_utils.trial_design import TrialDesign

POPULATION, SUBGROUP, INDIVIDUAL = "population", "subgroup", "individual"
_LEVEL_OF_DIM: Final = {"group": SUBGROUP, "patient": INDIVIDUAL}
TRIAL_PRECISION: Final = 4.0
"""Value of both precisions at which the laws of `re` and `re_trt` are evaluated."""
_UNCOMPILED: Final = Mode(linker="py", optimizer="None")  # a dozen constants are not worth a compilation


def variables(design: TrialDesign) -> pd.DataFrame:
    """List the random variables of Listing 2.

    Parameters
    ----------
    design
        The trial.

    Returns
    -------
    pandas.DataFrame
        Index: the variable. Columns: `level` (of the paper's three), `number` of scalars, `law`, `first` and `second`:
        the prior's mean and standard deviation (normal), or shape and scale (gamma), with precisions set to 4;
        `observed`.
    """
    model = listing_model(design)
    rows = {rv.name: _described(model, rv) for rv in [*model.free_RVs, *model.observed_RVs]}
    laws = {rv.name: rv.owner.op.dist_params(rv.owner) for rv in model.free_RVs}
    values = _values(model, [parameter for pair in laws.values() for parameter in pair])
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc[list(laws), ["first", "second"]] = values.reshape(-1, 2)
    return table


def _described(model: pm.Model, rv: Any) -> dict[str, object]:
    dims = model.named_vars_to_dims.get(rv.name, ())
    return {
        "level": next((_LEVEL_OF_DIM[dim] for dim in dims if dim in _LEVEL_OF_DIM), POPULATION),
        "number": math.prod(len(model.coords[dim]) for dim in dims),
        "law": rv.owner.op.name,
        "observed": rv in model.observed_RVs,
    }


def _values(model: pm.Model, parameters: list[Any]) -> np.ndarray:
    """Evaluate the parameters of the priors, each being one number, however often it is repeated."""
    precisions = [model["tau_re"], model["tau_re_trt"]]
    evaluate = pm.compile(precisions, parameters, mode=_UNCOMPILED, on_unused_input="ignore")
    return np.array([np.unique(value).item() for value in evaluate(TRIAL_PRECISION, TRIAL_PRECISION)])
