"""Calibration of predicted risks and of predicted effects (chapter 10)."""
