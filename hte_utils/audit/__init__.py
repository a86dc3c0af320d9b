"""The paper's statements against its own code, tables and truth, each by computation (chapters 7 and 8).

`case` gathers what the statements are about, `experiments` and `listings` compute the proofs, and `section_1` to
`sections_3_4` turn them into findings, one for each statement of ``hte_utils/paper/statements.csv``. `ablation` undoes
the paper's choices one at a time; `described_model` and `described_findings` fit the model that the text describes.
The event is bleeding: a positive effect is harm.

The rule of the verdicts: a statement has one claim for each thing that its words assert, and no other; a fact that the
paper says twice is one function, so that it has one verdict; a claim is put so that another trial, model or table would
make it false, and compares the paper with what R, JAGS or the truth say, never this package with itself. What is told
of the patients of Table 8 is told of the groups that give Table 8's numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hte_utils.audit import section_1, section_2_1, section_2_2, sections_3_4

if TYPE_CHECKING:
    from hte_utils.audit.case import Case
    from hte_utils.ledger.report import Finding


def findings_by_part(case: Case) -> dict[str, dict[str, Finding]]:
    """Judge every statement of the paper: findings by statement id, in parts of the paper."""
    return {
        "Abstract": section_1.abstract(case),
        "Section 1": section_1.introduction(case),
        "Section 2.1, text and tables": section_2_1.data(case),
        "Section 2.1, equations": section_2_1.equations(case),
        "Section 2.2": section_2_2.model(case),
        "Section 3, diagnostics": sections_3_4.diagnostics(case),
        "Section 3, effects and risk groups": sections_3_4.results(case),
        "Section 4.1": sections_3_4.discussion(case),
        "Section 4.2": sections_3_4.limitations(case),
        "Appendix A": section_2_1.listing_1(case),
        "Appendix B": section_2_2.listing_2(case),
        "Appendix C": sections_3_4.traces_and_densities(),
    }
