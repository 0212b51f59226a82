"""WFDB records: a header (.hea) with one or more signal files."""

from __future__ import annotations

from pathlib import Path

from biosignals.data import wfdb_records
from biosignals.data.readers.signal import LARGEST_FILE, InvalidRecording, Signal, by_rate, filled


def read(path: Path) -> Signal:
    """The record to which a file (header, signal file or .mat) belongs. Missing samples are filled by lines.

    Raises InvalidRecording where there is no header, Unreadable for a record that is damaged or too long.
    """
    record = wfdb_records.read(_header(path), LARGEST_FILE // 2)
    signal = by_rate([(one.values, one.name, one.unit, one.sampling_rate) for one in record])
    for part in (signal, *signal.others):
        filled(part.values)
    return signal


def _header(path: Path) -> Path:
    """The header beside a record's file, whatever the case of its letters."""
    header = path.with_suffix(".hea")
    if header.is_file():
        return header
    for other in path.parent.iterdir():
        if other.name.casefold() == header.name.casefold():
            return other
    alone = "; without one, save its samples as CSV or HDF5" if path.suffix.lower() == ".mat" else ""
    raise InvalidRecording(f"is read with its WFDB header, and {header.name} is not beside it{alone}")
