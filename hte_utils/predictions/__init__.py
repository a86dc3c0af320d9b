"""Predicted risks and effects of single patients: apparent, cross-fitted, and for new patients."""
