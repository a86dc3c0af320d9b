"""What predicted effects are worth: doubly robust scores, targeting curves, policy values (chapter 10)."""
