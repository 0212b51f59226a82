"""EDF, EDF+ and BDF files."""

from __future__ import annotations

from pathlib import Path

from biosignals.data import edf
from biosignals.data.channel_names import channel_names
from biosignals.data.readers.signal import LARGEST_FILE, InvalidRecording, Signal, by_rate

UNSCALED = "counts, for its header gives no usable limits"  # in place of a unit


def read(path: Path) -> Signal:
    """All signals of a file, with those of other rates than the highest as `others`.

    Raises Unreadable for a file that is damaged, cut short or has gaps in time, InvalidRecording for one that
    is too large.
    """
    file = edf.open_file(path)
    samples = file.records * sum(signal.samples for signal in file.signals)
    if file.width * samples > LARGEST_FILE:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    edf.refuse_gaps(file)
    names = dict(zip(file.signals, channel_names(signal.label for signal in file.signals), strict=True))
    found = []
    for samples in {signal.samples: None for signal in file.signals if signal.samples}:
        alike = [signal for signal in file.signals if signal.samples == samples]
        for signal, values in zip(alike, edf.read(file, alike, 0, file.records * samples), strict=True):
            unit = UNSCALED if signal.gain is None else signal.unit
            found.append((values, names[signal], unit, signal.sampling_rate))
    return by_rate(found)
