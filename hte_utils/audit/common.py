"""What findings on several parts of the paper share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hte_utils.ledger.statements import Finding

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.audit.case import Case

FLOAT_NOISE: Final = 1e-9
"""Two ways of computing the same number may differ by this much."""

AS_COMPUTED: Final = "it comes out as the paper computed it, without the gender effects"
AS_IMPLIED: Final = "it comes out from the effects of the paper's own model"


def printed_metric(case: Case, name: str, printed: str) -> Finding:
    """Judge a number of Table 7 that the text repeats with fewer decimals.

    Parameters
    ----------
    case
        The paper's analysis.
    name
        Attribute of `hte_utils.evaluation.PointMetrics`.
    printed
        The characters of the text.
    """
    decimals = len(printed.partition(".")[2])
    without, own = (getattr(case.metrics_of_table_4(gender_effects=included), name) for included in (False, True))
    return Finding(
        {AS_COMPUTED: f"{without:.{decimals}f}" == printed, AS_IMPLIED: f"{own:.{decimals}f}" == printed},
        f"From the means of Table 4, compared with the true effects: {without:.3f} without the gender effects, "
        f"{own:.3f} with them.",
    )


def figure_without_numbers(chapter: str) -> Finding:
    """A caption of which only the figure could tell whether it is right."""
    return Finding.not_checkable(
        f"the figure shows no numbers with which another could be compared; it is rebuilt in the chapter {chapter}"
    )


def rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a table's cells as plain values, by row and column."""
    return {str(label): {str(k): v for k, v in cells.items()} for label, cells in table.to_dict("index").items()}
