"""Simulated recordings in the official layouts: only SIMULATED.json tells them from real ones."""

from biosignals.data.simulate import cinc2017, ptbxl

__all__ = ["cinc2017", "ptbxl"]
