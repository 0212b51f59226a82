"""Any file that holds a recording > signals with named channels and units; a module for each format."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from biosignals.data.errors import Damaged, Unreadable
from biosignals.data.readers.signal import LARGEST_FILE, InvalidRecording, Signal, check_signal, printable
from biosignals.data.units import UNITS

__all__ = [
    "LARGEST_FILE", "UNITS", "InvalidRecording", "Signal", "check_signal", "from_array", "printable", "read",
]  # fmt: skip

WFDB = (".hea", ".dat", ".mat")
EDF = (".edf", ".bdf", ".rec")
TABLES = (".csv", ".tsv", ".txt")
HDF5 = (".h5", ".hdf5", ".hdf")
FILE_TYPES = (*WFDB, *EDF, *TABLES, *HDF5)
EXPORT = "export it as EDF or CSV"
OTHERS = {  # formats that are not read, and what to do
    ".xml": f"an ECG in XML (HL7 aECG, GE MUSE, Philips): {EXPORT}",
    ".dcm": f"DICOM: {EXPORT}",
    ".scp": f"SCP-ECG: {EXPORT}",
    ".ecg": f"an ECG in a format of its maker: {EXPORT}",
    ".atc": f"an ECG in AliveCor's format: {EXPORT}",
    ".mwf": f"MFER: {EXPORT}",
    ".fit": f"FIT: {EXPORT}",
    ".acq": f"AcqKnowledge's format: {EXPORT}",
    ".adicht": f"LabChart's format: {EXPORT}",
    ".smr": f"Spike2's format: {EXPORT}",
    ".pdf": "a picture of an ECG: export its samples, as EDF or CSV",
    ".png": "a picture of an ECG: export its samples, as EDF or CSV",
    ".jpg": "a picture of an ECG: export its samples, as EDF or CSV",
    ".gdf": f"GDF: {EXPORT}",
    ".vhdr": f"BrainVision: {EXPORT}",
    ".eeg": f"an EEG in a format of its maker: {EXPORT}",
    ".cnt": f"an EEG in a format of its maker: {EXPORT}",
    ".set": f"EEGLAB: {EXPORT}",
    ".fif": f"MNE's FIF: {EXPORT}",
    ".npy": "a NumPy array: give it to biosignals.predict, with names of its channels and its sampling rate",
    ".npz": "NumPy arrays: give one to biosignals.predict, with names of its channels and its sampling rate",
    ".xlsx": "a spreadsheet: save it as CSV",
    ".xls": "a spreadsheet: save it as CSV",
    ".json": "JSON: save its samples as CSV",
    ".gz": "compressed: unpack it",
    ".zip": "compressed: unpack it",
    ".atr": "annotations: ask about the record's header, .hea",
    ".qrs": "annotations: ask about the record's header, .hea",
}

SIGNATURES = {  # what files begin with whose name says otherwise
    b"PK\3\4": "a spreadsheet or an archive: save its table as CSV",
    b"\x1f\x8b": OTHERS[".gz"],
    b"%PDF": OTHERS[".pdf"],
    b"\x89PNG": OTHERS[".png"],
    b"\xff\xd8\xff": OTHERS[".jpg"],
    b"\x89HDF": "HDF5: name it .h5",
    b"{": OTHERS[".json"],
    b"<": "a web page, or XML: it is no recording, or to be exported as EDF or CSV",
}


def read(
    path: Path | str, sampling_rate: float | None = None, unit: str | None = None, record: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> Signal:  # fmt: skip
    """A recording from a WFDB record (its .hea, .dat or .mat), EDF or BDF file, a table of text or HDF5 file.

    Channels that a file samples at several rates are all read, see Signal. sampling_rate (Hz), unit: of
    tables and HDF5 files that do not say theirs (None for the unit: mV). record: which one, of files that
    hold several (CODE-15 %, Withings). rename: other names for channels, {"ECG1": "I"}. Raises
    InvalidRecording for anything else, for damaged files, for those that point to files elsewhere and those
    that contradict what is given here.
    """
    try:
        path = Path(path)
    except TypeError:
        raise InvalidRecording(
            f"a recording is a file, an array (channels, samples) or a Signal, no {type(path).__name__}"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn of damage that is refused here
            signal = check_signal(_read(path, sampling_rate, unit, record))
        _refuse_other_rate(signal, sampling_rate)
        return _renamed(signal, rename or {})
    except Damaged as error:  # of a file that belongs to no set: it is not to be downloaded again
        raise InvalidRecording(f"{path.name}: {error.args[0]}") from error
    except (InvalidRecording, Unreadable) as error:
        raise InvalidRecording(f"{path.name}: {error}") from error
    except ImportError:  # no fault of the file
        raise
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise InvalidRecording(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from error


def from_array(
    values: np.ndarray, channels: Sequence[str], sampling_rate: float, unit: str | None = None
) -> Signal:
    """A recording from `values` (channels, samples) in `unit` (None: mV).

    Raises InvalidRecording as `check_signal`.
    """
    if isinstance(channels, str):
        raise InvalidRecording("names of channels must be text, one for each channel in a list")
    try:
        values, channels, sampling_rate = np.asarray(values), tuple(channels), float(sampling_rate)
    except Exception as error:  # whatever an object that is no array raises
        raise InvalidRecording(
            f"no recording: an array, names of its channels and its sampling rate ({error})"
        ) from error
    units = ("mV" if unit is None else unit,) * len(channels)
    signal = check_signal(Signal(values, channels, units, sampling_rate))
    with np.errstate(over="ignore"):  # infinity is refused
        return replace(signal, values=values.astype(np.float32))


def _read(path: Path, sampling_rate: float | None, unit: str | None, record: str | None) -> Signal:
    kind = path.suffix.lower()
    if kind in OTHERS:
        raise InvalidRecording(f"is {OTHERS[kind]}")
    if path.is_dir():
        raise InvalidRecording("is a folder: name the files in it")
    if kind not in FILE_TYPES:
        raise InvalidRecording(f"a recording is one of {', '.join(FILE_TYPES)}")
    if not path.is_file():
        raise InvalidRecording(f"there is no such file in {path.parent}")
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    # Each when it is needed: a WFDB record need not wait for pandas.
    if kind in TABLES:
        _refuse_others(path)
        from biosignals.data.readers import csv

        return csv.read(path, sampling_rate, unit, record)
    if kind in HDF5:
        from biosignals.data.readers import hdf5

        return hdf5.read(path, sampling_rate, unit, record)
    if kind in EDF:
        from biosignals.data.readers import edf

        return edf.read(path)
    from biosignals.data.readers import wfdb

    return wfdb.read(path)


def _refuse_others(path: Path) -> None:
    """InvalidRecording for what is no text of a table by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, what in SIGNATURES.items():
        if start.startswith(signature):
            raise InvalidRecording(f"is {what}")


def _refuse_other_rate(signal: Signal, given: float | None) -> None:
    """InvalidRecording where a file says another sampling rate than is given."""
    rates = [part.sampling_rate for part in (signal, *signal.others)]
    if given is not None and not any(abs(rate - given) <= 0.01 * rate for rate in rates):
        found = " and ".join(f"{rate:g}" for rate in rates)
        raise InvalidRecording(f"it is sampled at {found} Hz, and {given:g} Hz is asked for")


def _renamed(signal: Signal, names: Mapping[str, str]) -> Signal:
    parts = (signal, *signal.others)
    present = [name for part in parts for name in part.channels]
    wanted = {old.strip().casefold(): new for old, new in names.items()}
    unknown = wanted.keys() - {name.casefold() for name in present}
    if unknown:
        raise InvalidRecording(f"it has no channel {', '.join(sorted(unknown))}; it has {', '.join(present)}")
    first, *others = (
        replace(part, channels=tuple(wanted.get(name.casefold(), name) for name in part.channels), others=())
        for part in parts
    )
    return replace(first, others=tuple(others))
