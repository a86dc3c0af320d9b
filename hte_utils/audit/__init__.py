"""The paper's statements against its own code, tables and truth, each by computation.

`case` gathers what the statements are about; `data_variants`, `table_2_laws`, `confounding`, `decisions` and
`listing_2` compute the proofs; the modules named ``about_...`` turn them into findings, one for each statement of
``hte_utils/paper/statements.csv``. The event is bleeding: a positive effect is harm.
"""
