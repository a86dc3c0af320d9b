"""Average effects: standardisation, subgroups, numbers needed, and effects by risk group (chapter 9)."""
