"""Lead I of PTB-XL and the recordings of CinC 2017 as one set, in the challenge's four classes of rhythm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from biosignals.data import preparation, ptbxl
from biosignals.data.recordings import Recordings, concatenate

CLASSES = ("N", "A", "O", "~")  # normal, atrial fibrillation, other rhythm, noise; see `cinc2017.LABELS`
SAMPLING_RATE, SECONDS, STEP = 100, 30, 15
OTHER_RHYTHMS = ("STACH", "SARRH", "SBRAD", "SVARR", "PAC", "PVC", "BIGU", "AFLT", "PACE")  # SCP statements


def windows(recordings: Recordings) -> Recordings:
    """Windows of 30 s at 100 Hz, one each 15 s, of which a shorter recording gives one, in which it is
    repeated; see `preparation.cut_windows`.
    """
    resampled = preparation.resample(recordings, SAMPLING_RATE)
    return preparation.cut_windows(resampled, SECONDS, STEP, repeat=True)


def whole(lead: Recordings, hand_held: Recordings) -> Recordings:
    """The recordings of both sets at 100 Hz as they are, padded with zeros to one length; ids "set:record",
    see `recordings.concatenate`.
    """
    both = [preparation.resample(one, SAMPLING_RATE) for one in (lead, hand_held)]
    longest = max(one.signals.shape[2] for one in both)
    return concatenate(
        [
            replace(one, signals=np.pad(one.signals, ((0, 0), (0, 0), (0, longest - one.signals.shape[2]))))
            for one in both
        ]
    )


def of_ptbxl(table: pd.DataFrame) -> np.ndarray:
    """The class of each record of PTB-XL's `table`, str (n,): "A" with the statement AFIB, "N" with sinus
    rhythm and none of OTHER_RHYTHMS, "O" with any other; PTB-XL does not label noise.
    """
    said = ptbxl.statements(table)
    is_normal = said["SR"] & ~said[list(OTHER_RHYTHMS)].any(axis=1)
    return np.where(said["AFIB"], "A", np.where(is_normal, "N", "O"))


def join(lead: Recordings, hand_held: Recordings) -> tuple[Recordings, np.ndarray]:
    """The `windows` of both sets, and their classes, float32 (windows, 4), of which one is 1.

    lead: lead I of records of PTB-XL. hand_held: recordings of CinC 2017. The table has `dataset`,
    `recording` and `start`, see `recordings.concatenate` and `preparation.cut_windows`.
    """
    joined = concatenate([windows(lead), windows(hand_held)])
    class_of = dict(zip(lead.table.index, of_ptbxl(lead.table), strict=True))
    class_of |= dict(zip(hand_held.table.index, hand_held.table["label"], strict=True))
    classes = joined.table["recording"].map(class_of).to_numpy()
    return joined, (classes[:, None] == np.array(CLASSES)).astype(np.float32)
