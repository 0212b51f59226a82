"""Recipes, fits, cross-validation, prediction, losses, sampling, augmentation, tuning, distillation."""

from biosignals.lazy import attach

__getattr__, __dir__ = attach(__name__)
