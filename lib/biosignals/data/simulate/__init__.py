"""Simulated recordings in the official layouts: nothing in their files tells them from real ones but SIMULATED.json."""

from biosignals.data.simulate import cinc2017, ptbxl

__all__ = ["cinc2017", "ptbxl"]
