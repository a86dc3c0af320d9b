"""What a Bayesian analysis owes its readers: priors, predictions, comparison, calibration (chapter 11)."""
