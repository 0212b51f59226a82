"""Made ECGs, and files of every kind that hold them, for the tests of readers and of exported models."""

import edfio
import h5py
import numpy as np
import wfdb


def ecg(seconds=4.0, rate=100.0, channels=2, seed=0):
    """Smooth noise in mV, (channels, samples): below 10 Hz, so that it is the same at every rate."""
    times, rng = np.arange(round(seconds * rate)) / rate, np.random.default_rng(seed)
    waves = [np.sin(2 * np.pi * (f * times[None] + rng.random((channels, 1)))) for f in (0.7, 2.0, 5.0)]
    return sum(waves) * 0.3


def write_wfdb(folder, x, rate, names, units="mV"):
    wfdb.wrsamp(
        "record",
        rate,
        [units] * len(x),
        list(names),
        p_signal=x.T,
        fmt=["16"] * len(x),
        write_dir=str(folder),
    )
    return folder / "record.hea"


def write_edf(folder, x, rate, names):
    unit = {"physical_dimension": "uV", "physical_range": (-5000, 5000)}
    signals = [
        edfio.EdfSignal(1000 * row, rate, label=name, **unit) for name, row in zip(names, x, strict=True)
    ]
    edfio.Edf(signals).write(folder / "record.edf")
    return folder / "record.edf"


def write_csv(folder, x, rate, names):
    table = np.column_stack([np.arange(x.shape[1]) / rate, x.T])
    np.savetxt(folder / "record.csv", table, delimiter=",", header=", ".join(["time", *names]), comments="")
    return folder / "record.csv"


def write_h5(folder, x, rate, names, unit="V"):
    with h5py.File(folder / "record.h5", "w") as file:
        signals = file.create_dataset("signals", data=x / 1000)
        signals.attrs.update({"channels": list(names), "sampling_rate": rate, "unit": unit})
    return folder / "record.h5"


def write_h5_of_fixed_length(folder, x, rate, names):
    # Text of variable length lies in a heap; where that is damaged, the HDF5 library may never come back.
    return write_h5(folder, x, rate, np.array(names, dtype=np.bytes_), np.bytes_("V"))


def write_other_wfdb(folder, x, rate, names):
    wfdb.wrsamp(
        "record",
        rate,
        ["mV"] * len(x),
        list(names),
        p_signal=x.T,
        fmt=["212"] * len(x),
        write_dir=str(folder),
    )
    return folder / "record.hea"


WRITERS = [write_wfdb, write_edf, write_csv, write_h5]
