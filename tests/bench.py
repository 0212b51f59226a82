"""Times the library beside what it replaces: `make bench`, or `python tests/bench.py --data folder-of-sets`.

Both sides run in turns within one process, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import edfio
import numpy as np
import pandas as pd
import pywt
import torch
import wfdb

from biosignals import models
from biosignals.data import chbmit, eeg, ptbxl, sources
from biosignals.data.recordings import Recordings
from biosignals.deployment import detection
from biosignals.signals import scalogram
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe, read_recipes

ROUNDS = 5


def seconds(action: Callable[[], object]) -> float:
    """How long `action()` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def loading(source: sources.Source) -> None:
    """PTB-XL at 100 Hz, all records: a loop over wfdb.rdsamp, our loader without and with its cache."""
    files = [f"{source.root}/{file}" for file in ptbxl.read_database(source.root)["filename_lr"]]
    loop, cold, cached = 0.0, [], []
    check_values(source, files[:50])  # imports and first calls stay out of the comparison
    for part in np.array_split(files, ROUNDS):
        loop += seconds(lambda part=part: [wfdb.rdsamp(file) and None for file in part])
        with tempfile.TemporaryDirectory() as cache:
            cold.append(seconds(lambda: ptbxl.load(source.root, cache=cache)))
            cached.append(seconds(lambda: ptbxl.load(source.root, cache=cache)))
    print(f"PTB-XL ({source.kind}), {len(files)} records, 12 leads, 100 Hz; ours: median of {ROUNDS}")
    for name, took in (
        ("wfdb.rdsamp loop", loop),
        ("load, no cache", median(cold)),
        ("load, cached", median(cached)),
    ):
        print(f"  {name:17} {took:8.3f} s {1000 * took / len(files):8.3f} ms a record {loop / took:8.1f} x")


def check_values(source: sources.Source, files: list[str]) -> None:
    """Stops the benchmark unless our values of the first records are wfdb's."""
    expected = np.stack([wfdb.rdsamp(file)[0].T for file in files])
    with tempfile.TemporaryDirectory() as cache:
        ours = ptbxl.load(source.root, cache=cache).physical(np.arange(len(files)))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


WAVELET = "cmor1.5-1.0"
SCALES, BINS = 64, 128


def scalograms(signals: int, samples: int, sampling_rate: float) -> None:
    """Magnitudes at 1 to 40 Hz of a batch: ours at the times that are kept, the others' at all times."""
    x = np.random.default_rng(0).normal(size=(signals, samples)).astype(np.float32)
    scales = scalogram.scales_for(np.geomspace(40, 1, SCALES), WAVELET, sampling_rate)
    tensor = torch.from_numpy(x)
    ways = {
        "ours": lambda: scalogram.scalogram(tensor, scales, WAVELET, BINS),
        "pywt, fft": lambda: np.abs(pywt.cwt(x, scales, WAVELET, method="fft")[0]),
    }
    if ptwt := optional("ptwt"):
        ways["ptwt"] = lambda: ptwt.cwt(tensor, scales, WAVELET)[0].abs()
    if ssqueezepy := optional("ssqueezepy"):
        morlet = ("morlet", {"mu": 2 * np.pi})
        ways["ssqueezepy"] = lambda: np.abs(ssqueezepy.cwt(x, morlet, scales=scales, astensor=False)[0])
    took = {name: [seconds(way)] for name, way in ways.items()}
    for _ in range(4 * ROUNDS):
        for name, way in ways.items():
            took[name].append(seconds(way))
    # First calls compile and plan: they stay out of the comparison.
    medians = {name: median(times[1:]) for name, times in took.items()}
    print(
        f"scalograms of {signals} x {samples} samples, {SCALES} scales, {BINS} time bins; medians of {4 * ROUNDS}"
    )
    for name, middle in medians.items():
        print(f"  {name:17} {1000 * middle:8.2f} ms {middle / medians['ours']:8.1f} x the time of ours")


NETS = ("plain-cnn", "inception-cnn", "teacher", "student", "resnet1d-wang", "s4")
PASSES = 3


def training() -> None:
    """An epoch of each net of chapter 3: a fit of ours beside a plain loop in PyTorch, on the same batches."""
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 300, (256, 12, 1000)).astype(np.int16)
    table = pd.DataFrame({"subject": range(256), "samples": 1000})
    recordings = Recordings("made", signals, 0.001, "mV", 100.0, ptbxl.LEADS, table)
    targets = (rng.random((256, 5)) < 0.3).astype(np.float32)
    learnt = TrainingData(recordings, targets, np.arange(256))
    recipes = read_recipes(Path(__file__).parents[1] / "notebooks/recipes.yml", "quick")
    print(f"training, 256 records an epoch; medians of {ROUNDS}")
    for name in NETS:
        ours, plain = [], []
        for _ in range(ROUNDS):
            whole, one = (
                fit(name, learnt, replace(recipes[name], epochs=n)).seconds for n in (1 + PASSES, 1)
            )
            ours.append((whole - one) / PASSES)
            plain.append(plain_epochs(name, recordings, targets, recipes[name]) / PASSES)
        ratio = median(plain) / median(ours)
        print(f"  {name:17} {median(ours):8.3f} s a pass, plain loop {median(plain):8.3f} s {ratio:8.2f} x")


def plain_epochs(name: str, recordings: Recordings, targets: np.ndarray, recipe: Recipe) -> float:
    """Seconds that PASSES epochs of a plain loop take, after a first step that does not count."""
    samples = recipe.crop or 1000
    net = models.create(name, 12, 5, samples).train()
    optimizer = torch.optim.AdamW(net.parameters(), recipe.learning_rate)
    x, y = torch.from_numpy(recordings.physical()), torch.from_numpy(targets)

    def epochs(count: int) -> None:
        for _ in range(count):
            for rows in torch.randperm(len(x)).split(recipe.batch_size):
                start = int(torch.randint(1000 - samples + 1, ()))
                logits = net(x[rows, :, start : start + samples])
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    epochs(1)
    return seconds(lambda: epochs(PASSES))


def optional(package: str):
    """The package, or None, said aloud, where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        print(
            f"{package} is left out of the comparison: {error}. `make env` installs requirements.lock, which has it"
        )
        return None


HOURS = 4


def detecting() -> None:
    """A net over a long EDF file, in a process of its own whose memory is then known."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.edf"
        subprocess.run([sys.executable, __file__, "--write", path], check=True)
        told = subprocess.run(
            [sys.executable, __file__, "--detect", path], check=True, capture_output=True, text=True
        )
    print(told.stdout, end="")


def write_long(path: Path) -> None:
    """An EDF of HOURS hours, 23 channels, 256 Hz, of noise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 50, HOURS * 3600 * 256).clip(-800, 800)
    labels = ["T8-P8" if name == "T8-P8-1" else name for name in chbmit.CHANNELS]
    signals = [
        edfio.EdfSignal(
            np.roll(noise, 997 * i), 256, label=label, physical_dimension="uV", physical_range=(-800, 800)
        )
        for i, label in enumerate(labels)
    ]
    edfio.Edf(signals).write(path)


def detect_long(path: Path) -> None:
    """Scores all windows of the file and says how long that took and the memory of this process."""
    net = models.create("eeg-small", 23, 1, 640)
    recording = eeg.open_recording(path, "1", "long", chbmit.CHANNELS, 256)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = seconds(lambda: detection.detect(net, eeg.windows(recording, 10, 5, 64)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"EDF of {HOURS} h, 23 channels, 256 Hz: windows of 10 s each 5 s at 64 Hz through eeg-small")
    print(f"  {took:.1f} s, {HOURS * 3600 / took:.0f} times faster than real time")
    print(f"  peak memory {peak / 1024:.0f} MB, of which {before / 1024:.0f} MB for Python and torch")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of real sets; without it a set is simulated")
    parser.add_argument("--records", type=int, default=2630, help="how many records to simulate")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--detect", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write or arguments.detect:
        sys.exit(write_long(arguments.write) if arguments.write else detect_long(arguments.detect))
    with tempfile.TemporaryDirectory() as simulated:
        loading(sources.locate("ptb-xl", arguments.data, simulated, arguments.records))
    scalograms(signals=12, samples=1000, sampling_rate=100)
    scalograms(signals=1, samples=5000, sampling_rate=500)
    training()
    detecting()
