"""Chapters 9 to 11: the corrected analysis, its calibration, and the checks a Bayesian analysis owes its readers."""
