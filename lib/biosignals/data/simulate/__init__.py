"""Simulated recordings in the official layouts: only SIMULATED.json tells them from real ones."""

from biosignals.data.simulate import chbmit, cinc2017, helsinki, ptbxl, sph

__all__ = ["chbmit", "cinc2017", "helsinki", "ptbxl", "sph"]
