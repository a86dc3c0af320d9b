"""The figures of the book: one module per chapter, one function per figure; each returns a Matplotlib figure."""
