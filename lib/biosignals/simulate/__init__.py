"""Simulated recordings in the official layouts: only SIMULATED.json tells them from real ones, and the
lines of CHB-MIT's summaries that say where a seizure begins.
"""

from biosignals.simulate import (
    afdb,
    bidmc,
    chbmit,
    cinc2017,
    cpsc2021,
    helsinki,
    ludb,
    ppgbp,
    ptbxl,
    sph,
    wfppg,
)

__all__ = [
    "afdb",
    "bidmc",
    "chbmit",
    "cinc2017",
    "cpsc2021",
    "helsinki",
    "ludb",
    "ppgbp",
    "ptbxl",
    "sph",
    "wfppg",
]
