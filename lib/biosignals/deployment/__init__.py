"""Models that left: cards, predictions, detection."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
