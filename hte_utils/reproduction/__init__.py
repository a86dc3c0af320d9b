"""Tables 1 and 3 to 8 and the figures of the paper: one module per table, and one for the rival computations."""

from hte_utils.paper import PaperEntry


def beside(entry: PaperEntry, ours: str) -> str:
    """Return our number as text, with the paper's in brackets wherever the paper printed anything else."""
    return ours if ours == entry.printed else f"{ours} [paper: {entry.printed}]"
