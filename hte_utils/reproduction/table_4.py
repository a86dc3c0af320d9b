"""Tables 4 to 8 of the paper from one posterior: the value of every printed number, with its Monte Carlo error.

Each function returns what :func:`hte_utils.ledger.record` takes. The Monte Carlo error of the *printed* number belongs
to the tolerance as well; where the paper prints it (the time-series SE of Table 4) it is taken from there.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import pandas as pd
from scipy.special import expit

from hte_utils.ledger.entries import Reproduced, print_rounding
from hte_utils.model.diagnostics import modern_diagnostics, summary_statistics
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import entries_of, paper_entry, printed_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

PAPER_DRAWS = 3000
"""The naive SEs of Table 4 are SD / sqrt(3000): three chains of 1000 draws, as Table 6 has three chains."""


def table_4(posterior: xr.DataTree, time_series: Mapping[str, Reproduced]) -> dict[str, Reproduced]:
    """Return the 60 numbers of Table 4.

    Mean, SD: of the posterior. ``prob`` and ``Naive.SE`` follow from their own row and nothing else: the logistic
    function of the printed mean, and the printed SD / sqrt(3000). ``Time.series.SE``: from runs of JAGS
    (`hte_utils.reproduction.tables_5_6.time_series_se`), since it describes a sampler and not the posterior.

    Parameters
    ----------
    posterior
        Draws of Listing 2.
    time_series
        Time-series SE over runs of the paper's sampler, by parameter of Table 4.
    """
    table = summary_statistics(table4_draws(posterior)).join(modern_diagnostics(table4_draws(posterior)))
    found: dict[str, Reproduced] = {}
    for name, row in table.iterrows():
        printed_se = _printed_time_series_se(str(name))
        printed_mean, printed_sd = (printed_number(f"table4.{name}.{column}") for column in ("Mean", "SD"))
        half = print_rounding(paper_entry(f"table4.{name}.Mean").decimals)
        # The SD of n effective draws of a normal quantity has standard error SD / sqrt(2 n), the mean SD / sqrt(n).
        mean = Reproduced(row["mean"], row["mcse_mean"], printed_se)
        sd = Reproduced(row["sd"], row["mcse_sd"], printed_se / sqrt(2))
        found |= {
            f"table4.{name}.Mean": mean,
            f"table4.{name}.prob": Reproduced(expit(printed_mean), rounding=half / 4, note="from the row's own mean"),
            f"table4.{name}.SD": sd,
            f"table4.{name}.Naive.SE": Reproduced(
                printed_sd / sqrt(PAPER_DRAWS), rounding=half / sqrt(PAPER_DRAWS), note="from the row's own SD"
            ),
            f"table4.{name}.Time.series.SE": time_series[str(name)],
        }
    return found


def table_4_beside_the_paper(posterior: xr.DataTree) -> pd.DataFrame:
    """Lay the posterior means and SDs beside those of Table 4, with the difference in standard errors of both."""
    table = summary_statistics(table4_draws(posterior)).join(modern_diagnostics(table4_draws(posterior)))
    rows = {}
    for name, row in table.iterrows():
        printed = float(paper_entry(f"table4.{name}.Mean").printed)
        error = sqrt(row["mcse_mean"] ** 2 + _printed_time_series_se(str(name)) ** 2)
        rows[name] = {
            "mean, ours": f"{row['mean']:.3f}",
            "mean, paper": paper_entry(f"table4.{name}.Mean").printed,
            "SD, ours": f"{row['sd']:.3f}",
            "SD, paper": paper_entry(f"table4.{name}.SD").printed,
            "MCSE, ours": f"{row['mcse_mean']:.4f}",
            "MCSE, paper": paper_entry(f"table4.{name}.Time.series.SE").printed,
            "difference / error": f"{(row['mean'] - printed) / error:+.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").loc[_table_4_rows()]


def _table_4_rows() -> list[str]:
    return list(dict.fromkeys(entry.row for entry in entries_of("Table 4")))


def _printed_time_series_se(name: str) -> float:
    """Monte Carlo error of a printed mean; half a unit is added since 0.003 may be anything up to 0.0035."""
    return float(paper_entry(f"table4.{name}.Time.series.SE").printed) + 0.0005
