"""Table 4: its numbers from a posterior, and what its printed means and SDs alone say.

The Monte Carlo error of a *printed* number, the time-series SE of Table 4, belongs to its tolerance as well as that of
ours. Tables 7 and 8 come from the same run: what was computed from its coefficients' means alone follows from Table 4
without a draw (`cate_of_table_4`); the rest nearly, from draws of ours at the printed means and SDs
(`at_table_4_margins`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit

from hte_utils.ledger.entries import Reproduced, print_rounding
from hte_utils.model.checks import FloatArray
from hte_utils.model.diagnostics import modern_diagnostics, summary_statistics
from hte_utils.model.listing_2 import table4_draws
from hte_utils.model.spec import Patients, TrialDesign
from hte_utils.paper import entries_of, paper_entry, printed, printed_number

PAPER_DRAWS = 3000  # the naive SEs of Table 4 are SD / sqrt(3000): three chains of 1000 draws, as in Table 6

type Margins = Mapping[tuple[str, str | None], tuple[float, float]]
"""Means and SDs by variable of a posterior and label: ``("b_interaction", "age")``, ``("b_trt", None)``."""


def table_4(posterior: xr.DataTree, time_series: Mapping[str, Reproduced]) -> dict[str, Reproduced]:
    """Return the 60 numbers of Table 4, for :func:`hte_utils.ledger.record`.

    ``prob`` and ``Naive.SE`` follow from their own row: the logistic function of the printed mean, and the printed SD /
    sqrt(3000). ``Time.series.SE`` describes a sampler and not the posterior: it is from runs of JAGS
    (`hte_utils.reproduction.tables_5_6.time_series_se`).
    """
    found: dict[str, Reproduced] = {}
    for name, row in _summary(posterior).iterrows():
        error = largest_time_series_se(str(name))
        printed_mean, printed_sd = (printed_number(f"table4.{name}.{column}") for column in ("Mean", "SD"))
        half, root = print_rounding(paper_entry(f"table4.{name}.Mean").decimals), sqrt(PAPER_DRAWS)
        found |= {
            # The SD of n effective draws of a normal quantity has standard error SD / sqrt(2 n), the mean SD / sqrt(n).
            f"table4.{name}.Mean": Reproduced(row["mean"], row["mcse_mean"], error),
            f"table4.{name}.prob": Reproduced(expit(printed_mean), rounding=half / 4, note="from the row's own mean"),
            f"table4.{name}.SD": Reproduced(row["sd"], row["mcse_sd"], error / sqrt(2)),
            f"table4.{name}.Naive.SE": Reproduced(
                printed_sd / root, rounding=half / root, note="from the row's own SD"
            ),
            f"table4.{name}.Time.series.SE": time_series[str(name)],
        }
    return found


def table_4_beside_the_paper(posterior: xr.DataTree) -> pd.DataFrame:
    """Lay the posterior means and SDs beside those of Table 4, with the difference in standard errors of both."""
    rows, order = {}, list(dict.fromkeys(entry.row for entry in entries_of("Table 4")))
    for name, row in _summary(posterior).loc[order].iterrows():
        mean, sd, error = (printed(f"table4.{name}.{column}") for column in ("Mean", "SD", "Time.series.SE"))
        both = sqrt(row["mcse_mean"] ** 2 + largest_time_series_se(str(name)) ** 2)
        rows[name] = {
            "mean, ours": f"{row['mean']:.3f}",
            "mean, paper": mean,
            "SD, ours": f"{row['sd']:.3f}",
            "SD, paper": sd,
            "MCSE, ours": f"{row['mcse_mean']:.4f}",
            "MCSE, paper": error,
            "difference / error": f"{(row['mean'] - float(mean)) / both:+.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _summary(posterior: xr.DataTree) -> pd.DataFrame:
    draws = table4_draws(posterior)
    return summary_statistics(draws).join(modern_diagnostics(draws))


def largest_time_series_se(name: str) -> float:
    """Return the largest Monte Carlo error of a printed mean that rounds to the one printed: 0.0035 for 0.003."""
    error = paper_entry(f"table4.{name}.Time.series.SE")
    return float(error.printed) + print_rounding(error.decimals)


def printed_effective_size(*coefficients: str) -> float:
    """Smallest effective sample size that Table 4 implies for the means of some coefficients, named as there."""
    return min((printed_number(f"table4.{name}.SD") / largest_time_series_se(name)) ** 2 for name in coefficients)


def cate_of_table_4(
    design: Patients, *, gender_effects: bool, instead: Mapping[str, float] | None = None
) -> FloatArray:
    """Return every patient's CATE (log odds ratio) from the means that Table 4 prints, shape (patients,).

    With the gender effects a patient's own ``te_gender`` is used, without them ``b_trt`` for everybody. `instead`:
    interactions that are to have another value than Table 4's, by the label of their modifier.
    """
    means = {place: mean for place, (mean, _) in table_4_margins(design).items()}
    interactions = {label: means["b_interaction", label] for label in design.modifier_labels} | dict(instead or {})
    by_group = np.array([means["te_group", label] for label in design.group_labels])
    constant = by_group[design.group] if gender_effects else means["b_trt", None]
    return np.asarray(constant + design.modifiers @ np.array(list(interactions.values())))


def table_4_margins(design: Patients) -> Margins:
    """Mean and SD that Table 4 prints for every coefficient."""
    names: dict[tuple[str, str | None], str] = {("b_intercept", None): "b_intercept", ("b_trt", None): "b_trt"}
    names |= {("b_prognostic", label): f"b_{label}" for label in design.prognostic_labels}
    names |= {("b_interaction", label): f"b_trt_{label}" for label in design.modifier_labels}
    names |= {("te_group", label): f"te_gender[{number}]" for number, label in enumerate(design.group_labels, 1)}
    return {
        place: (printed_number(f"table4.{name}.Mean"), printed_number(f"table4.{name}.SD"))
        for place, name in names.items()
    }


def match_margins(posterior: xr.DataTree, margins: Margins) -> xr.DataTree:
    """Shift and stretch draws so that coefficients have given posterior means and SDs; correlations stay."""
    draws = posterior["posterior"].to_dataset().copy(deep=True)
    for (name, label), (mean, sd) in margins.items():
        variable = draws[name]
        where = {} if label is None else {dim: label for dim in variable.dims if dim not in ("chain", "draw")}
        old = variable.loc[where].to_numpy()
        variable.loc[where] = mean + sd * (old - old.mean()) / old.std(ddof=1)
    return xr.DataTree.from_dict({"posterior": draws})


def at_table_4_margins(posterior: xr.DataTree, design: TrialDesign) -> xr.DataTree:
    """Move and stretch the draws so that each coefficient has exactly the mean and SD that Table 4 prints.

    This takes most of the Monte Carlo error of the paper's run out of a comparison. The log odds that the data
    identify (`b_intercept + re`) stay; ``te_gender`` has the margins of Table 4 too: only the split of the sums moves.
    """
    before = posterior["posterior"].to_dataset()
    after = match_margins(posterior, table_4_margins(design))["posterior"].to_dataset()
    sums = before["re"] + before["b_intercept"]
    split = {"re": sums - after["b_intercept"], "re_trt": after["te_group"] - after["b_trt"]}
    split = {name: values.transpose(*before[name].dims) for name, values in split.items()}
    return xr.DataTree.from_dict({"posterior": after.assign(split)})
