"""The reader's own trial in one command: a table in, one page and its numbers out.

``python -m hte_utils.report trial.csv --outcome event --treatment arm --control Placebo --covariates age,sex``. The
same from Python: `read_table`, a `Question`, `analyse`, `hte_utils.report.page.write_page`.
"""

from hte_utils.report.analysis import Report, analyse
from hte_utils.report.question import Question
from hte_utils.report.reading import DataError, read_table

__all__ = ["DataError", "Question", "Report", "analyse", "read_table"]
