"""Smaller and faster nets: pruning, eight bits, export, and what a model costs."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
