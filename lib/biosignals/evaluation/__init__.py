"""Predictions, scores with intervals and paired differences, calibration, events."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
