"""Draw the front page's picture from real recordings: `python book/images/front.py DATA` writes front.html.

DATA holds the sets in their official layouts. The drawing belongs to the project; it is made again only where
somebody changes it.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import wfdb
from matplotlib.axes import Axes

from biosignals.data import chbmit, eeg, ptbxl
from biosignals.reporting import plots
from biosignals.signals import filters

SECONDS = 6
RECORD = 2  # a clear one
ALT = (
    "Three recordings of six seconds, one above the other: an ECG in atrial fibrillation, whose spikes come "
    "at irregular distances; an EEG during a seizure, slow waves in four channels; and the regular pulse "
    "wave of a fingertip."
)
NOTE = "PTB-XL, CHB-MIT and BIDMC, excerpts: one recording each, drawn to their own scales"


def main() -> None:
    data = Path(sys.argv[1])
    plots.use_style()
    figure, axes = plt.subplots(3, 1, figsize=(5.4, 3.3), sharex=True, height_ratios=(1.1, 1.6, 1))
    draw(axes[0], "ECG: which rhythm?", plots.PALETTE[5], *heart(data / "ptb-xl"))
    draw(axes[1], "EEG: is this a seizure?", plots.PALETTE[4], *brain(data / "chb-mit"))
    draw(axes[2], "Pulse wave: whose is it?", plots.PALETTE[2], *pulse(data / "bidmc"))
    axes[2].set_xlabel("s", loc="right")
    axes[2].tick_params(bottom=True, labelbottom=True)
    html = plots.figure_html(figure, ALT, NOTE)
    Path(__file__).with_suffix(".html").write_text(f"{html}\n")


def draw(ax: Axes, question: str, colour: str, rate: float, signals: np.ndarray) -> None:
    """Signals below each other, without scales, under the question that a model is to answer."""
    step = np.ptp(signals, axis=1).max() * 0.6
    times = np.arange(signals.shape[1]) / rate
    for row, signal in enumerate(signals):
        ax.plot(times, signal - row * step, color=colour, linewidth=1.3)
    ax.set_title(question, fontweight="bold")
    ax.set(yticks=[], xlim=(0, SECONDS))
    ax.tick_params(bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    ax.grid(axis="x")


def heart(root: Path) -> tuple[float, np.ndarray]:
    """Lead II of a patient in atrial fibrillation, without baseline wander."""
    table = ptbxl.read_database(root)
    codes = table.scp_codes.map(ptbxl.parse_codes)
    found = table[codes.map(lambda one: "AFIB" in one) & (table.strat_fold == 1)]
    there = [file for file in found.filename_lr if (root / f"{file}.hea").exists()]
    record = wfdb.rdrecord(str(root / there[RECORD]))
    lead = record.p_signal[:, record.sig_name.index("II")]
    return record.fs, filters.bandpass(lead[None], 0.5, 40, record.fs)[:, : SECONDS * record.fs]


def brain(root: Path) -> tuple[float, np.ndarray]:
    """Four channels in the middle of a seizure."""
    recordings, _ = chbmit.find_seizure_excerpts(root)
    first = recordings[0]
    start = int(25 * first.sampling_rate)
    x = eeg.read(first, start, start + int(SECONDS * first.sampling_rate))
    return first.sampling_rate, filters.bandpass(x[[1, 5, 9, 13]], 0.5, 30, first.sampling_rate)


def pulse(root: Path) -> tuple[float, np.ndarray]:
    """The wave at a fingertip."""
    table = pd.read_csv(root / "bidmc_csv/bidmc_07_Signals.csv", skipinitialspace=True)
    return 125, table.PLETH.to_numpy()[None, : SECONDS * 125]


if __name__ == "__main__":
    main()
