"""Times the library beside what it replaces: `make bench`, or `python tests/bench.py --data folder-of-sets`.

All ways of doing the same run in turns, on one thread each, and the fastest turn of each counts. What is measured is
processor time, so that waiting for other work of the machine does not count. Writes the table that the page on speed
shows.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import edfio
import numpy as np
import pandas as pd
import pywt
import torch
import wfdb
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d
from torch.utils.flop_counter import FlopCounterMode

from biosignals import models
from biosignals.caching import provenance
from biosignals.data import chbmit, eeg, ptbxl, sources
from biosignals.data.recordings import Recordings
from biosignals.deployment import detection
from biosignals.models.layers.high_pass import HighPass
from biosignals.signals import scalogram
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe, read_recipes

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 7
Ways = dict[str, Callable[[], object]]


class Row(NamedTuple):
    """A line of the table.

    times: how often our time fits into this one. difference: largest one from exact values, relative to the largest value.
    """

    measurement: str
    way: str
    milliseconds: float | None = None
    times: float | None = None
    difference: float | None = None


def seconds(action: Callable[[], object]) -> float:
    """The processor time that `action()` takes, here and in processes that it waits for."""
    start = _processor_time()
    action()
    return _processor_time() - start


def _processor_time() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def fastest(ways: Ways, rounds: int = ROUNDS, each: int = 1) -> dict[str, float]:
    """Seconds of each way's fastest turn, of `each` in a row in each round; a first one does not count."""
    took = {name: [seconds(way)] for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            took[name] += [seconds(way) for _ in range(each)]
    return {name: min(times[1:]) for name, times in took.items()}


def compare(
    measurement: str, took: dict[str, float], differences: dict[str, float] | None = None
) -> list[Row]:
    """The rows of a measurement; took: seconds of each way, ours first."""
    ours = next(iter(took.values()))
    found = differences or {}
    return [Row(measurement, way, 1000 * s, s / ours, found.get(way)) for way, s in took.items()]


# Loading

LOOPED = 400  # records of a turn of wfdb's loop, which would take too long with all
FULL = 21_800  # records of PTB-XL


def loading(source: sources.Source) -> list[Row]:
    """PTB-XL at 100 Hz: read for the first time beside a loop over wfdb.rdsamp, and beside the bytes alone."""
    files = [f"{source.root}/{file}" for file in ptbxl.read_database(source.root)["filename_lr"]]
    looped = files[:LOOPED]
    check_values(source, files[:50])
    took: dict[str, list[float]] = {"biosignals": [], "loop over wfdb.rdsamp": [], "the same bytes alone": []}
    for _ in range(1 + ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            cold = seconds(lambda cache=cache: ptbxl.load(source.root, cache=cache))
        loop = seconds(lambda: [wfdb.rdsamp(file) and None for file in looped]) * len(files) / len(looped)
        raw = seconds(lambda: [read_bytes(file + end) for file in files for end in (".hea", ".dat")])
        for times, turn in zip(took.values(), (cold, loop, raw), strict=True):
            times.append(turn)
    measurement = f"PTB-XL ({source.kind}), {len(files):,} records at 100 Hz, first load"
    return compare(measurement, {way: min(times[1:]) for way, times in took.items()})


def read_bytes(path: str) -> None:
    """The cheapest way to a file's content."""
    descriptor = os.open(path, os.O_RDONLY)
    while os.read(descriptor, 1 << 20):
        pass
    os.close(descriptor)


def check_values(source: sources.Source, files: list[str]) -> None:
    """Stops the benchmark unless our values of the first records are wfdb's."""
    expected = np.stack([wfdb.rdsamp(file)[0].T for file in files])
    with tempfile.TemporaryDirectory() as cache:
        ours = ptbxl.load(source.root, cache=cache).physical(np.arange(len(files)))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def opening(source: sources.Source, records: int = FULL) -> list[Row]:
    """A set as large as PTB-XL, opened again from the cache, beside its files' sizes and times alone."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ptb-xl"
        files = repeat(Path(source.root), root, records)
        first = seconds(lambda: ptbxl.load(root, cache=folder))
        ways = {
            "biosignals": lambda: ptbxl.load(root, cache=folder),
            "os.stat of each file alone": lambda: [os.stat(file) for file in files],
        }
        measurement = f"PTB-XL ({source.kind}, repeated), {records:,} records at 100 Hz"
        again = compare(f"{measurement}, opened again", fastest(ways))
    return [Row(f"{measurement}, first load", "biosignals", 1000 * first), *again]


def repeat(source: Path, root: Path, records: int) -> list[str]:
    """Writes the 100 Hz recordings of a PTB-XL folder into another, again and again up to `records`; their files."""
    database = pd.read_csv(source / ptbxl.DATABASE, dtype=str)
    rows = database.iloc[np.arange(records) % len(database)]
    names = [f"records100/{number // 1000:02d}000/{number:05d}_lr" for number in range(1, records + 1)]
    for old, new in zip(rows["filename_lr"], names, strict=True):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        header = (source / f"{old}.hea").read_text().replace(Path(old).name, Path(new).name)
        (root / f"{new}.hea").write_text(header)
        (root / f"{new}.dat").write_bytes((source / f"{old}.dat").read_bytes())
    rows.assign(ecg_id=range(1, records + 1), filename_lr=names).to_csv(root / ptbxl.DATABASE, index=False)
    (root / ptbxl.STATEMENTS).write_bytes((source / ptbxl.STATEMENTS).read_bytes())
    return [f"{root}/{name}{end}" for name in names for end in (".hea", ".dat")]


# Scalograms

WAVELET, BANDWIDTH = "cmor1.5-1.0", 1.5
SCALES = 64
EQUAL = 1e-5  # the largest difference from the integral that a scalogram of ours may have, relative to its maximum


def scalograms(
    signals: int, samples: int, sampling_rate: float, bins: int, rounds: int = ROUNDS
) -> list[Row]:
    """Magnitudes at 1 to 40 Hz of a batch: ours at the times that are kept, the others' at all times.

    Raises ValueError when ours are not those of the transform's integral.
    """
    x = band_limited_noise(signals, samples)
    scales = scalogram.scales_for(np.geomspace(40, 1, SCALES), WAVELET, sampling_rate)
    tensor = torch.from_numpy(x)
    ways: Ways = {
        "biosignals": lambda: scalogram.scalogram(tensor, scales, WAVELET, bins),
        "PyWavelets, fft": lambda: np.abs(pywt.cwt(x, scales, WAVELET, method="fft")[0]).swapaxes(0, 1),
    }
    if ptwt := optional("ptwt"):
        ways["ptwt"] = lambda: ptwt.cwt(tensor, scales, WAVELET)[0].abs().swapaxes(0, 1)
    if ssqueezepy := optional("ssqueezepy"):
        options = {"scales": scales, "astensor": False, "l1_norm": False, "padtype": "zero"}
        ways["ssqueezepy"] = lambda: np.abs(ssqueezepy.cwt(x, spectrum, **options)[0])
    moments = {way: np.arange(samples) for way in ways} | {"biosignals": scalogram.times(samples, bins)}
    differences = {
        way: difference(np.asarray(found()), integral(x, scales, moments[way])) for way, found in ways.items()
    }
    if not differences["biosignals"] < EQUAL:
        raise ValueError(f"our scalogram is {differences['biosignals']:.1e} away from the integral")
    measurement = f"scalogram of {signals} x {samples:,} samples, {SCALES} scales, {bins} times"
    return compare(measurement, fastest(ways, rounds, each=5), differences)


def band_limited_noise(signals: int, samples: int) -> np.ndarray:
    """Noise without content near half the sampling rate that fades at both ends: float32 (signals, samples)."""
    rng, frequencies = np.random.default_rng(0), np.fft.rfftfreq(samples)
    content = rng.normal(size=(signals, len(frequencies), 2)) @ [1, 1j] * (frequencies < 0.3)
    return (np.fft.irfft(content, samples) * np.hanning(samples)).astype(np.float32)


def spectrum(frequency: np.ndarray) -> np.ndarray:
    """The wavelet's spectrum at angular frequencies."""
    return np.exp(-BANDWIDTH / 4 * (frequency - 2 * np.pi) ** 2)


def integral(x: np.ndarray, scales: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Magnitudes of the transform by its definition, in 64 bits: (signals, scales, moments)."""
    length = 4 * x.shape[-1]
    frequencies = 2 * np.pi * np.arange(length // 2) / length
    content = np.fft.fft(x.astype(float), length)[:, : length // 2]
    waves = np.exp(1j * np.outer(frequencies, moments)) / length
    rows = [np.abs((content * np.sqrt(scale) * spectrum(scale * frequencies)) @ waves) for scale in scales]
    return np.stack(rows, 1)


def difference(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(np.abs(found - exact).max() / exact.max())


def optional(package: str):
    """The package, or None, said aloud, where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(package)
    except ImportError as error:
        print(f"{package} is left out of the comparison: {error}. The extra `bench` brings it")
        return None


# Training

NETS = ("plain-cnn", "inception-cnn", "teacher", "student", "resnet1d-wang", "s4")
RECORDS, PASSES = 256, 3


def training(name: str, records: int = RECORDS, passes: int = PASSES) -> list[Row]:
    """A pass of a net of chapter 3: a fit of ours, a plain loop in PyTorch on batches of the same size, and as long
    as the net's operations would take in the products that the processor does fastest.
    """
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 300, (records, 12, 1000)).astype(np.int16)
    table = pd.DataFrame({"subject": range(records), "samples": 1000})
    recordings = Recordings("made", signals, 0.001, "mV", 100.0, ptbxl.LEADS, table)
    targets = (rng.random((records, 5)) < 0.3).astype(np.float32)
    learnt = TrainingData(recordings, targets, np.arange(records))
    recipe = read_recipes(ROOT / "notebooks/recipes.yml", "quick")[name]
    ours, plain, rates = [], [], []
    for _ in range(2):
        ours += our_passes(name, learnt, recipe, passes)
        plain += plain_passes(name, recordings, targets, recipe, passes)
        rates.append(best_rate())
    took = {
        "biosignals": min(ours),
        "plain loop in PyTorch": min(plain),
        "its operations at the best rate": operations(name, records, recipe) / max(rates),
    }
    return compare(f"training {name}, a pass over {records} records", took)


def our_passes(name: str, learnt: TrainingData, recipe: Recipe, passes: int) -> list[float]:
    """Seconds of each pass of a fit but the first."""
    ends: list[float] = []
    fit(
        name,
        learnt,
        replace(recipe, epochs=1 + passes),
        report=lambda epoch, scores: ends.append(_processor_time()),
    )
    return np.diff(ends).tolist()


def plain_passes(
    name: str, recordings: Recordings, targets: np.ndarray, recipe: Recipe, passes: int
) -> list[float]:
    """Seconds of each pass of a plain loop but the first."""
    samples = recipe.crop or 1000
    net = plain_net(name, recipe)
    optimizer = torch.optim.AdamW(net.parameters(), recipe.learning_rate)
    x, y = torch.from_numpy(recordings.physical()), torch.from_numpy(targets)

    def one_pass() -> None:
        for rows in torch.randperm(len(x)).split(recipe.batch_size):
            start = int(torch.randint(1000 - samples + 1, ()))
            logits = net(x[rows, :, start : start + samples])
            loss = binary_cross_entropy_with_logits(logits, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return [seconds(one_pass) for _ in range(1 + passes)][1:]


def plain_net(name: str, recipe: Recipe) -> nn.Module:
    """A net of PTB-XL, behind its recipe's high-pass filter, ready to train."""
    net = models.create(name, 12, 5, recipe.crop or 1000)
    return (nn.Sequential(HighPass(recipe.high_pass, 100), net) if recipe.high_pass else net).train()


def operations(name: str, records: int, recipe: Recipe) -> int:
    """Floating-point operations of a pass, forwards and backwards."""
    net = plain_net(name, recipe)
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(2, 12, recipe.crop or 1000)).sum().backward()
    return counter.get_total_flops() * records // 2


def best_rate() -> float:
    """Floating-point operations a second in a product of large matrices or a convolution, whichever is faster."""
    matrix, signals, kernel = torch.rand(1024, 1024), torch.rand(64, 128, 1, 250), torch.rand(128, 128, 1, 5)
    took = fastest({"product": lambda: matrix @ matrix, "convolution": lambda: conv2d(signals, kernel)})
    return max(2 * 1024**3 / took["product"], 2 * 64 * 246 * kernel.numel() / took["convolution"])


# The whole set

TRAINED = 17_418  # records of PTB-XL's folds 1 to 8


def whole_set(name: str, milliseconds: float) -> dict[str, object]:
    """What one fit of PROFILE=full needs; milliseconds: a pass over RECORDS. The hours are extrapolated from it."""
    recipe = read_recipes(ROOT / "notebooks/recipes.yml", "full")[name]
    hours = milliseconds / 1000 / 3600 * TRAINED / RECORDS * recipe.epochs
    return {
        "net": name,
        "passes": recipe.epochs,
        "batch": recipe.batch_size,
        "hours on one core": _digits(hours),
        "PFLOP": _digits(operations(name, TRAINED, recipe) * recipe.epochs / 1e15),
        "MB of a step": _digits(step_memory(name, recipe) / 1e6),
    }


def step_memory(name: str, recipe: Recipe) -> int:
    """Bytes of a training step: weights, their gradients, the optimizer's two averages, and what the way back needs."""
    net = plain_net(name, recipe)
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = net(torch.rand(recipe.batch_size, 12, recipe.crop or 1000))
    weights = {p.untyped_storage().data_ptr(): p.nbytes for p in net.parameters()}
    del logits  # whose graph held all that was kept
    return sum((weights | kept).values()) + 3 * sum(weights.values())


# Detection

HOURS = 2


def detecting(hours: float = HOURS) -> list[Row]:
    """A net that looks for seizures in a long EDF file, beside how long the recording took."""
    net = models.create("eeg-small", 23, 1, 640)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.edf"
        write_long(path, hours)
        recording = eeg.open_recording(path, "1", "long", chbmit.CHANNELS, 256)
        detect = {"biosignals": lambda: detection.detect(net, eeg.windows(recording, 10, 5, 64))}
        took = fastest(detect, rounds=2) | {"the recording itself": 3600 * hours}
    return compare(f"eeg-small over an EDF file of {hours:g} h, 23 channels, 256 Hz", took)


def write_long(path: Path, hours: float) -> None:
    """An EDF file of noise: 23 channels, 256 Hz."""
    noise = np.random.default_rng(0).normal(0, 50, int(hours * 3600) * 256).clip(-800, 800)
    labels = ["T8-P8" if name == "T8-P8-1" else name for name in chbmit.CHANNELS]
    signals = [
        edfio.EdfSignal(
            np.roll(noise, 997 * i), 256, label=label, physical_dimension="uV", physical_range=(-800, 800)
        )
        for i, label in enumerate(labels)
    ]
    edfio.Edf(signals).write(path)


# Imports


def importing(rounds: int = 3) -> list[Row]:
    """How long a new Python takes to import the library, beside PyTorch, which most of it needs."""
    statements = (
        "import biosignals",
        "import biosignals.training",
        "from biosignals import fit",
        "import torch",
    )
    ways = {
        line: lambda line=line: subprocess.run([sys.executable, "-c", line], check=True)
        for line in ("pass", *statements)
    }
    took = fastest(ways, rounds)
    return [Row(line, "a new Python", 1000 * (took[line] - took["pass"])) for line in statements]


# The table


def write(rows: list[Row], path: Path) -> None:
    """The table as CSV, with numbers as people read them."""
    made = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "measurement": made["measurement"],
            "by": made["way"],
            "ms": [_digits(ms) for ms in made["milliseconds"]],
            "times ours": [_digits(times) for times in made["times"]],
            "largest difference": ["" if pd.isna(d) else f"{d:.0e}" for d in made["difference"]],
        }
    )
    shown.to_csv(path, index=False)


def _digits(number: float) -> str:
    """Three digits, without an exponent."""
    return "" if pd.isna(number) else f"{float(f'{number:.3g}'):,.15g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of real sets; without it a set is simulated")
    parser.add_argument("--records", type=int, default=2630, help="how many records to simulate")
    parser.add_argument("--table", type=Path, default=ROOT / "book/bench.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["NUMBA_NUM_THREADS"] = "1"  # ssqueezepy's: they wait for work on the core that is measured
    rows: list[Row] = []
    fits = []

    def tell(more: list[Row]) -> None:
        rows.extend(more)
        for row in more:
            times = "" if row.times is None else f"{row.times:9.2f} x"
            print(f"{row.measurement:70} {row.way:40} {row.milliseconds:12.2f} ms {times}", flush=True)

    with tempfile.TemporaryDirectory() as simulated:
        source = sources.locate("ptb-xl", arguments.data, simulated, arguments.records)
        tell(loading(source))
        tell(opening(source))
    for bins in (64, 128):
        tell(scalograms(signals=12, samples=1000, sampling_rate=100, bins=bins))
        tell(scalograms(signals=1, samples=5000, sampling_rate=500, bins=bins))
    for name in NETS:
        measured = training(name)
        tell(measured)
        fits.append(whole_set(name, measured[0].milliseconds))
    tell(detecting())
    tell(importing())
    about = provenance()
    rows.append(Row("measured on", f"{about['hardware']}, one thread; {about['versions']}"))
    write(rows, arguments.table)
    pd.DataFrame(fits).to_csv(arguments.table.with_name("full.csv"), index=False)


if __name__ == "__main__":
    main()
