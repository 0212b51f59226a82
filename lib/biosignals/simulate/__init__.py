"""Simulated recordings in the official layouts: only SIMULATED.json tells them from real ones."""

from biosignals.simulate import bidmc, chbmit, cinc2017, helsinki, ptbxl, sph, wfppg

__all__ = ["bidmc", "chbmit", "cinc2017", "helsinki", "ptbxl", "sph", "wfppg"]
