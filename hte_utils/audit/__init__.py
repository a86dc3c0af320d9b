"""The paper's statements against its own code, tables and truth, each by computation.

`case` gathers what the statements are about; `data_variants`, `table_2_laws`, `confounding`, `decisions` and
`listings` compute the proofs; the modules named ``about_...`` turn them into findings, one for each statement of
``hte_utils/paper/statements.csv``. The event is bleeding: a positive effect is harm.

The rule of the verdicts: a statement has one claim for each thing that its words assert, and no other; a fact that the
paper says twice is one function, so that it has one verdict; a claim is put so that another trial, model or table would
make it false, and compares the paper with what R, JAGS or the truth say, never this package with itself. What is told
of the patients of Table 8 is told of the groups that give Table 8's numbers.
"""
