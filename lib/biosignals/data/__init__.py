"""Data sets: official files in, `Recordings` out."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
